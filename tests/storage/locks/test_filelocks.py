"""Locks as files: one holder, in threads and processes; free again however the holder ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage.errors import LockHeld
from storage.locks.filelocks import FileLocks

HOLD = """
import sys
from pathlib import Path
from storage.locks.filelocks import FileLocks
with FileLocks(Path(sys.argv[1])).hold("a", holder="the other process"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def locks(tmp_path: Path) -> FileLocks:
    return FileLocks(tmp_path / "locks")


def another_holder(locks: FileLocks) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(locks.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_is_refused_with_the_name_of_the_first(locks: FileLocks) -> None:
    with locks.hold("a", holder="take 1"), pytest.raises(LockHeld, match="take 1"):
        locks.take("a", holder="take 2")


def test_it_parts_threads_of_one_process(locks: FileLocks) -> None:
    refused = threading.Event()

    def try_it() -> None:
        try:
            locks.take("a", holder="second")
        except LockHeld:
            refused.set()

    with locks.hold("a", holder="first"):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert refused.is_set()


def test_different_names_do_not_meet(locks: FileLocks) -> None:
    with locks.hold("a", holder="one"), locks.hold("b", holder="two"):
        assert locks.is_held("a") and locks.is_held("b")
    assert not locks.is_held("a") and not locks.is_held("b")


def test_a_killed_holder_leaves_it_free(locks: FileLocks) -> None:
    process = another_holder(locks)
    assert locks.is_held("a")
    with pytest.raises(LockHeld, match="the other process"):
        locks.take("a", holder="us")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with locks.hold("a", holder="us"):
        pass


def test_a_child_process_does_not_inherit_it(locks: FileLocks) -> None:
    held = locks.take("a", holder="us")
    child = subprocess.Popen(["sleep", "30"])
    try:
        held.release()
        assert not locks.is_held("a")
    finally:
        child.kill()
        child.wait()


def test_waiting_gets_it_when_the_holder_lets_go(locks: FileLocks) -> None:
    held = locks.take("a", holder="first")
    order: list[str] = []

    def wait() -> None:
        with locks.hold("a", holder="second", wait=True):
            order.append("second")

    thread = threading.Thread(target=wait)
    thread.start()
    order.append("first")
    held.release()
    thread.join(5)
    assert order == ["first", "second"]


def test_lock_files_are_ours_alone(locks: FileLocks) -> None:
    with locks.hold("a", holder="us"):
        assert (locks.folder / "a.lock").stat().st_mode & 0o777 == 0o600
    assert os.stat(locks.folder).st_mode & 0o777 == 0o700
