"""A server that stops or falls silent in the middle of a restore: the target is as it was, and the rest is swept."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from storage.jobs.model import JobState
from storage.postgres.connection import connect
from storage.postgres.watchdog import Stalled
from storage.restores import parallel_copy
from storage.restores.record import RestoreState
from storage.restores.request import Mode, RestoreRequest
from tests.proxy import Proxy
from tests.servers import Server, newest_installation, open_folder
from tests.storage.restores.conftest import Haven, a_haven
from tests.storage.restores.test_faults import SLOW, leftovers, when_active, when_loading

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that this test may stop."""
    folder = open_folder("pghaven-own-")
    server = Server(newest_installation(), folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["pg_restore alone", "several sessions"])
def slow(
    own_server: Server, storage_folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Haven]:
    if request.param == "several sessions":
        monkeypatch.setattr(parallel_copy, "LEAST_BYTES", 0)
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
        with suppress(ProcessLookupError):  # those that end as soon as they may go on
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


COUNTING = "query LIKE 'SELECT count(*), %%'"


def test_a_server_that_falls_silent_during_the_comparison_is_given_up(slow: Haven, own_server: Server) -> None:
    backup = slow.take()
    before = slow.facts()
    silencing = when_active(slow, COUNTING, lambda: signal_all(own_server, signal.SIGSTOP))
    try:
        began = time.monotonic()
        job = slow.restore(backup, replace=True)
        silencing.join()
        assert (job.state, job.progress.step) == (JobState.FAILED, "compare")
        assert job.error is not None and job.error["kind"] == "Stalled"
        assert time.monotonic() - began < 60
    except BaseException:
        signal_all(own_server, signal.SIGCONT)
        raise
    settle_and_look(slow, before, lambda: signal_all(own_server, signal.SIGCONT))


def test_a_comparison_with_a_silent_server_can_be_cancelled(slow: Haven, own_server: Server) -> None:
    patient = Haven(slow.folder, slow.connection, stall_seconds=300)
    backup = patient.take()
    asked: list[float] = []

    def silence() -> None:
        signal_all(own_server, signal.SIGSTOP)
        time.sleep(0.5)
        patient.jobs.ask_to_stop(job.job_id, by="ben")
        asked.append(time.monotonic())

    job = patient.request(backup, replace=True)
    silencing = when_active(slow, COUNTING, silence)
    try:
        ended = patient.runner.run_here(job)
        assert ended.state is JobState.CANCELLED
        # Connecting once more, to put the server in order, is given up after ten seconds.
        assert time.monotonic() - asked[0] < 20
    finally:
        signal_all(own_server, signal.SIGCONT)
    silencing.join()
    assert len(patient.restores.reconcile()) == 1
    assert leftovers(patient) == []


@pytest.fixture
def silent(haven: Haven) -> Iterator[Haven]:
    """A haven whose server says the first 2000 bytes on each connection and nothing more: it lets us in."""
    with Proxy(haven.connection.host, haven.connection.port, limit=2000, then="silence") as proxy:
        connection = replace(haven.connection, host="127.0.0.1", port=proxy.port, sslmode="disable")
        yield Haven(haven.folder, connection, stall_seconds=2)


def test_a_plan_of_a_silent_server_is_given_up(haven: Haven, silent: Haven) -> None:
    backup = haven.take()
    began = time.monotonic()
    for request in (
        RestoreRequest(backup_id=backup.backup_id),
        RestoreRequest(backup_id=backup.backup_id, mode=Mode.REPLACE, target=haven.connection.dbname),
    ):
        with pytest.raises(Stalled):
            silent.restores.plan(request)
    assert time.monotonic() - began < 15


def test_a_restore_from_a_silent_server_is_given_up_at_the_look(haven: Haven, silent: Haven) -> None:
    backup = haven.take()
    job = silent.restore(backup, replace=True)
    assert (job.state, job.progress.step) == (JobState.FAILED, "look")
    assert job.error is not None and job.error["kind"] == "Stalled"
    assert leftovers(haven) == []


def test_a_look_at_a_silent_server_can_be_cancelled(haven: Haven, silent: Haven) -> None:
    backup = haven.take()
    patient = Haven(silent.folder, silent.connection, stall_seconds=300)
    job = patient.request(backup, replace=True)
    asked: list[float] = []

    def press() -> None:
        asked.append(time.monotonic())
        patient.jobs.ask_to_stop(job.job_id, by="ben")

    pressing = threading.Timer(1.5, press)
    pressing.start()
    ended = patient.runner.run_here(job)
    assert ended.state is JobState.CANCELLED
    assert time.monotonic() - asked[0] < 4


def test_a_table_locked_by_somebody_does_not_hold_up_a_plan(haven: Haven) -> None:
    backup = haven.take()
    with connect(haven.connection, application="migration", autocommit=False) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        plan = haven.restores.plan(RestoreRequest(backup_id=backup.backup_id))
        assert time.monotonic() - began < 8
        assert not plan.rows_known
