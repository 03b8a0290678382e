"""Running programs: what a program started itself ends with us, however we end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.errors import ProgramFailed
from storage.postgres.process import run_program
from storage.postgres.undertaker import Undertaker

RUNNING = """
import sys
from storage.postgres.process import run_program
for word in sys.argv[1:]:
    # The program and a child of its own, as pg_restore --jobs has; both would sleep for an hour.
    run_program(["/bin/sh", "-c", "echo $$; sleep 3600 & echo $!; wait"], environment={"PATH": "/usr/bin:/bin"},
                on_line=lambda line: print(line, flush=True))
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone_after(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_the_children_of_a_program_are_gone_within_a_second_after_kill_9() -> None:
    process = subprocess.Popen([sys.executable, "-c", RUNNING, "once"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = [int(process.stdout.readline()), int(process.stdout.readline())]
    assert all(map(alive, pids))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone_after(pids, 1.0)
    process.stdout.close()


def test_a_killed_undertaker_is_replaced_and_knows_the_groups_that_run() -> None:
    undertaker = Undertaker()
    first = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    second = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    ended = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    try:
        with undertaker.watching(first.pid):
            with undertaker.watching(ended.pid):
                assert undertaker._shell is not None
                undertaker._shell.kill()
                undertaker._shell.wait()
            with undertaker.watching(second.pid):
                assert undertaker._shell.stdin is not None
                undertaker._shell.stdin.close()  # what our death would do
                undertaker._shell.wait(1)
                assert first.wait(1) == second.wait(1) == -signal.SIGKILL
                assert ended.poll() is None
                undertaker._shell = None
    finally:
        for process in (first, second, ended):
            process.kill()
            process.wait()


def test_the_watch_costs_a_program_less_than_two_milliseconds() -> None:
    run_program(["/bin/true"], environment={})
    undertaker = Undertaker()
    with undertaker.watching(2**22 + 1):
        pass
    started = time.monotonic()
    for _ in range(100):
        with undertaker.watching(2**22 + 1):
            pass
    assert (time.monotonic() - started) / 100 < 0.002


def test_a_program_that_fails_is_still_told_with_its_code() -> None:
    with pytest.raises(ProgramFailed) as refusal:
        run_program(["/bin/sh", "-c", "echo no >&2; exit 3"], environment={})
    assert refusal.value.code == 3 and refusal.value.lines == ("no",)
