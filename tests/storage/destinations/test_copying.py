"""Copies of real backups, at real places: made, looked at, brought back, forgotten; and a catalog from copies alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest

from storage.backups import copies_found
from storage.backups.copies import RECORD, Copy, CopyState, due_again, pause
from storage.backups.proof import Outcome, Proof
from storage.backups.record import BackupRecord, BackupState
from storage.destinations.destination import Destination, parse_url
from storage.destinations.store import Store
from storage.errors import Invalid
from storage.jobs.model import Job, JobState
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from storage.settings import Settings
from tests.builders import a_backup
from tests.storage.destinations.places import ObjectServer, Place

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def storage(an_open_storage: Storage, empty_database: Connection) -> Storage:
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE users AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 2000) i")
    return an_open_storage


def take(storage: Storage) -> BackupRecord:
    database = storage.databases.all()[0].name
    job, _ = storage.backups.take(database, by="tests", background=False)
    done = storage.runner.run_here(job)
    assert done.state is JobState.COMPLETED, done.error
    return storage.backups.catalog.get(str(done.result["backup_id"]))


def keep_at(storage: Storage, destination: Destination, **changes: Any) -> Destination:
    return storage.destinations.add(destination.with_(**changes), by="tests")


def copy_of(storage: Storage, record: BackupRecord, name: str) -> Copy:
    copy = storage.backups.catalog.get(record.backup_id).copy_at(name)
    assert copy is not None
    return copy


def copy_now(storage: Storage, record: BackupRecord, name: str) -> Job:
    job, _ = storage.copying.copy(record.backup_id, name, by="tests", background=False)
    return storage.runner.run_here(job)


def fetch_now(storage: Storage, record: BackupRecord, name: str, identity: str = "") -> Job:
    job, _ = storage.copying.fetch(
        record.backup_id, name, by="tests", identity=Secret(identity) if identity else None, background=False
    )
    return storage.runner.run_here(job)


def lose(storage: Storage, record: BackupRecord) -> None:
    storage.backups.catalog.archive_path(record).unlink()
    assert storage.backups.catalog.check_file(record).state is BackupState.MISSING


@pytest.mark.postgres
def test_an_archive_that_is_lost_comes_back_from_its_copy(storage: Storage, place: Place) -> None:
    record = take(storage)
    keep_at(storage, place("away"))
    assert copy_now(storage, record, "away").state is JobState.COMPLETED
    copy = copy_of(storage, record, "away")
    assert (copy.state, copy.sha256, copy.bytes) == (CopyState.COMPLETE, record.sha256, record.bytes)
    lose(storage, record)
    assert fetch_now(storage, record, "away").state is JobState.COMPLETED
    back = storage.backups.catalog.get(record.backup_id)
    assert back.good
    assert storage.backups.catalog.good_archive(back).stat().st_size == record.bytes


@pytest.mark.postgres
def test_a_copy_that_was_changed_there_is_found_and_never_brought_back(storage: Storage, place: Place) -> None:
    record = take(storage)
    destination = keep_at(storage, place("bent"))
    copy_now(storage, record, "bent")
    copy = copy_of(storage, record, "bent")
    store = Store(destination)
    content = bytearray(store.read(copy.key))
    content[len(content) // 2] ^= 1
    store.put_bytes(copy.key, bytes(content))
    lose(storage, record)
    assert fetch_now(storage, record, "bent").state is JobState.FAILED
    assert storage.backups.catalog.get(record.backup_id).state is BackupState.MISSING
    assert copy_of(storage, record, "bent").state is CopyState.DAMAGED


@pytest.mark.postgres
def test_a_copy_is_read_in_full_when_it_is_asked_for_again(storage: Storage, place: Place) -> None:
    record = take(storage)
    destination = keep_at(storage, place("again"))
    copy_now(storage, record, "again")
    Store(destination).delete(copy_of(storage, record, "again").key)
    assert copy_now(storage, record, "again").state is JobState.FAILED
    assert copy_of(storage, record, "again").state is CopyState.DAMAGED
    assert storage.backups.catalog.get(record.backup_id).good, "the backup itself is as good as before"
    assert copy_now(storage, record, "again").state is JobState.COMPLETED
    assert copy_of(storage, record, "again").state is CopyState.COMPLETE


@pytest.mark.postgres
def test_a_copy_that_fails_leaves_the_backup_good_and_is_tried_again(
    storage: Storage, object_server: ObjectServer
) -> None:
    record = take(storage)
    keep_at(storage, object_server.destination("gone"), options={"endpoint": "http://127.0.0.1:1"})
    assert copy_now(storage, record, "gone").state is JobState.FAILED
    assert storage.backups.catalog.get(record.backup_id).good
    failed = copy_of(storage, record, "gone")
    assert (failed.state, failed.tries) == (CopyState.FAILED, 1)
    assert failed.at is not None
    assert not due_again(failed, failed.at + timedelta(seconds=60))
    assert due_again(failed, failed.at + pause(1))
    storage.destinations.change("gone", options=object_server.destination("gone").options)
    assert copy_now(storage, record, "gone").state is JobState.COMPLETED
    assert copy_of(storage, record, "gone").tries == 0


@pytest.mark.postgres
def test_backups_are_copied_from_the_day_on_which_a_destination_is_added(storage: Storage, place: Place) -> None:
    before = storage.backups.catalog.change(
        take(storage).backup_id, lambda record: record.with_(started_at=record.started_at - timedelta(minutes=1))
    )
    keep_at(storage, place("new"))
    after = take(storage)
    storage.copying.look()
    asked = [job.parameters for job in storage.jobs.active()]
    assert asked == [{"backup_id": after.backup_id, "destination": "new"}]
    assert storage.backups.catalog.get(before.backup_id).copies == ()


@pytest.mark.postgres
def test_a_folder_whose_disk_is_not_mounted_is_no_destination(storage: Storage, tmp_path: Path) -> None:
    missing = tmp_path / "mnt" / "nas"
    with pytest.raises(Invalid, match=f"There is no folder {tmp_path}/mnt on the machine of pghaven"):
        storage.destinations.add(parse_url("nas", str(missing)), by="ana")
    assert not missing.parent.exists()
    missing.parent.mkdir()
    assert storage.destinations.add(parse_url("nas", str(missing)), by="ana").name == "nas"


@pytest.mark.postgres
def test_the_catalog_is_rebuilt_from_a_destination_alone(storage: Storage, place: Place, tmp_path: Path) -> None:
    record = take(storage)
    destination = keep_at(storage, place("whole"))
    copy_now(storage, record, "whole")
    from dataclasses import replace

    other = open_storage(replace(storage.settings, data_folder=tmp_path / "elsewhere"), clock=storage.clock)
    other.destinations.add(destination, by="tests")
    [found] = copies_found.rebuild(other.backups.catalog, other.destinations.get("whole"))
    assert (found.backup_id, found.state, found.tables) == (record.backup_id, BackupState.MISSING, record.tables)
    assert fetch_now(other, found, "whole").state is JobState.COMPLETED
    assert other.backups.catalog.get(record.backup_id).good
    assert copies_found.rebuild(other.backups.catalog, other.destinations.get("whole")) == []
    other.stop()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "forged",
    [
        {"archive": "/etc/cron.d/x.dump"},
        {"archive": "archives/shop/../../secret.dump"},
        {"archive": "secret.key"},
        {"database": "../shop"},
        {"id": "../../x"},
        {"copies": "elsewhere/another.dump"},
        {"archive": "that of the present one"},
    ],
    ids=str,
)
def test_a_forged_record_at_a_destination_names_no_file_of_this_machine(
    storage: Storage, tmp_path: Path, forged: dict[str, str]
) -> None:
    record = take(storage)
    destination = keep_at(storage, parse_url("away", str(tmp_path / "copies")))
    copy_now(storage, record, "away")
    key = f"{record.database}/backup_of_another_day.dump"
    data = storage.backups.catalog.get(record.backup_id).to_json()
    data |= {"id": "20260101T000000Z-abcdef", "archive": f"archives/{key}"}
    [copy] = data["copies"]
    copy["key"] = key
    store = Store(destination)
    store.put_bytes(key, store.read(copy_of(storage, record, "away").key))
    store.put_bytes(key + ".json", json.dumps(data | {"id": "20260101T000000Z-fedcba"}).encode())
    assert [
        found.archive for found in copies_found.rebuild(storage.backups.catalog, storage.destinations.get("away"))
    ] == [f"archives/{key}"], "one that is honest"
    storage.backups.catalog.forget("20260101T000000Z-fedcba")
    match forged:
        case {"copies": other}:
            store.put_bytes(other, b"x")
            data["copies"].append(copy | {"destination": "other", "key": other})
        case {"archive": "that of the present one"}:
            data["archive"] = record.archive
        case _:
            data |= forged
    store.put_bytes(key + ".json", json.dumps(data).encode())
    assert copies_found.rebuild(storage.backups.catalog, storage.destinations.get("away")) == []


@pytest.mark.postgres
def test_an_encrypted_copy_is_opened_by_the_reference_program_and_by_its_key_alone(
    storage: Storage, place: Place, tmp_path: Path
) -> None:
    age, keygen = shutil.which("age"), shutil.which("age-keygen")
    assert age and keygen, "apt-get install age"
    key = tmp_path / "key.txt"
    subprocess.run([keygen, "-o", key], check=True, capture_output=True)
    public = subprocess.run([keygen, "-y", key], check=True, capture_output=True, text=True).stdout.strip()
    record = take(storage)
    destination = keep_at(storage, place("shut"), recipients=(public,))
    assert copy_now(storage, record, "shut").state is JobState.COMPLETED
    copy = copy_of(storage, record, "shut")
    assert copy.encrypted and copy.key.endswith(".dump.age")
    Store(destination).fetch(copy.key, tmp_path / "fetched.age")
    opened = subprocess.run([age, "-d", "-i", key, tmp_path / "fetched.age"], check=True, capture_output=True).stdout
    assert opened == storage.backups.catalog.archive_path(record).read_bytes()
    lose(storage, record)
    assert fetch_now(storage, record, "shut").state is JobState.FAILED
    subprocess.run([keygen, "-o", tmp_path / "other.txt"], check=True, capture_output=True)
    assert fetch_now(storage, record, "shut", (tmp_path / "other.txt").read_text()).state is JobState.FAILED
    assert fetch_now(storage, record, "shut", key.read_text()).state is JobState.COMPLETED
    assert storage.backups.catalog.get(record.backup_id).good


AWAY = Copy(destination="away", state=CopyState.COMPLETE, key="shop/x", bytes=1, sha256="0")


def copied(days_ago: float, **changes: Any) -> BackupRecord:
    return a_backup(at=NOON - timedelta(days=days_ago), copies=(AWAY,), **changes)


def left_of(storage_folder: Path, records: Sequence[BackupRecord], **rules: int) -> set[str]:
    """Whose copies are still away after a look at what is old there."""
    storage = open_storage(Settings(data_folder=storage_folder / "data"), clock=lambda: NOON)
    keep_at(storage, parse_url("away", str(storage_folder / "copies")), **rules)
    for record in records:
        storage.backups.catalog.save(record)
    storage.copy_retention.expire()
    found = {record.backup_id for record in storage.backups.catalog.all() if record.copied}
    storage.stop()
    return found


def test_old_copies_go_but_never_the_newest_the_newest_proven_or_a_pinned_one(storage_folder: Path) -> None:
    proof = Proof(at=NOON, outcome=Outcome.WHOLE, seconds=1.0)
    proven, pinned = copied(60, proof=proof), copied(40, pinned=True)
    new, old, older = copied(1), copied(31), copied(90)
    assert left_of(storage_folder, [new, old, pinned, proven, older], keep_days=30) == {
        one.backup_id for one in (new, pinned, proven)
    }


def test_a_copy_without_log_rows_is_not_the_newest_that_has_to_stay(storage_folder: Path) -> None:
    whole, without = copied(40), copied(35, no_logs=True)
    assert whole.backup_id in left_of(storage_folder, [whole, without], keep_days=30)


def test_nothing_goes_at_a_destination_while_backups_are_failing(storage_folder: Path) -> None:
    old = [copied(days) for days in range(40, 60)]
    failed = [a_backup(at=NOON - timedelta(days=days), state=BackupState.FAILED) for days in range(39)]
    assert left_of(storage_folder, [*old, *failed], keep_days=30) == {one.backup_id for one in old}


def test_one_of_each_month_stays_at_a_destination_that_was_told_so(storage_folder: Path) -> None:
    nights = [copied(days) for days in range(120)]
    left = left_of(storage_folder, nights, keep_days=7, monthly=3)
    months = [one.started_at.month for one in nights if one.backup_id in left and NOON - one.started_at >= timedelta(7)]
    assert len(left) == 7 + len(months) and months == [10, 9]


def test_a_destination_without_an_end_keeps_everything(storage_folder: Path) -> None:
    old = [copied(days) for days in (1, 400)]
    assert len(left_of(storage_folder, old, keep_days=0)) == 2


@pytest.mark.postgres
def test_a_copy_that_is_not_what_was_written_is_written_anew_by_itself(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = take(storage)
    keep_at(storage, parse_url("away", str(tmp_path / "copies")))
    whole = Store.put_file

    def bent(self: Store, key: str, path: Path, **how: Any) -> None:
        whole(self, key, path, **how)
        self.put_bytes(key, b"x" + path.read_bytes()[1:])

    with monkeypatch.context() as patched:
        patched.setattr(Store, "put_file", bent)
        for tries in (1, 2):
            assert copy_now(storage, record, "away").state is JobState.FAILED
            wrong = copy_of(storage, record, "away")
            assert (wrong.state, wrong.tries) == (CopyState.DAMAGED, tries)
            # A catalog that is rebuilt from there would believe it.
            assert not list((tmp_path / "copies").rglob(f"*{RECORD}"))
    assert wrong.at is not None
    assert not due_again(wrong, wrong.at + pause(1)), "the pauses grow"
    storage.backups.catalog.change(
        record.backup_id, lambda found: found.with_copy(wrong.with_(at=storage.clock() - pause(2)))
    )
    storage.copying.look()
    [job] = storage.jobs.active()
    assert storage.runner.run_here(job).state is JobState.COMPLETED
    assert copy_of(storage, record, "away").tries == 0
    [beside] = (tmp_path / "copies").rglob(f"*{RECORD}")
    [told] = json.loads(beside.read_text())["copies"]
    assert told["state"] == "complete"


@pytest.mark.postgres
def test_a_disk_without_room_is_named_before_anything_is_encrypted_or_fetched(storage: Storage, tmp_path: Path) -> None:
    record = take(storage)
    public = pyrage.x25519.Identity.generate().to_public()
    keep_at(storage, parse_url("shut", str(tmp_path / "shut")), recipients=(str(public),))
    keep_at(storage, parse_url("away", str(tmp_path / "away")))
    assert copy_now(storage, record, "away").state is JobState.COMPLETED
    huge = 1 << 43
    os.truncate(storage.backups.catalog.archive_path(record), huge)
    storage.backups.catalog.change(record.backup_id, lambda found: found.with_(bytes=huge))
    refused = copy_now(storage, record, "shut")
    assert refused.error and "The disk of" in str(refused.error["cause"])
    assert (copy_of(storage, record, "shut").state, copy_of(storage, record, "shut").tries) == (CopyState.FAILED, 1)
    lose(storage, storage.backups.catalog.get(record.backup_id))
    storage.backups.catalog.change(
        record.backup_id, lambda found: found.with_copy(copy_of(storage, record, "away").with_(bytes=huge))
    )
    refused = fetch_now(storage, record, "away")
    assert refused.error and "The disk of" in str(refused.error["cause"])


@pytest.mark.postgres
def test_what_is_older_than_a_destination_keeps_is_deleted_there(storage: Storage, place: Place) -> None:
    destination = keep_at(storage, place("short"), keep_days=7)
    old, new = take(storage), take(storage)
    storage.backups.catalog.change(
        old.backup_id, lambda record: record.with_(started_at=record.started_at - timedelta(days=8))
    )
    for record in (old, new):
        copy_now(storage, record, "short")
    storage.ticker._scheduler.run_all()
    recorded = [line for path in storage.audit.folder.glob("*.jsonl") for line in map(json.loads, path.open())]
    expired_ones = [line for line in recorded if line["action"] == "copy_expired"]
    assert [(line["subject"], line["facts"]["destination"]) for line in expired_ones] == [(old.backup_id, "short")]
    assert copy_of(storage, old, "short").state is CopyState.DELETED
    keys = {entry.key for entry in Store(destination).list()}
    assert keys == {copy_of(storage, new, "short").key, copy_of(storage, new, "short").key + ".json"}
    assert storage.backups.catalog.get(old.backup_id).good, "what is here is kept by retention, not by a destination"
