"""Taking in what somebody brings: an archive is kept as it is, anything else is refused by its name."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.backups import upload
from storage.backups.catalog import Catalog
from storage.backups.protection import Protection, protection
from storage.backups.record import BackupKind, BackupRecord, BackupState
from storage.backups.upload import TooLarge, Uploads
from storage.clock import utc_now
from storage.errors import Conflict, Damaged, Invalid, StorageError, Unavailable
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks
from storage.postgres.connection import Connection, connect
from storage.staging import Staging
from tests.archives import dump, of_version
from tests.builders import a_backup
from tests.servers import Server, installations

TABLES = """
CREATE TABLE users (id int PRIMARY KEY, name text);
CREATE SCHEMA "odd.one"; CREATE TABLE "odd.one".t AS SELECT 1 AS n;
INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 5000) i;
"""


@pytest.fixture
def archive(server: Server, empty_database: Connection) -> bytes:
    with connect(empty_database, application="tests") as session:
        session.execute(TABLES.encode())
    return dump(server, empty_database)


@pytest.fixture
def uploads(storage_folder: Path) -> Uploads:
    return uploads_in(storage_folder)


def uploads_in(folder: Path, **options: object) -> Uploads:
    parts: dict[str, object] = {
        "catalog": Catalog(folder, clock=utc_now),
        "staging": Staging(folder / "staging"),
        "locks": FileLocks(folder / "locks"),
        "clock": utc_now,
        "installations": installations,
        "limit": 100 << 20,
    }
    return Uploads(**(parts | options))  # type: ignore[arg-type]


def bring(uploads: Uploads, content: bytes, *, name: str = "theirs.dump", database: str = "shop") -> BackupRecord:
    with uploads.receive() as incoming:
        for begins in range(0, len(content), 1000):
            incoming.write(content[begins : begins + 1000])
        return uploads.publish(incoming, database=database, name=name, by="ana")


def assert_nothing_stays(uploads: Uploads) -> None:
    assert uploads.catalog.all() == []
    assert list(uploads.staging.folder.iterdir()) == []
    assert [path for path in uploads.catalog.archives.rglob("*") if path.is_file()] == []


def test_an_archive_is_kept_with_what_it_says_of_itself(
    uploads: Uploads, archive: bytes, server: Server, empty_database: Connection
) -> None:
    record = bring(uploads, archive)
    path = uploads.catalog.good_archive(record)
    assert path.read_bytes() == archive
    assert (record.sha256, record.bytes) == (hashlib.sha256(archive).hexdigest(), len(archive))
    assert (record.kind, record.state, record.ours) == (BackupKind.UPLOADED, BackupState.COMPLETE, False)
    assert record.verified and record.verified.good
    assert record.source.server_major == server.major
    assert record.source.database == empty_database.dbname
    assert record.program.startswith(f"pg_dump {server.major}")
    assert record.tables == {}
    assert record.brought
    assert record.brought.tables == ('"odd.one".t', "public.users")
    assert record.brought.dumped_at
    assert abs(record.brought.dumped_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert uploads.catalog.get(record.backup_id).to_json() == record.to_json()
    assert list(uploads.staging.folder.iterdir()) == []


def test_its_record_can_be_brought_back_from_beside_the_archive(uploads: Uploads, archive: bytes) -> None:
    record = bring(uploads, archive)
    uploads.catalog.forget(record.backup_id)
    assert [found.to_json() for found in uploads.catalog.rebuild()] == [record.to_json()]


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("x.dump", b"PGDMP")
    return file.getvalue()


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as packed:
        packed.addfile(tarfile.TarInfo("toc.dat"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"PGD", "holds only 3 bytes"),
        (b"--\n-- PostgreSQL database dump\n--\n", "it is plain SQL"),
        (b"CREATE TABLE t (n int);", "it is plain SQL"),
        (gzip.compress(b"-- PostgreSQL database dump"), "it is a compressed file (gzip)"),
        (_zip(), "it is a compressed file (zip)"),
        (_tar(), "it is a tar archive"),
        (b"<!doctype html><title>Sign in</title>", "it is a web page"),
        (os.urandom(64).replace(b"P", b"Q"), "does not begin with PGDMP"),
    ],
    ids=["empty", "three bytes", "a script", "SQL", "gzip", "zip", "tar", "HTML", "noise"],
)
def test_what_is_not_an_archive_is_refused_by_its_name(uploads: Uploads, content: bytes, reason: str) -> None:
    with pytest.raises((Invalid, Damaged)) as refused:
        bring(uploads, content, name="monday.sql")
    assert reason in str(refused.value)
    assert "monday.sql" in str(refused.value)
    assert str(refused.value).startswith("Nothing was kept of the upload.")
    assert_nothing_stays(uploads)


@pytest.mark.parametrize(
    ("version", "reason"), [((1, 99), "a pg_dump that is newer than 18"), ((1, 3), "which is too old")]
)
def test_another_version_of_the_format_is_refused_with_what_it_needs(
    uploads: Uploads, archive: bytes, version: tuple[int, int], reason: str
) -> None:
    with pytest.raises(Invalid, match=reason):
        bring(uploads, of_version(archive, *version))
    assert_nothing_stays(uploads)


@pytest.mark.parametrize("left", [0.02, 0.3, 0.9, 0.999])
def test_an_archive_that_was_cut_is_refused_wherever_it_was_cut(uploads: Uploads, archive: bytes, left: float) -> None:
    with pytest.raises(Damaged, match=r"theirs\.dump"):
        bring(uploads, archive[: int(len(archive) * left)])
    assert_nothing_stays(uploads)


def test_bytes_of_the_middle_that_changed_are_found(uploads: Uploads, archive: bytes) -> None:
    begins = archive.rindex(b"\x78", 0, len(archive) - 2000) if b"\x78" in archive else len(archive) // 2
    broken = bytearray(archive)
    broken[begins : begins + 4000] = bytes(len(broken[begins : begins + 4000]))
    with pytest.raises(Damaged):
        bring(uploads, bytes(broken))
    assert_nothing_stays(uploads)


def test_it_ends_at_the_byte_that_is_one_too_many(storage_folder: Path) -> None:
    uploads = uploads_in(storage_folder, limit=10_000)
    with uploads.receive() as incoming:
        incoming.write(bytes(10_000))
        with pytest.raises(TooLarge, match="at most 10 kB"):
            incoming.write(b"x")
        assert incoming.path.stat().st_size <= 10_000
    with pytest.raises(TooLarge), uploads.receive(expected=10_001):
        pytest.fail("it was received")
    with uploads.receive(expected=10_001, limited=False) as incoming:
        incoming.write(bytes(10_001))
    assert_nothing_stays(uploads)


def test_the_same_archive_a_second_time_is_refused_and_names_the_first(uploads: Uploads, archive: bytes) -> None:
    first = bring(uploads, archive)
    with pytest.raises(Conflict, match=first.backup_id):
        bring(uploads, archive)
    assert [record.backup_id for record in uploads.catalog.all()] == [first.backup_id]
    assert bring(uploads, archive, database="another").database == "another"


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\temp\\x.dump", "a\nb\x1b[2J.dump", "x" * 500, "", "💾.dump"])
def test_the_name_of_the_file_is_a_label_and_never_a_path(uploads: Uploads, archive: bytes, name: str) -> None:
    record = bring(uploads, archive, name=name)
    assert record.brought
    assert record.brought.name
    assert len(record.brought.name) <= 120
    assert record.brought.name.isprintable()
    assert not set("/\\") & set(record.brought.name)
    assert record.archive == f"archives/shop/uploaded_shop_{record.backup_id}.dump"


@pytest.mark.parametrize("database", ["../up", "", "Shop", "a/b", "x" * 70])
def test_a_database_name_that_cannot_be_in_a_path_is_refused(uploads: Uploads, archive: bytes, database: str) -> None:
    with pytest.raises(Invalid, match="cannot be a name here"):
        bring(uploads, archive, database=database)
    assert_nothing_stays(uploads)


def test_a_table_of_contents_without_end_is_not_read_into_memory(
    uploads: Uploads, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MOST_CONTENTS", 2000)
    with pytest.raises(Invalid, match="has more than 2 kB"):
        bring(uploads, archive)
    assert_nothing_stays(uploads)


def test_one_that_unpacks_without_end_is_given_up(
    uploads: Uploads, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MOST_READING_SECONDS", -1.0)
    with pytest.raises(Invalid, match="took longer than"):
        bring(uploads, archive)
    assert_nothing_stays(uploads)


def test_when_no_program_here_can_read_it_the_one_that_can_is_named(storage_folder: Path, archive: bytes) -> None:
    uploads = uploads_in(storage_folder, installations=lambda: ())
    with pytest.raises(Unavailable, match="pghaven tools install"):
        bring(uploads, archive)
    assert_nothing_stays(uploads)


@pytest.mark.parametrize("step", ["save_copy", "save"])
def test_a_disk_that_fills_up_at_the_end_leaves_nothing(
    uploads: Uploads, archive: bytes, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(record: BackupRecord) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads.catalog, step, full)
    with pytest.raises(StorageError, match="is full"):
        bring(uploads, archive)
    assert_nothing_stays(uploads)


def test_what_is_received_is_left_alone_by_a_sweep_and_gone_when_its_sender_is(uploads: Uploads) -> None:
    held: Callable[[str], bool] = lambda name: uploads.locks.is_held(JobStore.lock_name(name))  # noqa: E731
    with pytest.raises(ConnectionResetError), uploads.receive() as incoming:
        incoming.write(b"PGDMP")
        uploads.staging.sweep(in_use=held)
        assert incoming.path.exists()
        raise ConnectionResetError
    assert_nothing_stays(uploads)


def test_it_protects_nothing(uploads: Uploads, archive: bytes) -> None:
    record = bring(uploads, archive)
    assert protection("shop", [record], now=utc_now()).state is Protection.NEVER
    assert uploads.catalog.newest_good("shop") is None
    ours = a_backup("shop", at=utc_now() - timedelta(days=9))
    standing = protection("shop", [ours, record], now=utc_now())
    assert (standing.state, standing.newest_good) == (Protection.LATE, ours)
    assert uploads.catalog.before(ours.with_(started_at=utc_now())) is None
