"""Restores that end badly leave the target exactly as it was, and say so."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from storage import crashpoints
from storage.errors import Conflict
from storage.jobs.model import Job, JobState
from storage.restores import parallel_copy, swap
from storage.restores.record import RestoreRecord, RestoreState
from tests.storage.restores.conftest import Haven

pytestmark = pytest.mark.postgres

SLOW = """
CREATE TABLE many (id int PRIMARY KEY, a text, b text);
INSERT INTO many SELECT i, md5(i::text), md5((i * 7)::text) FROM generate_series(1, 300000) i;
CREATE INDEX many_a ON many (a);
CREATE INDEX many_b ON many (b);
"""


def leftovers(haven: Haven) -> list[str]:
    return [name for name in haven.databases() if "_restoring_" in name]


def words(job: Job) -> str:
    assert job.error is not None
    return str(job.error["effect"]["template"])


def pg_restores() -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"pg_restore\0--dbname" in command and f"PPid:\t{os.getpid()}" in (folder / "status").read_text():
            found.append(int(folder.name))
    return found


def when_loading(haven: Haven, act: object) -> threading.Thread:
    """Do something in the middle of the load, as soon as pg_restore is at work in the new database."""
    return when_active(haven, "(query LIKE 'COPY%%' OR query LIKE 'CREATE INDEX%%')", act)


def when_active(haven: Haven, doing: LiteralString, act: object) -> threading.Thread:
    """Do something as soon as a session works on such a query in the new database."""

    def wait() -> None:
        assert callable(act)
        until = time.monotonic() + 30
        with psycopg.connect(**haven.connection.to("postgres").parameters(), autocommit=True) as session:
            while time.monotonic() < until:
                at_work = session.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE '%%_restoring_%%' AND state = 'active'"
                    " AND " + doing,
                    (),
                ).fetchone()
                if at_work and at_work[0]:
                    act()
                    return
                time.sleep(0.01)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.fixture(params=["pg_restore alone", "several sessions"])
def slow(haven: Haven, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Haven:
    """A shop whose restore takes a second or two, its largest table loaded in one way or the other."""
    if request.param == "several sessions":
        monkeypatch.setattr(parallel_copy, "LEAST_BYTES", 0)
    haven.run(SLOW)
    return haven


@pytest.mark.parametrize("replace", [True, False])
def test_pg_restore_killed_in_the_middle_changes_nothing(slow: Haven, replace: bool) -> None:
    backup = slow.take()
    before = slow.facts()
    killing = when_loading(slow, lambda: [os.kill(pid, signal.SIGKILL) for pid in pg_restores()])
    job = slow.restore(backup, replace=replace)
    killing.join()
    assert job.state is JobState.FAILED
    assert words(job) == "Nothing was changed."
    assert (slow.facts(), leftovers(slow)) == (before, [])
    assert slow.restores.all()[0].state is RestoreState.FAILED
    assert slow.restored(backup, replace=replace).state is RestoreState.COMPLETED


def test_cancel_in_the_middle_works_at_once_and_changes_nothing(slow: Haven) -> None:
    backup = slow.take()
    before = slow.facts()
    job = slow.request(backup, replace=True)
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.monotonic())
        slow.jobs.ask_to_stop(job.job_id, by="ben")

    pressing = when_loading(slow, press)
    ended = slow.runner.run_here(job)
    took = time.monotonic() - pressed[0]
    pressing.join()
    assert ended.state is JobState.CANCELLED
    assert took < 4
    assert (slow.facts(), leftovers(slow), pg_restores()) == (before, [], [])
    assert slow.restores.all()[0].state is RestoreState.CANCELLED


def test_the_sessions_of_a_load_ended_by_the_server_change_nothing(slow: Haven) -> None:
    backup = slow.take()
    before = slow.facts()
    ended = threading.Event()

    def end_until_it_ended() -> None:
        # Again and again: a session that had just loaded its last row is not missed by anybody.
        while not ended.wait(0.02):
            slow.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname LIKE '%_restoring_%' AND (query LIKE 'COPY%' OR query LIKE 'CREATE INDEX%')",
                database="postgres",
            )

    ending = when_loading(slow, end_until_it_ended)
    job = slow.restore(backup, replace=True)
    ended.set()
    ending.join()
    assert job.state is JobState.FAILED
    assert (slow.facts(), leftovers(slow)) == (before, [])


@pytest.mark.parametrize("point", crashpoints.RESTORING)
def test_a_crash_at_any_point_is_put_in_order_at_the_next_start(haven: Haven, point: str) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    before = haven.facts()
    job = haven.request(backup, replace=True)
    assert haven.crash(job, point) == -signal.SIGKILL

    after = Haven(haven.folder, haven.connection)
    after.jobs.mark_interrupted()
    after.staging.sweep()
    settled = after.restores.reconcile()
    assert len(settled) == 1
    record = after.restores.get(settled[0].restore_id)
    assert leftovers(after) == []
    assert after.ask("SELECT datallowconn FROM pg_database WHERE datname = %s", haven.connection.dbname)
    if point == "swap:committed":
        assert record.state is RestoreState.COMPLETED
        assert after.ask("SELECT count(*) FROM orders") == 2000
        assert after.ask("SELECT count(*) FROM orders", database=record.kept_as) == 10
    else:
        assert (record.state, record.kept_as) == (RestoreState.INTERRUPTED, "")
        assert after.facts() == before
    assert after.restores.reconcile() == []
    assert after.restored(backup, replace=True).state is RestoreState.COMPLETED


def test_a_crash_of_a_restore_into_a_new_database_leaves_none(haven: Haven) -> None:
    backup = haven.take()
    before = haven.databases()
    job = haven.request(backup, target="shop_again")
    assert haven.crash(job, "swap:journal") == -signal.SIGKILL
    after = Haven(haven.folder, haven.connection)
    assert [record.state for record in after.restores.reconcile()] == [RestoreState.INTERRUPTED]
    assert after.databases() == before


def test_sessions_of_the_target_are_ended_and_see_one_database_or_the_other(haven: Haven) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    seen: set[int] = set()
    outages: list[float] = []
    stop = threading.Event()
    idle = psycopg.connect(**haven.connection.parameters(), autocommit=True)

    def probe() -> None:
        last = time.monotonic()
        while not stop.is_set():
            try:
                with psycopg.connect(**haven.connection.parameters(), connect_timeout=2) as session:
                    row = session.execute("SELECT count(*) FROM orders").fetchone()
                    assert row is not None
                    seen.add(row[0])
                outages.append(time.monotonic() - last)
                last = time.monotonic()
            except psycopg.OperationalError:
                pass
            time.sleep(0.005)

    probing = threading.Thread(target=probe, daemon=True)
    probing.start()
    record = haven.restored(backup, replace=True)
    time.sleep(0.2)
    stop.set()
    probing.join()
    assert seen == {10, 2000}
    assert record.downtime_ms is not None and record.downtime_ms < 100
    assert max(outages) < 0.5
    with pytest.raises(psycopg.OperationalError):
        idle.execute("SELECT 1")


def test_a_damaged_archive_never_reaches_the_server(haven: Haven) -> None:
    backup = haven.take()
    good = haven.take()
    path = haven.catalog.archive_path(backup)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    started = haven.ask("SELECT count(*) FROM pg_stat_database", database="postgres")
    job = haven.restore(backup, replace=True)
    assert job.state is JobState.FAILED
    assert job.error is not None and job.error["kind"] == "Damaged"
    assert good.backup_id in str(job.error["advice"])
    assert "SHA-256" in str(job.error["cause"])
    assert not any("server " in line for line in haven.log(job))
    assert haven.catalog.get(backup.backup_id).state.value == "damaged"
    assert haven.ask("SELECT count(*) FROM pg_stat_database", database="postgres") == started


@pytest.mark.parametrize("content", [b"-- PostgreSQL database dump\n", b"", b"<!doctype html>"])
def test_a_file_that_is_no_archive_is_refused_before_the_server_is_asked(haven: Haven, content: bytes) -> None:
    backup = haven.take()
    haven.catalog.archive_path(backup).write_bytes(content)
    job = haven.restore(backup, replace=True)
    assert (job.state, words(job)) == (JobState.FAILED, "Nothing was changed.")
    assert not any("server " in line for line in haven.log(job))


def test_rows_that_are_not_those_of_the_manifest_are_never_called_restored(haven: Haven) -> None:
    backup = haven.take()
    tables = dict(backup.tables)
    tables["public.orders"] = type(tables["public.orders"])(rows=2000, digest="1:" + "0" * 32, bytes=8192)
    haven.catalog.save(backup.with_(tables=tables))
    before = haven.facts()
    job = haven.restore(backup, replace=True)
    assert job.state is JobState.FAILED
    assert job.error is not None and job.error["kind"] == "Damaged"
    assert "public.orders" in str(job.error["cause"])
    assert (haven.facts(), leftovers(haven)) == (before, [])


def test_a_prepared_transaction_blocks_the_plan(haven: Haven) -> None:
    backup = haven.take()
    haven.run("BEGIN; INSERT INTO users VALUES (1000, 'x'); PREPARE TRANSACTION 'one'")
    job = haven.restore(backup, replace=True)
    assert job.error is not None and job.error["kind"] == Conflict.__name__
    haven.run("ROLLBACK PREPARED 'one'")


def test_a_swap_whose_answer_is_lost_is_found_to_be_done(haven: Haven, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders")
    real = swap.replace

    def lost(*arguments: Any, **named: Any) -> RestoreRecord:
        real(*arguments, **named)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(swap, "replace", lost)
    job = haven.restore(backup, replace=True)
    assert job.state is JobState.COMPLETED
    record = haven.restores.get(job.result["restore_id"])
    assert (record.state, record.beside) == (RestoreState.COMPLETED, "")
    assert haven.ask("SELECT count(*) FROM orders") == 2000
