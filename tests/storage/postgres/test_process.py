"""Running programs: what a program started itself ends with us, however we end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.errors import ProgramFailed
from storage.postgres.connection import Connection, connect
from storage.postgres.process import run_program
from storage.postgres.undertaker import Undertaker
from tests.servers import Server

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


RESTORING = """
import os, sys
from storage.postgres.process import run_program
run_program(sys.argv[1:], environment=os.environ)
"""


@pytest.mark.postgres
def test_workers_of_pg_restore_that_make_indexes_are_gone_within_a_second(
    server: Server, empty_database: Connection, tmp_path: Path
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute(
            "CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql"
            " AS 'BEGIN IF n > 5 THEN PERFORM pg_sleep(2); END IF; RETURN n; END';"
            "CREATE TABLE a AS SELECT 9 AS n; CREATE TABLE b AS SELECT 9 AS n;"
            # As slow as an index of some GB.
            "CREATE INDEX ON a (slow(n)); CREATE INDEX ON b (slow(n))"
        )
    password = empty_database.password.reveal if empty_database.password else ""
    environment = {
        **os.environ,
        "PGHOST": empty_database.host,
        "PGPORT": str(empty_database.port),
        "PGUSER": empty_database.user,
        "PGPASSWORD": password,
    }
    archive = tmp_path / "archive.dump"
    programs = server.installation
    dump = [programs.program("pg_dump"), "--format=custom", f"--file={archive}", f"--dbname={empty_database.dbname}"]
    run_program(dump, environment=environment)
    with server.a_database() as target:
        restore = [str(programs.program("pg_restore")), "--jobs=2", f"--dbname={target.dbname}", str(archive)]
        process = subprocess.Popen([sys.executable, "-c", RESTORING, *restore], env=environment)
        making = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'CREATE INDEX%%'"
        deadline = time.monotonic() + 20
        with connect(server.connection, application="tests") as session:
            while (row := session.execute(making, (target.dbname,)).fetchone()) and row[0] < 2:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.01)
        workers = [pid for pid in all_processes() if str(archive) in command_of(pid) and pid != process.pid]
        assert len(workers) == 3, "pg_restore and its two workers"
        process.kill()
        process.wait()
        assert gone_after(workers, 1.0)


def all_processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
