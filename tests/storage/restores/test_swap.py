"""The swap: readers are shut out for no longer than it takes, and nobody is told more than is known."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from storage.errors import Conflict
from storage.jobs.model import Job, JobState
from storage.jsonfiles import Records
from storage.opening import Storage
from storage.postgres.connection import Connection
from storage.restores import swap
from storage.restores.endings import NOT_KNOWN
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import Mode
from tests.storage.restores.conftest import Haven
from tests.storage.restores.test_faults import leftovers, words

pytestmark = pytest.mark.postgres


class Readers:
    """Somebody who connects anew all the time: what was seen, and how often there was an answer."""

    def __init__(self, haven: Haven) -> None:
        self._parameters = haven.connection.parameters()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.seen: set[int] = set()
        self.answers = 0

    def __enter__(self) -> Readers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answered()
        self._stop.set()
        self._thread.join()

    def answered(self, times: int = 2) -> None:
        """Wait until there were so many more answers, of which all but the first were asked for after this call."""
        wanted = self.answers + times
        until(lambda: self.answers >= wanted)

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(**self._parameters, connect_timeout=2) as session:
                    row = session.execute("SELECT count(*) FROM orders").fetchone()
                    self.seen.add(row[0] if row else -1)
                self.answers += 1
            except psycopg.OperationalError:
                pass
            time.sleep(0.005)


@contextmanager
def a_lock_on(haven: Haven, database: str) -> Iterator[Callable[[], None]]:
    """A transaction elsewhere that keeps `database` from being renamed; call what is yielded to end it."""
    with psycopg.connect(**haven.connection.to("postgres").parameters()) as session:
        session.execute(f"COMMENT ON DATABASE {database} IS 'open'".encode())
        yield session.rollback


def until(found: Callable[[], object], *, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < ends
        time.sleep(0.01)


def at_swap(act: Callable[[], None]) -> Callable[[Job], None]:
    """on_progress: do it once, when the names are to be swapped."""
    done: list[bool] = []

    def look(job: Job) -> None:
        if job.progress.step == "swap" and not done:
            done.append(True)
            act()

    return look


def test_whoever_holds_a_lock_on_the_database_shuts_no_reader_out(haven: Haven) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    job = haven.request(backup, replace=True)
    with a_lock_on(haven, haven.connection.dbname) as release, Readers(haven) as readers:

        def read_and_release() -> None:
            readers.answered(10)
            release()

        look = at_swap(threading.Thread(target=read_and_release).start)
        assert haven.runner.run_here(job, on_progress=look).state is JobState.COMPLETED, haven.log(job)
    record = haven.restores.all()[0]
    assert readers.seen == {10, 2000}
    assert record.downtime_ms is not None


def test_a_lock_that_stays_ends_the_restore_with_its_name(haven: Haven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "LOCK_PATIENCE", 2.0)
    backup = haven.take()
    before = haven.facts()
    answers: list[int] = []
    with a_lock_on(haven, haven.connection.dbname), Readers(haven) as readers:
        job = haven.restore(backup, replace=True, on_progress=at_swap(lambda: answers.append(readers.answers)))
        answers.append(readers.answers)
    assert job.error is not None and job.error["kind"] == "Conflict"
    assert "lock" in str(job.error["cause"]) and job.error["advice"]
    assert words(job) == "Nothing was changed."
    assert answers[1] > answers[0] + 1, "nobody could read while the swap waited"
    assert (haven.facts(), leftovers(haven)) == (before, [])


def test_cancel_is_heard_while_the_swap_waits_for_a_lock(haven: Haven) -> None:
    backup = haven.take()
    before = haven.facts()
    job = haven.request(backup, replace=True)
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.monotonic())
        haven.jobs.ask_to_stop(job.job_id, by="ben")

    with a_lock_on(haven, haven.connection.dbname):
        look = at_swap(threading.Timer(0.5, press).start)
        assert haven.runner.run_here(job, on_progress=look).state is JobState.CANCELLED
        assert time.monotonic() - pressed[0] < 2
    assert (haven.facts(), leftovers(haven)) == (before, [])


def test_a_lock_that_comes_after_the_target_was_closed_opens_it_again(
    haven: Haven, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    target, real = haven.connection.dbname, swap.allow
    asked: list[tuple[str, bool]] = []
    with psycopg.connect(**haven.connection.to("postgres").parameters()) as other, Readers(haven) as readers:

        def comes_between(session: Any, name: str, allowed: bool) -> None:
            real(session, name, allowed)
            asked.append((name, allowed))
            if len(asked) == 1:
                other.execute(f"COMMENT ON DATABASE {target} IS 'open'".encode())
            elif len(asked) == 2:
                readers.answered()  # with the lock still there
                other.rollback()

        monkeypatch.setattr(swap, "allow", comes_between)
        record = haven.restored(backup, replace=True)
    assert asked == [(target, False), (target, True), (target, False), (record.kept_as, True)]
    assert readers.seen == {10, 2000}


def test_a_record_that_cannot_be_written_after_the_swap_is_not_a_failure(
    haven: Haven, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders")
    real = Records.save

    def full(self: Any, record: Any, **options: Any) -> None:
        if isinstance(record, RestoreRecord) and record.state.ended:
            raise OSError(28, "No space left on device")
        real(self, record, **options)

    monkeypatch.setattr(Records, "save", full)
    job = haven.restore(backup, replace=True)
    assert (job.state, haven.ask("SELECT count(*) FROM orders")) == (JobState.COMPLETED, 2000)
    assert haven.restores.all()[0].state is RestoreState.SWAPPING
    monkeypatch.undo()
    assert [record.state for record in haven.restores.reconcile()] == [RestoreState.COMPLETED]


@pytest.mark.parametrize("swapped", [True, False])
def test_a_swap_of_which_nothing_is_known_says_so_until_the_server_is_asked_again(
    haven: Haven, monkeypatch: pytest.MonkeyPatch, swapped: bool
) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders")
    real = swap.rename
    renamed: list[str] = []

    def lost(session: Any, name: str, to: str) -> None:
        if not swapped:
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        real(session, name, to)
        renamed.append(to)

    def lost_answer(name: str) -> None:
        if name == "swap:committed" and swapped:
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    def unreachable(*_: Any, **__: Any) -> RestoreRecord:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patched:
        patched.setattr(swap, "rename", lost)
        patched.setattr(swap, "crashpoint", lost_answer)
        patched.setattr(swap, "settle", unreachable)
        job = haven.restore(backup, replace=True)
        assert haven.restores.reconcile() == []
    assert job.state is JobState.FAILED
    assert words(job) == NOT_KNOWN.template
    assert words(haven.jobs.get(job.job_id)) == NOT_KNOWN.template
    assert haven.restores.all()[0].unsettled
    [record] = haven.restores.reconcile()
    job = haven.jobs.get(job.job_id)
    if swapped:
        assert (record.state, job.state, job.error) == (RestoreState.COMPLETED, JobState.COMPLETED, None)
        assert job.result["kept_as"] == record.kept_as
        assert haven.ask("SELECT count(*) FROM orders") == 2000
    else:
        assert (record.state, job.state, words(job)) == (RestoreState.FAILED, JobState.FAILED, "Nothing was changed.")
        assert haven.ask("SELECT count(*) FROM orders") == 0
    assert leftovers(haven) == []


def test_a_crash_in_the_swap_does_not_say_that_nothing_was_changed(haven: Haven) -> None:
    backup = haven.take()
    job = haven.request(backup, replace=True)
    assert haven.crash(job, "swap:committed") == -signal.SIGKILL
    after = Haven(haven.folder, haven.connection)
    after.jobs.mark_interrupted()
    [record] = after.restores.reconcile()
    assert (record.state, after.jobs.get(job.job_id).state) == (RestoreState.COMPLETED, JobState.COMPLETED)


def test_a_database_whose_creation_outlives_us_is_swept_too(haven: Haven) -> None:
    backup = haven.take()
    before = haven.databases()
    job = haven.request(backup, replace=True)
    creating = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE%%_restoring_%%'"
    with a_lock_on(haven, "template0"):
        restoring = haven.elsewhere(job)
        until(lambda: haven.ask(creating + " AND state = 'active'", database="postgres"))
        os.kill(restoring.pid, signal.SIGKILL)
        restoring.wait()
        after = Haven(haven.folder, haven.connection)
        after.jobs.mark_interrupted()
        assert [record.state for record in after.restores.reconcile()] == [RestoreState.INTERRUPTED]
    until(lambda: not haven.ask(creating, database="postgres"))
    assert haven.databases() == before


def test_a_restore_that_ends_while_it_is_looked_at_keeps_its_end(haven: Haven) -> None:
    """Its record is read while it runs; when its lock is free, that copy is old."""
    backup = haven.take()
    job = haven.request(backup, replace=True)
    other = Haven(haven.folder, haven.connection)
    compared, listed = threading.Event(), threading.Event()
    settled: list[RestoreRecord] = []

    def look(running: Job) -> None:
        if running.progress.step == "compare":
            compared.set()
            assert listed.wait(20)

    def is_held(name: str) -> bool:
        listed.set()
        until(lambda: not haven.locks.is_held(name))
        return False

    other.locks.is_held = is_held  # type: ignore[method-assign]

    def reconcile() -> None:
        compared.wait(20)
        settled.extend(other.restores.reconcile())

    looking = threading.Thread(target=reconcile)
    looking.start()
    assert haven.runner.run_here(job, on_progress=look).state is JobState.COMPLETED
    looking.join()
    assert (settled, haven.restores.all()[0].state) == ([], RestoreState.COMPLETED)


def test_a_half_made_database_with_a_subscription_is_dropped(haven: Haven) -> None:
    backup = haven.take()
    job = haven.request(backup, replace=True)
    assert haven.crash(job, "restore:created") == -signal.SIGKILL
    after = Haven(haven.folder, haven.connection)
    after.jobs.mark_interrupted()
    [name] = leftovers(after)
    after.run(
        "CREATE SUBSCRIPTION \"a Sub\" CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)", database=name
    )
    assert [record.state for record in after.restores.reconcile()] == [RestoreState.INTERRUPTED]
    assert leftovers(after) == []


def test_a_database_with_an_unsettled_restore_is_neither_removed_nor_moved(
    an_open_storage: Storage, empty_database: Connection
) -> None:
    storage = an_open_storage
    storage.restores._records.save(
        RestoreRecord(
            restore_id="r1", backup_id="b1", database="shop", mode=Mode.NEW, target="x", beside="x_restoring_r1",
            started_at=storage.clock(), job_id="j1",
        )
    )  # fmt: skip
    with pytest.raises(Conflict, match="did not reach its end"):
        storage.databases.remove("shop")
    with pytest.raises(Conflict, match="did not reach its end"):
        storage.databases.change("shop", empty_database.to("postgres"))
    assert [record.state for record in storage.restores.reconcile()] == [RestoreState.INTERRUPTED]
    storage.databases.remove("shop")
