"""A server that stops or falls silent in the middle of a restore: the target is as it was, and the rest is swept."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.jobs.model import JobState
from storage.restores.record import RestoreState
from tests.servers import Server, newest_installation, open_folder
from tests.storage.restores.conftest import Haven, a_haven
from tests.storage.restores.test_faults import SLOW, leftovers, when_loading

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that this test may stop."""
    folder = open_folder("pghaven-own-")
    server = Server(newest_installation(), folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slow(own_server: Server, storage_folder: Path) -> Iterator[Haven]:
    makes = a_haven(own_server, storage_folder)
    made = next(makes)
    made.run(SLOW)
    yield Haven(made.folder, made.connection, stall_seconds=2)


def family(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *children]


def signal_all(server: Server, number: int) -> None:
    assert server.process.pid is not None
    for pid in family(server.process.pid):
        os.kill(pid, number)


def settle_and_look(haven: Haven, before: object, after: Callable[[], None]) -> None:
    after()
    assert len(haven.restores.reconcile()) == 1
    assert leftovers(haven) == []
    assert haven.facts() == before
    assert haven.restores.all()[0].state is RestoreState.FAILED
    assert haven.restores.reconcile() == []


def test_a_server_stopped_in_the_middle_is_put_in_order_when_it_is_back(slow: Haven, own_server: Server) -> None:
    backup = slow.take()
    before = slow.facts()
    stopping = when_loading(slow, lambda: own_server.process.stop(patience=0.1))
    job = slow.restore(backup, replace=True)
    stopping.join()
    assert job.state is JobState.FAILED
    assert job.error is not None and job.error["effect"]["template"] == "Nothing was changed."
    settle_and_look(slow, before, own_server.process.start)


def test_a_server_that_falls_silent_is_given_up_and_put_in_order_when_it_speaks_again(
    slow: Haven, own_server: Server
) -> None:
    backup = slow.take()
    before = slow.facts()
    silencing = when_loading(slow, lambda: signal_all(own_server, signal.SIGSTOP))
    try:
        job = slow.restore(backup, replace=True)
        silencing.join()
        assert job.state is JobState.FAILED
        assert job.error is not None and job.error["kind"] == "Stalled"
    except BaseException:
        signal_all(own_server, signal.SIGCONT)
        raise
    settle_and_look(slow, before, lambda: signal_all(own_server, signal.SIGCONT))
