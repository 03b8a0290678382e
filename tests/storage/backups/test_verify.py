"""Damage found on disk: named, remembered, and never offered for restore."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage.backups.record import BackupRecord, BackupState, Verification
from storage.backups.verify import other_size
from storage.clock import utc_now
from storage.errors import Conflict, Damaged, Unavailable
from storage.jobs.model import JobState
from storage.jsonfiles import read
from tests.storage.backups.test_take import advice_of, error_of
from tests.storage.backups.workshop import Workshop

pytestmark = pytest.mark.postgres


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        os.truncate(path, path.stat().st_size - 1)
    elif how == "longer":
        with path.open("ab") as file:
            file.write(b"\0")
    else:
        content = bytearray(path.read_bytes())
        content[int(len(content) * 0.6)] ^= 1
        path.write_bytes(content)


def test_a_good_archive_stays_good_and_says_when_it_was_looked_at(workshop: Workshop) -> None:
    _, record = workshop.take()
    assert workshop.verify(record).state is JobState.COMPLETED
    again = workshop.catalog.get(record.backup_id)
    assert again.good
    assert record.verified and again.verified and again.verified.at > record.verified.at


@pytest.mark.parametrize(
    ("how", "state", "word"),
    [
        ("missing", BackupState.MISSING, "is not there"),
        ("truncated", BackupState.DAMAGED, "bytes"),
        ("longer", BackupState.DAMAGED, "bytes"),
        ("one bit flipped", BackupState.DAMAGED, "SHA-256"),
    ],
)
def test_damage_is_found_named_and_remembered(workshop: Workshop, how: str, state: BackupState, word: str) -> None:
    _, record = workshop.take()
    damage(workshop.catalog.archive_path(record), how)
    job = workshop.verify(record)
    assert job.state is JobState.FAILED
    assert word in error_of(job)
    now = workshop.catalog.get(record.backup_id)
    assert now.state is state
    assert now.verified and not now.verified.good and word in str(now.verified.reason)


@pytest.mark.parametrize(("how", "state"), [("missing", BackupState.MISSING), ("truncated", BackupState.DAMAGED)])
def test_the_cheap_look_finds_what_is_missing_or_has_another_size(
    workshop: Workshop, how: str, state: BackupState
) -> None:
    _, record = workshop.take()
    damage(workshop.catalog.archive_path(record), how)
    assert [changed.state for changed in workshop.catalog.check_files()] == [state]
    assert workshop.catalog.check_files() == []


def test_a_damaged_backup_is_not_offered_and_the_newest_good_one_is_named(workshop: Workshop) -> None:
    _, older = workshop.take()
    _, newer = workshop.take()
    damage(workshop.catalog.archive_path(newer), "one bit flipped")
    job = workshop.verify(newer)
    assert older.backup_id in advice_of(job)
    newest = workshop.catalog.newest_good("shop")
    assert newest is not None and newest.backup_id == older.backup_id
    with pytest.raises(Damaged, match=older.backup_id):
        workshop.catalog.good_archive(workshop.catalog.get(newer.backup_id))


def test_a_missing_archive_is_noticed_when_it_is_asked_for(workshop: Workshop) -> None:
    _, record = workshop.take()
    damage(workshop.catalog.archive_path(record), "missing")
    assert workshop.catalog.newest_good("shop") is None
    with pytest.raises(Damaged, match="missing"):
        workshop.catalog.good_archive(record)


def test_an_archive_that_comes_back_is_good_again_only_after_a_full_look(workshop: Workshop) -> None:
    _, record = workshop.take()
    path = workshop.catalog.archive_path(record)
    path.rename(path.with_suffix(".away"))
    assert [changed.state for changed in workshop.catalog.check_files()] == [BackupState.MISSING]
    assert workshop.catalog.come_back() == []
    path.with_suffix(".away").rename(path)
    damage(path, "one bit flipped")
    missing = workshop.catalog.get(record.backup_id)
    assert workshop.catalog.check_file(missing) == missing, "its size says nothing of its bits"
    assert workshop.catalog.come_back() == [missing]
    workshop.verify(missing)
    assert workshop.catalog.get(record.backup_id).state is BackupState.DAMAGED
    damage(path, "one bit flipped")  # back
    workshop.verify(missing)
    assert workshop.catalog.get(record.backup_id).good


def test_a_path_that_cannot_be_read_says_nothing_of_its_archive_and_hides_no_other(workshop: Workshop) -> None:
    _, unreadable = workshop.take()
    _, removed = workshop.take()
    path = workshop.catalog.archive_path(unreadable)
    path.rename(path.with_suffix(".away"))
    path.symlink_to(path)  # ELOOP: not even root can read it
    workshop.catalog.archive_path(removed).unlink()
    assert [changed.backup_id for changed in workshop.catalog.check_files()] == [removed.backup_id]
    assert workshop.catalog.get(unreadable.backup_id) == unreadable
    with pytest.raises(Unavailable, match="could not be read"):
        workshop.catalog.good_archive(unreadable)
    assert workshop.catalog.newest_good("shop") is None
    assert workshop.verify(unreadable).state is JobState.FAILED
    assert workshop.catalog.get(unreadable.backup_id) == unreadable


def test_why_an_archive_is_not_good_is_a_sentence_and_old_records_have_text() -> None:
    look = Verification(at=utc_now().replace(microsecond=0), good=False, seconds=1.0, reason=other_size(5, 6))
    assert str(look.reason) == "the file has 5 bytes, 6 were written"
    assert Verification.from_json(look.to_json()) == look
    old = Verification.from_json(look.to_json() | {"reason": "100% of it is gone"})
    assert str(old.reason) == "100% of it is gone" and Verification.from_json(old.to_json()) == old
    assert Verification.from_json(look.to_json() | {"reason": ""}).reason is None


def test_a_damaged_archive_is_good_again_only_after_a_full_look(workshop: Workshop) -> None:
    _, record = workshop.take()
    path = workshop.catalog.archive_path(record)
    whole = path.read_bytes()
    damage(path, "one bit flipped")
    workshop.verify(record)
    path.write_bytes(whole)
    assert workshop.catalog.check_files() == []
    assert workshop.catalog.get(record.backup_id).state is BackupState.DAMAGED
    workshop.verify(workshop.catalog.get(record.backup_id))
    assert workshop.catalog.get(record.backup_id).good


def test_the_copy_beside_the_archive_follows_the_record(workshop: Workshop) -> None:
    _, record = workshop.take()
    path = workshop.catalog.archive_path(record)
    damage(path, "one bit flipped")
    workshop.verify(record)
    assert BackupRecord.from_json(read(path.with_suffix(".json"))).state is BackupState.DAMAGED


def test_a_failed_backup_cannot_be_verified(workshop: Workshop) -> None:
    workshop.use(space_reserve=10**18)
    _, record = workshop.take()
    with pytest.raises(Conflict):
        workshop.backups.verify(record.backup_id, by="a test")
