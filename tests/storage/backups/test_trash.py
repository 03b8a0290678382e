"""The trash: into it, out of it, away; and at every moment killed, with the records there or lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from storage import crashpoints
from storage.backups import retention
from storage.backups.catalog import Catalog
from storage.backups.copies import Copy, CopyState
from storage.backups.protection import protection
from storage.backups.record import BackupRecord, BackupState
from storage.backups.trash import Trash
from storage.errors import Conflict, Damaged
from storage.locks.filelocks import FileLocks
from tests.builders import NOON, a_backup
from tests.conftest import StandingClock

BODY = b"PGDMP" + bytes(range(256)) * 8
ROOT = Path(__file__).resolve().parents[3]


def open_trash(
    folder: Path, *, clock: Callable[[], object] | None = None, in_use: tuple[str, ...] = (), registered: bool = True
) -> Trash:
    moment = clock or (lambda: NOON)
    return Trash(
        Catalog(folder, clock=moment),  # type: ignore[arg-type]
        locks=FileLocks(folder / "locks"),
        clock=moment,  # type: ignore[arg-type]
        in_use=lambda database: in_use,
        registered=lambda database: registered,
    )


def keep(trash: Trash, record: BackupRecord) -> BackupRecord:
    record = record.with_(bytes=len(BODY))
    path = trash.catalog.archive_path(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    if record.state is not BackupState.MISSING:
        path.write_bytes(BODY)
    trash.catalog.save(record)
    return record


def files(folder: Path) -> list[str]:
    return sorted(
        f"{part}/{path.name}" for part in ("archives", "trash") for path in (folder / part).rglob("*") if path.is_file()
    )


def names(record: BackupRecord, part: str) -> list[str]:
    name = Path(record.archive).stem
    return [f"{part}/{name}.dump", f"{part}/{name}.json"]


@pytest.fixture
def trash(storage_folder: Path, clock: StandingClock) -> Trash:
    return open_trash(storage_folder, clock=clock)


@pytest.fixture
def record(trash: Trash) -> BackupRecord:
    keep(trash, a_backup(at=NOON - timedelta(hours=1)))  # the newest good one, which nobody may throw away
    return keep(trash, a_backup(at=NOON - timedelta(days=1)))


def test_what_is_in_the_trash_protects_nothing_and_comes_back_as_it_was(trash: Trash, record: BackupRecord) -> None:
    trashed = trash.discard(record.backup_id, by="ana")
    assert (trashed.state, trashed.good) == (BackupState.TRASHED, False)
    assert trashed.trashed is not None and trashed.trashed.until - trashed.trashed.at == timedelta(days=7)
    assert [one.backup_id for one in trash.all()] == [record.backup_id]
    assert set(names(record, "trash")) <= set(files(trash.catalog.data_folder))
    with pytest.raises(Damaged, match="trashed"):
        trash.catalog.good_archive(trashed)

    assert trash.put_back(record.backup_id) == record
    assert trash.catalog.good_archive(record).read_bytes() == BODY
    assert [name for name in files(trash.catalog.data_folder) if name.startswith("trash")] == []


def test_after_seven_days_its_archive_is_erased_and_the_history_knows_it_for_a_year(
    trash: Trash, record: BackupRecord, clock: StandingClock
) -> None:
    trash.discard(record.backup_id, by="ana")
    clock.forward(days=6, hours=23)
    assert trash.settle() == []
    clock.forward(hours=1)
    assert [one.backup_id for one in trash.settle()] == [record.backup_id]
    erased = trash.catalog.get(record.backup_id)
    assert (erased.state, erased.good, erased.tables) == (BackupState.ERASED, False, record.tables)
    assert [name for name in files(trash.catalog.data_folder) if Path(record.archive).stem in name] == []
    assert trash.catalog.rebuild() == [] and trash.catalog.check_files() == []
    with pytest.raises(Conflict):
        trash.put_back(record.backup_id)
    clock.forward(days=365)
    trash.settle()
    assert trash.catalog.get(record.backup_id) == erased
    clock.forward(days=1)
    trash.settle()
    assert trash.catalog.find(states={BackupState.ERASED}) == []


def test_emptying_erases_at_once_and_leaves_the_others(trash: Trash, record: BackupRecord) -> None:
    other = keep(trash, a_backup(at=NOON - timedelta(days=2)))
    trash.discard(record.backup_id, by="ana")
    trash.discard(other.backup_id, by="ana")
    trash.erase(other.backup_id)
    assert [one.backup_id for one in trash.empty()] == [record.backup_id]
    assert {one.state for one in trash.catalog.all()} == {BackupState.ERASED, BackupState.COMPLETE}
    assert len(trash.catalog.find(states={BackupState.COMPLETE})) == 1 and len(files(trash.catalog.data_folder)) == 2


def test_a_damaged_backup_comes_back_damaged(trash: Trash) -> None:
    record = keep(trash, a_backup(state=BackupState.DAMAGED))
    trash.discard(record.backup_id, by="ana")
    assert trash.put_back(record.backup_id).state is BackupState.DAMAGED


def test_what_was_missing_can_be_thrown_away(trash: Trash) -> None:
    record = keep(trash, a_backup(state=BackupState.MISSING))
    trash.discard(record.backup_id, by="ana")
    trash.empty()
    assert trash.catalog.get(record.backup_id).state is BackupState.ERASED
    assert files(trash.catalog.data_folder) == []


def test_a_person_is_refused_what_must_stay(trash: Trash, storage_folder: Path) -> None:
    last = keep(trash, a_backup())
    with pytest.raises(Conflict, match="only good backup of shop"):
        trash.discard(last.backup_id, by="ana")
    pinned = keep(trash, a_backup(at=NOON - timedelta(days=1), pinned=True))
    with pytest.raises(Conflict, match="pinned"):
        trash.discard(pinned.backup_id, by="ana")
    failed = keep(trash, a_backup(state=BackupState.FAILED, archive="archives/shop/none.dump"))
    with pytest.raises(Conflict, match="cannot be moved to the trash"):
        trash.discard(failed.backup_id, by="ana")
    used = keep(trash, a_backup(at=NOON - timedelta(days=2)))
    with pytest.raises(Conflict, match="A job is using"):
        open_trash(storage_folder, in_use=(used.backup_id,)).discard(used.backup_id, by="ana")
    open_trash(storage_folder, registered=False).discard(last.backup_id, by="ana")


def test_an_archive_that_is_gone_from_the_trash_is_not_put_back(trash: Trash, record: BackupRecord) -> None:
    trashed = trash.discard(record.backup_id, by="ana")
    trash.catalog.archive_path(trashed).unlink()
    with pytest.raises(Damaged, match="no longer in the trash"):
        trash.put_back(record.backup_id)
    with pytest.raises(Conflict, match="not in the trash"):
        trash.erase(trash.catalog.all()[0].backup_id)


def test_records_that_are_lost_are_rebuilt_as_trashed(trash: Trash, record: BackupRecord) -> None:
    trashed = trash.discard(record.backup_id, by="ana")
    shutil.rmtree(trash.catalog.data_folder / "metadata")
    again = Catalog(trash.catalog.data_folder, clock=lambda: NOON)
    assert {one.backup_id for one in again.rebuild()} > {record.backup_id}
    assert again.get(record.backup_id) == trashed


def test_a_look_that_ends_after_the_move_does_not_bring_a_backup_back(trash: Trash, record: BackupRecord) -> None:
    assert record.verified is not None
    trash.discard(record.backup_id, by="ana")
    assert trash.catalog.record_verification(record, record.verified).state is BackupState.TRASHED


def test_a_backup_with_a_copy_elsewhere_stays_known_until_that_goes(trash: Trash) -> None:
    copy = Copy(destination="far", state=CopyState.COMPLETE, key="shop/x.dump", bytes=len(BODY), at=NOON)
    keep(trash, a_backup(at=NOON - timedelta(hours=1)))
    record = keep(trash, a_backup(at=NOON - timedelta(days=1), copies=(copy,)))
    trash.discard(record.backup_id, by="ana")
    trash.empty()
    gone = trash.catalog.get(record.backup_id)
    assert (gone.state, gone.let_go, gone.archive) == (BackupState.MISSING, True, record.archive)
    assert trash.all() == [] and not trash.catalog.archive_path(gone).exists()
    assert [known.backup_id for known in retention.facts([gone])] == []
    assert protection("shop", trash.catalog.all(), now=NOON).protected
    trash.settle()
    assert trash.catalog.get(record.backup_id) == gone

    # Brought back, it is as good as any other.
    trash.catalog.archive_path(gone).write_bytes(BODY)
    assert record.verified is not None
    back = trash.catalog.record_verification(gone, record.verified)
    assert (back.good, back.trashed) == (True, None)
    trash.discard(record.backup_id, by="ana")
    trash.empty()

    deleted = replace(copy, state=CopyState.DELETED)
    trash.catalog.change(record.backup_id, lambda current: current.with_copy(deleted))
    trash.settle()
    assert trash.catalog.get(record.backup_id).state is BackupState.ERASED
    assert trash.catalog.rebuild() == []


WORK = """
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from tests.storage.backups.test_trash import open_trash
folder, backup_id, verb, moment = sys.argv[1:]
trash = open_trash(Path(folder), clock=lambda: datetime.fromisoformat(moment))
{"discard": lambda: trash.discard(backup_id, by="ana"), "put_back": lambda: trash.put_back(backup_id),
 "erase": lambda: trash.erase(backup_id), "settle": trash.settle}[verb]()
"""


def killed(trash: Trash, record: BackupRecord, verb: str, *, at: str) -> None:
    """Do it in a process of its own that dies at a crash point."""
    moment = NOON.isoformat()
    command = [sys.executable, "-c", WORK, str(trash.catalog.data_folder), record.backup_id, verb, moment]
    environment = {**os.environ, crashpoints.VARIABLE: at, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == -signal.SIGKILL


def lose_the_records(folder: Path) -> None:
    shutil.rmtree(folder / "metadata")


def whole(trash: Trash, backup_id: str) -> BackupRecord:
    """The record, when its archive and its copy are where it says, and nowhere else."""
    record = trash.catalog.get(backup_id)
    part = "trash" if record.state is BackupState.TRASHED else "archives"
    name = Path(record.archive).stem
    assert [file for file in files(trash.catalog.data_folder) if name in file] == names(record, part)
    assert trash.catalog.archive_path(record).read_bytes() == BODY
    return record


@pytest.mark.parametrize("point", crashpoints.TRASHING)
@pytest.mark.parametrize("lost", [False, True])
def test_killed_on_the_way_into_the_trash(trash: Trash, record: BackupRecord, point: str, lost: bool) -> None:
    killed(trash, record, "discard", at=point)
    if lost:
        lose_the_records(trash.catalog.data_folder)
    after = open_trash(trash.catalog.data_folder)
    after.catalog.rebuild()
    after.settle()
    found = whole(after, record.backup_id)
    # Without its record a backup is where its archive is: nothing was decided that anybody could know of.
    not_yet = lost and point in ("trash:recorded", "trash:copied")
    assert found.state is (BackupState.COMPLETE if not_yet else BackupState.TRASHED)
    if not not_yet:
        assert after.put_back(record.backup_id).good
        whole(after, record.backup_id)


@pytest.mark.parametrize("point", crashpoints.PUTTING_BACK)
@pytest.mark.parametrize("lost", [False, True])
def test_killed_on_the_way_out_of_the_trash(trash: Trash, record: BackupRecord, point: str, lost: bool) -> None:
    trash.discard(record.backup_id, by="ana")
    killed(trash, record, "put_back", at=point)
    if lost:
        lose_the_records(trash.catalog.data_folder)
    after = open_trash(trash.catalog.data_folder)
    after.catalog.rebuild()
    after.catalog.check_files()
    after.settle()
    found = whole(after, record.backup_id)
    assert found.state in (BackupState.TRASHED, BackupState.COMPLETE)
    if found.state is BackupState.TRASHED:
        after.put_back(record.backup_id)
    assert whole(after, record.backup_id).good


@pytest.mark.parametrize("point", crashpoints.ERASING)
@pytest.mark.parametrize("verb", ["erase", "settle"])
def test_killed_while_erasing(trash: Trash, record: BackupRecord, point: str, verb: str) -> None:
    early = open_trash(trash.catalog.data_folder, clock=lambda: NOON - timedelta(days=8 if verb == "settle" else 0))
    early.discard(record.backup_id, by="ana")
    killed(trash, record, verb, at=point)
    after = open_trash(trash.catalog.data_folder)
    after.catalog.rebuild()
    after.settle()
    assert [one.backup_id for one in after.catalog.all()] != []
    assert after.catalog.get(record.backup_id).state is BackupState.ERASED
    assert [file for file in files(trash.catalog.data_folder) if Path(record.archive).stem in file] == []


@pytest.mark.parametrize("point", crashpoints.TRASHING[:-1])
def test_killed_on_the_way_into_the_trash_it_can_still_be_put_back_at_once(
    trash: Trash, record: BackupRecord, point: str
) -> None:
    killed(trash, record, "discard", at=point)
    assert open_trash(trash.catalog.data_folder).put_back(record.backup_id).good
    whole(trash, record.backup_id)


def test_archives_on_a_disk_of_their_own_wait_where_they_are(storage_folder: Path) -> None:
    """Moving between disks is a copy, and can be half done."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (storage_folder / "archives").symlink_to(elsewhere)
        assert os.stat(elsewhere).st_dev != storage_folder.stat().st_dev
        trash = open_trash(storage_folder, registered=False)
        record = keep(trash, a_backup())
        trashed = trash.discard(record.backup_id, by="ana")
        assert (trashed.state, trashed.archive) == (BackupState.TRASHED, record.archive)
        assert trash.settle() == [] and trash.catalog.archive_path(trashed).exists()
        shutil.rmtree(storage_folder / "metadata")
        again = open_trash(storage_folder, registered=False)
        assert again.catalog.rebuild() == [trashed]
        assert again.put_back(record.backup_id) == record
        assert again.catalog.good_archive(record).read_bytes() == BODY
        again.discard(record.backup_id, by="ana")
        again.empty()
        assert again.catalog.get(record.backup_id).state is BackupState.ERASED
        assert files(storage_folder) == []
