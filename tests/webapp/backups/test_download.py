"""Downloading an archive: whole, in parts, continued, refused; by a person and by a script."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from storage.backups.record import BackupRecord, BackupState
from storage.opening import Storage
from tests.builders import NOON, a_backup
from tests.webapp.conftest import Browser
from tests.webapp.seeding import BODY, keep


@pytest.fixture
def record(storage: Storage) -> BackupRecord:
    return keep(storage, a_backup("shop", at=NOON))


@pytest.fixture
def address(record: BackupRecord) -> str:
    return f"/backups/{record.backup_id}/archive"


def test_the_whole_archive_comes_with_its_name_its_size_and_its_checksum(
    admin: Browser, record: BackupRecord, address: str
) -> None:
    answer = admin.get(address)
    assert answer.status_code == 200
    assert answer.data == BODY
    assert answer.headers["ETag"] == f'"{hashlib.sha256(BODY).hexdigest()}"'
    assert answer.headers["Content-Disposition"] == "attachment; filename=backup_shop_2026-11-22T12-00-00.dump"
    assert answer.headers["Content-Length"] == str(len(BODY))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.mimetype == "application/octet-stream"


def test_head_says_the_same_and_sends_nothing(admin: Browser, address: str) -> None:
    answer = admin.head(address)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(BODY))


def test_a_download_that_was_cut_off_is_continued(admin: Browser, address: str) -> None:
    half = len(BODY) // 2
    first = admin.get(address, headers={"Range": f"bytes=0-{half - 1}"})
    rest = admin.get(address, headers={"Range": f"bytes={half}-", "If-Range": first.headers["ETag"]})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert rest.headers["Content-Range"] == f"bytes {half}-{len(BODY) - 1}/{len(BODY)}"
    assert first.data + rest.data == BODY


def test_the_last_bytes_can_be_asked_for(admin: Browser, address: str) -> None:
    answer = admin.get(address, headers={"Range": "bytes=-7"})
    assert (answer.status_code, answer.data) == (206, BODY[-7:])


def test_if_range_with_another_checksum_gets_the_whole_file(admin: Browser, address: str) -> None:
    answer = admin.get(address, headers={"Range": "bytes=100-", "If-Range": '"another"'})
    assert (answer.status_code, answer.data) == (200, BODY)


@pytest.mark.parametrize("asked", [f"bytes={len(BODY)}-", "bytes=0-1,5-6"])
def test_a_range_that_cannot_be_is_416(admin: Browser, address: str, asked: str) -> None:
    answer = admin.get(address, headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(BODY)}"


def test_a_range_in_a_unit_that_nobody_knows_means_nothing(admin: Browser, address: str) -> None:
    answer = admin.get(address, headers={"Range": "lines=1-2"})
    assert (answer.status_code, answer.data) == (200, BODY)


def test_what_the_client_has_already_is_not_sent_again(admin: Browser, address: str) -> None:
    etag = admin.head(address).headers["ETag"]
    assert admin.get(address, headers={"If-None-Match": etag}).status_code == 304


def test_a_script_downloads_with_its_token(client: Browser, storage: Storage, address: str) -> None:
    token = storage.accounts.create_token("ana")
    answer = client.get(address, headers={"Authorization": f"Bearer {token}", "Range": "bytes=5-9"})
    assert (answer.status_code, answer.data) == (206, BODY[5:10])


def test_nobody_downloads_without_signing_in(client: Browser, address: str) -> None:
    assert client.get(address).status_code == 303
    assert client.get(address, headers={"Authorization": "Bearer nonsense"}).status_code == 401


@pytest.mark.parametrize("state", [state for state in BackupState if state is not BackupState.COMPLETE])
def test_what_is_not_good_is_refused_and_the_newest_good_one_named(
    admin: Browser, storage: Storage, record: BackupRecord, state: BackupState
) -> None:
    bad = keep(storage, a_backup("shop", at=NOON + timedelta(hours=1), state=state))
    answer = admin.get(f"/backups/{bad.backup_id}/archive")
    assert answer.status_code == 409
    assert record.backup_id in answer.text


def test_a_truncated_file_is_found_out_and_refused(admin: Browser, storage: Storage, record: BackupRecord) -> None:
    storage.backups.catalog.archive_path(record).write_bytes(BODY[:-1])
    answer = admin.get(f"/backups/{record.backup_id}/archive")
    assert answer.status_code == 409
    assert "There is no other good backup of shop." in answer.text
    assert storage.backups.catalog.get(record.backup_id).state is BackupState.DAMAGED
