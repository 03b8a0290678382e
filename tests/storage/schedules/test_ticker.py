"""The schedule thread: what is due is done, a failure ends nothing, and only one process ticks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage.clock import utc_now
from storage.locks.filelocks import FileLocks
from storage.schedules.ticker import Ticker


@pytest.fixture
def locks(tmp_path: Path) -> FileLocks:
    return FileLocks(tmp_path / "locks")


@pytest.fixture
def ticker(locks: FileLocks) -> Iterator[Ticker]:
    ticker = Ticker(locks=locks, clock=utc_now, tick_seconds=0.05)
    yield ticker
    ticker.stop()


def test_what_is_due_is_done_again_and_again_although_it_fails(ticker: Ticker) -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise ZeroDivisionError("a bug")

    ticker.every(1, "failing", fail)
    ticker.every(1, "working", lambda: done.append("worked"))
    ticker.start()
    time.sleep(2.6)
    assert done.count("failed") >= 2 and done.count("worked") >= 2


def test_its_heartbeat_goes_on(ticker: Ticker) -> None:
    assert ticker.heartbeat is None
    ticker.start()
    time.sleep(0.3)
    first = ticker.heartbeat
    time.sleep(0.2)
    assert first is not None and ticker.heartbeat is not None and ticker.heartbeat > first


def test_only_the_holder_of_the_lock_ticks_and_another_takes_over(ticker: Ticker, locks: FileLocks) -> None:
    held = locks.take("scheduler", holder="another process")
    ticker.start()
    time.sleep(0.2)
    assert ticker.heartbeat is None
    held.release()
    time.sleep(0.3)
    assert ticker.heartbeat is not None


def test_stopped_it_lets_go_of_the_lock(ticker: Ticker, locks: FileLocks) -> None:
    ticker.start()
    time.sleep(0.2)
    assert locks.is_held("scheduler")
    ticker.stop()
    assert not locks.is_held("scheduler")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_started_again(ticker: Ticker) -> None:
    died, ticked_again = threading.Event(), threading.Event()

    def look() -> None:
        if died.is_set():
            ticked_again.set()
            return
        died.set()
        raise SystemExit("what no loop catches")

    ticker.every(1, "dying once", look)
    ticker.start()
    assert ticked_again.wait(20)
    assert ticker.restarts == 1


def test_a_clock_that_is_set_back_does_not_hold_it_up(ticker: Ticker) -> None:
    done = threading.Event()
    ticker.every(1, "working", done.set)
    for job in ticker._scheduler.jobs:
        assert job.next_run is not None
        job.next_run += timedelta(days=365)  # what the local clock says after it was set back by a year
    ticker.start()
    assert done.wait(20)
