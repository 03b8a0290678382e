"""What every kind of lock promises: files, Redis, and both together."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from storage.errors import LockHeld
from storage.locks.bothlocks import BothLocks
from storage.locks.filelocks import FileLocks
from storage.locks.redislocks import RedisLocks
from storage.secret import Secret
from tests.storage.locks.conftest import AServer

NAME = "database-shop"
LEASE = 1.0


class Locks(Protocol):
    def hold(self, name: str, *, holder: str, wait: bool = False) -> AbstractContextManager[None]: ...

    def is_held(self, name: str) -> bool: ...


def make(kind: str, folder: str, url: str) -> Locks:
    if kind == "file":
        return FileLocks(Path(folder))
    redis = RedisLocks(Secret(url), lease_seconds=LEASE)
    return redis if kind == "redis" else BothLocks(Path(folder), redis)


HOLD = """
import sys
from tests.storage.locks.test_contract import NAME, make
with make(*sys.argv[1:]).hold(NAME, holder="the other process"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["file", "redis", "both"])
def arguments(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str, str]:
    url = "" if request.param == "file" else request.getfixturevalue("redis").url.reveal
    return request.param, str(tmp_path / "locks"), url


@pytest.fixture
def another(arguments: tuple[str, str, str]) -> Callable[[], Locks]:
    """One more that means the same locks, as another process has it."""
    return lambda: make(*arguments)


@pytest.fixture
def locks(another: Callable[[], Locks]) -> Locks:
    return another()


def test_the_second_is_refused_with_the_name_of_the_first(locks: Locks, another: Callable[[], Locks]) -> None:
    with locks.hold(NAME, holder="take 1"), pytest.raises(LockHeld, match="take 1"), another().hold(NAME, holder="2"):
        pass


def test_it_parts_threads_of_one_process(locks: Locks) -> None:
    refused = threading.Event()

    def try_it() -> None:
        try:
            with locks.hold(NAME, holder="second"):
                pass
        except LockHeld:
            refused.set()

    with locks.hold(NAME, holder="first"):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert refused.is_set()


def test_different_names_do_not_meet(locks: Locks) -> None:
    with locks.hold(NAME, holder="one"), locks.hold("database-wiki", holder="two"):
        assert locks.is_held(NAME) and locks.is_held("database-wiki")
    assert not locks.is_held(NAME) and not locks.is_held("database-wiki")


def test_a_failure_inside_lets_it_go(locks: Locks) -> None:
    with pytest.raises(ZeroDivisionError), locks.hold(NAME, holder="us"):
        raise ZeroDivisionError
    with locks.hold(NAME, holder="us"):
        pass


def test_waiting_gets_it_when_the_holder_lets_go(locks: Locks, another: Callable[[], Locks]) -> None:
    order: list[str] = []

    def wait() -> None:
        with another().hold(NAME, holder="second", wait=True):
            order.append("second")

    with locks.hold(NAME, holder="first"):
        thread = threading.Thread(target=wait)
        thread.start()
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_killed_holder_leaves_it_free_after_its_lease_at_the_latest(
    locks: Locks, arguments: tuple[str, str, str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(LockHeld, match="the other process"), locks.hold(NAME, holder="us"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    had = threading.Event()

    def wait() -> None:
        with locks.hold(NAME, holder="us", wait=True):
            had.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert had.wait(LEASE + 2)
    thread.join()


def test_many_at_once_have_it_one_after_the_other(another: Callable[[], Locks]) -> None:
    inside, most, done = 0, 0, []
    counting = threading.Lock()

    def work(number: int) -> None:
        nonlocal inside, most
        with another().hold(NAME, holder=f"worker {number}", wait=True):
            with counting:
                inside += 1
                most = max(most, inside)
            done.append(number)
            with counting:
                inside -= 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert (most, sorted(done)) == (1, list(range(8)))


def test_a_lock_of_this_box_alone_is_none_of_another_s(redis: AServer, tmp_path: Path) -> None:
    here, there = (make("both", str(tmp_path / name), redis.url.reveal) for name in ("here", "there"))
    with here.hold("jobs", holder="here"), there.hold("jobs", holder="there"):
        assert redis.client.keys("*") == []
