"""Taking in an archive that somebody brings: received in staging, looked at in full, and only then published.

What is brought may be anything. Its name is a label and never a path; only pg_dump's custom format is taken, because
the others are scripts; nothing of it is carried out here. Nobody counted its rows, so there is no manifest.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from storage import reserve
from storage.backups.catalog import Catalog, publish
from storage.backups.preflight import check_space, disk_full
from storage.backups.record import (
    BackupKind,
    BackupRecord,
    BackupState,
    Brought,
    SourceFacts,
    Verification,
)
from storage.backups.verify import installation_for, read_through
from storage.clock import Clock
from storage.errors import Conflict, Damaged, Invalid, Message, StorageError, Unavailable, say
from storage.identifiers import checked_name, new_id
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks
from storage.postgres import archive
from storage.postgres.archive import ArchiveHeader, Entry
from storage.postgres.programs import Installation
from storage.postgres.quoting import full_name
from storage.staging import Staging

MOST_CONTENTS = 32 << 20
"""Bytes that the table of contents may have; that of ten thousand tables has about twenty million."""
MOST_READING_SECONDS = 1800.0
"""An archive can be made to unpack to a thousand times its size."""

NOTHING_KEPT = say("Nothing was kept of the upload.")


class TooLarge(Invalid):
    """More bytes than an upload may have."""

    def __init__(self, most: int) -> None:
        super().__init__(
            say("An upload may have at most %(most_bytes)s.", most_bytes=most),
            effect=NOTHING_KEPT,
            advice=say(
                "Copy the file to the machine of pghaven and run there: pghaven backups upload FILE --database NAME. "
                "Or raise UPLOAD_LIMIT_MB."
            ),
        )


class Incoming:
    """The file that is being received: what is written to it is hashed and counted on the way to the disk.

    Whoever parses a form may use it as a file. Raises TooLarge as soon as it would have more than `most` bytes.
    """

    def __init__(self, path: Path, *, upload_id: str, started_at: datetime, most: int | None) -> None:
        self.path, self.upload_id, self.started_at = path, upload_id, started_at
        self._most, self._hasher = most, hashlib.sha256()
        self._file = path.open("xb")
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hasher.hexdigest()

    def write(self, data: bytes) -> int:
        if self._most is not None and self.size + len(data) > self._most:
            raise TooLarge(self._most)
        try:
            self._file.write(data)
        except OSError as error:
            raise _not_written(self.path, error) from error
        self._hasher.update(data)
        self.size += len(data)
        return len(data)

    def finish(self) -> None:
        """Everything is there: put it on the disk for good."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _not_written(self.path, error) from error
        self._file.close()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """For those who think that it is to be read next; it is read from its path."""
        return 0

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    catalog: Catalog
    staging: Staging
    locks: FileLocks
    clock: Clock
    installations: Callable[[], Sequence[Installation]]
    limit: int
    """Bytes that an upload from a browser or over the API may have."""

    @contextmanager
    def receive(self, *, expected: int | None = None, limited: bool = True) -> Iterator[Incoming]:
        """A file in staging, gone when the block ends unless `publish` moved it. `expected` are the bytes announced."""
        if expected is not None:
            if limited and expected > self.limit:
                raise TooLarge(self.limit)
            check_space(self.staging.folder, expected)
        started_at = self.clock()
        upload_id = new_id(started_at)
        # Held like that of a job: what sweeps the staging folder leaves alone what somebody holds.
        with (
            self.locks.hold(JobStore.lock_name(upload_id), holder="an upload"),
            self.staging.work(upload_id) as folder,
        ):
            incoming = Incoming(
                folder / "archive.dump",
                upload_id=upload_id,
                started_at=started_at,
                most=self.limit if limited else None,
            )
            try:
                yield incoming
            finally:
                incoming.close()

    def publish(self, incoming: Incoming, *, database: str, name: str, by: str) -> BackupRecord:
        """Look at what was received, in full, and keep it as a backup of `database`, which need not be registered.

        `name` is what its file was called. Raises Invalid, Damaged or Conflict for what is not taken, Unavailable when
        nobody here can read it; nothing is kept then.
        """
        name = label(name) or "?"
        try:
            return self._publish(incoming, database=checked_name(database), name=name, by=by)
        except StorageError as error:
            error.effect = NOTHING_KEPT
            raise

    def _publish(self, incoming: Incoming, *, database: str, name: str, by: str) -> BackupRecord:
        incoming.finish()
        found = archive.read(incoming.path, called=name, most_contents=MOST_CONTENTS)
        sha256 = incoming.sha256
        self._refuse_known(database, sha256)
        record = BackupRecord(
            backup_id=incoming.upload_id,
            database=database,
            state=BackupState.COMPLETE,
            kind=BackupKind.UPLOADED,
            taken_by=by,
            started_at=incoming.started_at,
            bytes=incoming.size,
            sha256=sha256,
            program=f"pg_dump {_shown(found.header.dump_version)}",
            compression=found.header.compression,
            archive_format=found.header.version,
            source=_source(found.header),
            brought=Brought(name=name, dumped_at=found.header.created_at, tables=_tables(found.entries)),
        )
        seconds = self._read_in_full(incoming.path, record, name=name)
        target = self.catalog.archives / database / f"uploaded_{database}_{incoming.upload_id}.dump"
        now = self.clock()
        record = record.with_(
            archive=str(target.relative_to(self.catalog.data_folder)),
            ended_at=now,
            verified=Verification(at=now, good=True, seconds=seconds),
        )
        try:
            self.catalog.save_copy(record)
            publish(incoming.path, target)
            self.catalog.save(record)
        except BaseException as error:
            self.catalog.withdraw(record)
            if isinstance(error, OSError):
                raise _not_written(target, error) from error
            raise
        return record

    def _refuse_known(self, database: str, sha256: str) -> None:
        for known in self.catalog.find(database=database, states={BackupState.COMPLETE}):
            if known.sha256 == sha256:
                raise Conflict(
                    say("This archive is here already: it is the backup %(id)s of %(database)s.",
                        id=known.backup_id, database=database),
                    advice=say("Use that one."),
                )  # fmt: skip

    def _read_in_full(self, path: Path, record: BackupRecord, *, name: str) -> float:
        installation = installation_for(record, tuple(self.installations()))
        began = time.monotonic()

        def watch() -> None:
            if time.monotonic() - began > MOST_READING_SECONDS:
                raise Invalid(
                    say("Reading %(name)s took longer than %(minutes)s minutes.",
                        name=name, minutes=round(MOST_READING_SECONDS / 60)),
                    advice=say("Restore it by hand with pg_restore, and take a backup of that."),
                )  # fmt: skip

        if (reason := read_through(path, installation, watch=watch)) is not None:
            raise Damaged(
                say("%(name)s was cut or damaged: %(reason)s.", name=name, reason=reason),
                advice=say("Compare its size and its checksum with the original, and copy it again."),
            )
        return round(time.monotonic() - began, 3)


def label(name: str) -> str:
    """The last part of a stranger's path, as letters that can be seen."""
    return _shown(name.replace("\\", "/").rpartition("/")[2])


def _shown(text: str) -> str:
    return "".join(letter for letter in text.strip() if letter.isprintable())[:120]


def _source(header: ArchiveHeader) -> SourceFacts:
    # What the locale was, an archive does not say.
    return SourceFacts(
        server_version=_shown(header.server_version),
        server_major=header.server_major,
        database=_shown(header.dbname),
        collate="",
        ctype="",
    )


def _tables(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(sorted({full_name(entry.schema, entry.name) for entry in entries if entry.kind == "TABLE DATA"}))


def _not_written(path: Path, error: OSError) -> StorageError:
    if reserve.is_full(error):
        return disk_full(path.parent, free=0, needed=1)
    reason: Message | str = error.strerror or str(error)
    return Unavailable(say("The upload could not be written: %(reason)s", reason=reason), effect=NOTHING_KEPT)
