"""The snapshot before a restore, and the way back: by the names, or from the snapshot."""

from __future__ import annotations

import time
from threading import Event

import pytest

from storage.backups import take
from storage.backups.dumping import Dump
from storage.backups.record import BackupKind, BackupRecord, BackupState
from storage.errors import Conflict, Damaged, Invalid, Unavailable, say
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobState
from storage.restores import run
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import Mode
from storage.restores.undo import can_be_undone
from tests.storage.restores.conftest import Haven

pytestmark = pytest.mark.postgres


def replaced(haven: Haven) -> RestoreRecord:
    """A restore that replaced a shop of 10 orders by one of 2000."""
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    return haven.restored(backup, replace=True)


def orders(haven: Haven, database: str = "") -> int:
    return int(haven.ask("SELECT count(*) FROM orders", database=database))


def undone(haven: Haven, restore_id: str, *, drop: bool = False) -> RestoreRecord:
    job, _ = haven.restores.undo(restore_id, by="ana", drop=drop, background=False)
    job = haven.runner.run_here(job)
    assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
    return haven.restores.get(job.result["restore_id"])


def test_story_1_7_ac5_a_snapshot_of_the_present_data_is_taken_before_it_is_replaced(haven: Haven) -> None:
    record = replaced(haven)
    snapshot = haven.catalog.get(record.snapshot_id)
    assert (snapshot.kind, snapshot.good, snapshot.taken_by) == (BackupKind.SNAPSHOT, True, "ana")
    assert snapshot.tables["public.orders"].rows == 10
    assert snapshot.verified and snapshot.verified.good
    # The database itself is kept as well, so that nobody has to wait for digests (docs/decisions/0010).
    assert [facts.digest for facts in snapshot.tables.values()] == [None] * len(snapshot.tables)
    haven.restored(snapshot, target="as_it_was")
    assert orders(haven, "as_it_was") == 10


def test_story_1_7_ac5_the_archive_is_checked_before_and_every_table_after(haven: Haven) -> None:
    record = replaced(haven)
    log = haven.log(haven.jobs.get(record.job_id))
    checked, taken = (next(n for n, line in enumerate(log) if words in line)
                      for words in ("SHA-256 equal to what was written", "snapshot of "))  # fmt: skip
    assert checked < taken
    assert (record.tables_compared, record.tables_equal, record.rows_compared) == (2, 2, 2200)


def test_the_snapshot_is_taken_while_the_backup_is_restored_and_is_whole_before_the_swap(haven: Haven) -> None:
    backup = haven.take()
    seen: list[Job] = []
    job = haven.restore(backup, replace=True, on_progress=seen.append)
    assert [step.code for step in job.steps] == ["turn", "verify", "look", "load", "compare", "snapshot", "swap"]
    log = haven.log(job)
    positions = [next(n for n, line in enumerate(log) if words in line)
                 for words in ("snapshot of ", "names swapped")]  # fmt: skip
    assert positions == sorted(positions)
    assert haven.catalog.get(job.result["snapshot_id"]).kind is BackupKind.SNAPSHOT
    assert max(seen_job.progress.percent or 0 for seen_job in seen if seen_job.progress.step == "load") < 100


def test_a_snapshot_that_fails_ends_the_restore_with_nothing_changed(
    haven: Haven, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")

    def refused(*_: object, **__: object) -> None:
        raise Unavailable(say("The disk is full."))

    monkeypatch.setattr(take, "publish", refused)
    job = haven.restore(backup, replace=True)
    assert job.state is JobState.FAILED and job.error
    assert job.error["cause"]["template"] == "The disk is full."
    assert orders(haven) == 10
    assert not [name for name in haven.databases() if name.startswith(f"{haven.connection.dbname}_")]
    assert haven.catalog.get(snapshots(haven)[0]).state is BackupState.FAILED


def test_a_restore_that_fails_gives_its_snapshot_up(haven: Haven, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = haven.take()
    at_work = Event()
    ended: list[str] = []

    def never_whole(self: take.Taker, context: JobContext, record: BackupRecord, dump: Dump) -> BackupRecord:
        at_work.set()
        try:
            while True:
                context.checkpoint()
                time.sleep(0.01)
        finally:
            ended.append(record.backup_id)

    def broken(*_: object, **__: object) -> None:
        assert at_work.wait(30)
        raise Damaged(say("The archive broke."))

    monkeypatch.setattr(take.Taker, "_read_back", never_whole)
    monkeypatch.setattr(run, "load", broken)
    job = haven.restore(backup, replace=True)
    assert job.state is JobState.FAILED and job.error
    assert job.error["cause"]["template"] == "The archive broke."
    [given_up] = ended
    record = haven.catalog.get(given_up)
    assert record.state is BackupState.CANCELLED and record.error
    assert record.error["cause"]["template"] == "The restore ended before its snapshot was whole."
    assert not list((haven.folder / "staging").iterdir())


def snapshots(haven: Haven) -> list[str]:
    return [record.backup_id for record in haven.catalog.find() if record.kind is BackupKind.SNAPSHOT]


def test_a_new_database_needs_no_snapshot(haven: Haven) -> None:
    record = haven.restored(haven.take(), target="beside_it")
    assert (record.snapshot_id, can_be_undone(record)) == ("", False)


def test_every_replacement_has_a_snapshot_of_its_own(haven: Haven) -> None:
    first = replaced(haven)
    second = haven.restored(haven.catalog.get(first.backup_id), replace=True)
    assert first.snapshot_id != second.snapshot_id
    assert haven.catalog.get(first.snapshot_id).good and haven.catalog.get(second.snapshot_id).good


def test_a_database_that_takes_no_connections_blocks_its_replacement_and_the_plan_says_why(haven: Haven) -> None:
    backup, name = haven.take(), haven.connection.dbname
    haven.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", database="postgres")
    job = haven.restore(backup, replace=True)
    assert job.state is JobState.FAILED and job.error
    assert job.error["cause"]["template"].startswith("No snapshot of %(name)s can be taken")
    assert haven.databases() >= {name}
    assert not [other for other in haven.databases() if other.startswith(f"{name}_")]


def test_undo_gives_the_database_of_before_its_name_back(haven: Haven) -> None:
    record = replaced(haven)
    back = undone(haven, record.restore_id)
    assert (orders(haven), orders(haven, back.kept_as)) == (10, 2000)
    assert back.mode is Mode.UNDO and back.kept_as.startswith(f"{haven.connection.dbname}_undone_")
    assert record.kept_as not in haven.databases()
    first = haven.restores.get(record.restore_id)
    assert first.undone_by == back.restore_id
    assert [kept.restore_id for kept in haven.restores.kept()] == [back.restore_id]
    with pytest.raises(Conflict, match="undone already"):
        haven.restores.undo(record.restore_id, by="ana")


def test_an_undo_can_be_undone(haven: Haven) -> None:
    back = undone(haven, replaced(haven).restore_id)
    again = undone(haven, back.restore_id)
    assert (orders(haven), orders(haven, again.kept_as)) == (2000, 10)


def test_undo_may_drop_what_was_restored(haven: Haven) -> None:
    back = undone(haven, replaced(haven).restore_id, drop=True)
    assert orders(haven) == 10
    assert back.kept_as not in haven.databases()
    assert haven.restores.kept() == []


def test_without_the_kept_database_undo_restores_the_snapshot(haven: Haven) -> None:
    record = replaced(haven)
    haven.run(f'DROP DATABASE "{record.kept_as}"', database="postgres")
    plan = haven.restores.plan_undo(record.restore_id)
    assert (plan.swaps, plan.blocked, plan.request.backup_id) == (False, False, record.snapshot_id)
    back = undone(haven, record.restore_id)
    assert (orders(haven), back.mode) == (10, Mode.REPLACE)
    assert haven.restores.get(record.restore_id).undone_by == back.restore_id


def test_the_later_of_two_restores_is_undone_first(haven: Haven) -> None:
    record = replaced(haven)
    later = haven.restored(haven.catalog.get(record.backup_id), replace=True)
    with pytest.raises(Conflict, match="no longer the database"):
        haven.restores.undo(record.restore_id, by="ana")
    undone(haven, later.restore_id)
    undone(haven, record.restore_id)
    assert orders(haven) == 10


def test_an_undo_with_nothing_left_of_before_is_refused(haven: Haven) -> None:
    record = replaced(haven)
    haven.run(f'DROP DATABASE "{record.kept_as}"', database="postgres")
    haven.catalog.archive_path(haven.catalog.get(record.snapshot_id)).unlink()
    with pytest.raises(Conflict, match="Neither the database of before nor a good snapshot"):
        haven.restores.undo(record.restore_id, by="ana")
    assert orders(haven) == 2000


@pytest.mark.parametrize("point", ["swap:journal", "swap:closed", "swap:emptied", "swap:renamed", "swap:committed"])
def test_a_crash_while_undoing_leaves_one_of_the_two_whole(haven: Haven, point: str) -> None:
    record = replaced(haven)
    job, _ = haven.restores.undo(record.restore_id, by="ana", background=False)
    assert haven.crash(job, at=point) != 0
    haven.jobs.mark_interrupted()
    haven.restores.reconcile()
    back = next(found for found in haven.restores.all() if found.undoes)
    if point == "swap:committed":
        assert (back.state, orders(haven), orders(haven, back.kept_as)) == (RestoreState.COMPLETED, 10, 2000)
        assert haven.restores.get(record.restore_id).undone_by == back.restore_id
    else:
        assert (back.state, orders(haven), orders(haven, record.kept_as)) == (RestoreState.INTERRUPTED, 2000, 10)
        undone(haven, record.restore_id)
        assert orders(haven) == 10


def test_a_kept_database_is_dropped_by_its_typed_name_alone(haven: Haven) -> None:
    record = replaced(haven)
    with pytest.raises(Invalid, match="was not typed"):
        haven.restores.drop_kept(record.restore_id, confirmed=haven.connection.dbname, by="ana")
    assert record.kept_as in haven.databases()
    dropped = haven.restores.drop_kept(record.restore_id, confirmed=record.kept_as, by="ana")
    assert record.kept_as not in haven.databases()
    assert dropped.kept_dropped_at and haven.restores.kept() == []
    assert can_be_undone(dropped)  # from the snapshot
    with pytest.raises(Conflict, match="keeps no database"):
        haven.restores.drop_kept(record.restore_id, confirmed=record.kept_as, by="ana")


def test_a_database_that_somebody_renamed_is_not_dropped(haven: Haven) -> None:
    record = replaced(haven)
    haven.run(f'ALTER DATABASE "{record.kept_as}" RENAME TO archive_of_mine', database="postgres")
    with pytest.raises(Conflict, match="has another name by now"):
        haven.restores.drop_kept(record.restore_id, confirmed=record.kept_as, by="ana")
    assert "archive_of_mine" in haven.databases()
