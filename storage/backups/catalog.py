"""The catalog: every backup's record, and whether its archive is still there as it was written."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path

from storage import jsonfiles
from storage.backups.record import BackupRecord, BackupState, Verification
from storage.backups.verify import NOT_THERE, other_size, unreadable
from storage.clock import Clock
from storage.errors import Damaged, InvalidRecord, Message, NotFound, say
from storage.jsonfiles import Records
from storage.locks.filelocks import FileLocks

logger = logging.getLogger(__name__)


class Catalog:
    """Records in `metadata/backups`, and beside each archive its record again, so that the one rebuilds the other."""

    def __init__(self, data_folder: Path, *, clock: Clock) -> None:
        self.data_folder, self._clock = data_folder, clock
        self._locks = FileLocks(data_folder / "locks")
        self.archives = data_folder / "archives"
        self.archives.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.trash = data_folder / "trash"
        self._records: Records[BackupRecord] = Records(
            data_folder / "metadata" / "backups",
            decode=BackupRecord.from_json,
            encode=BackupRecord.to_json,
            identify=lambda record: record.backup_id,
            on_damaged=self._rebuild_one,
        )

    def all(self) -> list[BackupRecord]:
        """Newest first."""
        return self._records.all()[::-1]

    def find(
        self,
        *,
        database: str | None = None,
        since: datetime | None = None,
        states: Collection[BackupState] | None = None,
    ) -> list[BackupRecord]:
        """Newest first; `since` is the earliest start."""
        return [
            record
            for record in self.all()
            if database in (None, record.database)
            and (since is None or record.started_at >= since)
            and (states is None or record.state in states)
        ]

    def get(self, backup_id: str) -> BackupRecord:
        try:
            return self._records.get(backup_id)
        except NotFound:
            raise NotFound(say("There is no backup %(id)s.", id=backup_id[:80])) from None

    def newest_good(self, database: str, *, besides: str = "") -> BackupRecord | None:
        """The newest backup that was taken of a database and may be restored, looking at its file first. One without
        the rows of log tables stands back behind those that have them."""
        for record in sorted(self.find(database=database, states={BackupState.COMPLETE}), key=lambda one: one.no_logs):
            if (
                record.ours
                and record.backup_id != besides
                and self.check_file(record).good
                and self._trouble(record) is None
            ):
                return record
        return None

    def before(self, record: BackupRecord) -> BackupRecord | None:
        """The whole backup of the same database that was taken before this one."""
        earlier = self.find(database=record.database, states={BackupState.COMPLETE})
        return next((other for other in earlier if other.ours and other.started_at < record.started_at), None)

    def archive_path(self, record: BackupRecord) -> Path:
        """Where the archive is, or was. Raises NotFound when there never was one."""
        if not record.archive:
            raise NotFound(say("The backup %(id)s has no archive: it is %(state)s.",
                               id=record.backup_id, state=record.state.value))  # fmt: skip
        return self.data_folder / record.archive

    def good_archive(self, record: BackupRecord) -> Path:
        """The archive for restoring or downloading. Raises Damaged for one that is not as it was written, Unavailable
        when nobody can tell."""
        record = self.check_file(record) if record.archive else record
        if record.good:
            if (trouble := self._trouble(record)) is not None:
                raise unreadable(trouble) from trouble
            return self.archive_path(record)
        newest = self.newest_good(record.database, besides=record.backup_id)
        raise Damaged(
            say("The backup %(id)s is %(state)s and will not be used.", id=record.backup_id, state=record.state.value),
            advice=say(
                "The newest good backup of %(database)s is %(id)s.", database=record.database, id=newest.backup_id
            )
            if newest
            else say("There is no other good backup of %(database)s.", database=record.database),
        )

    def save(self, record: BackupRecord) -> None:
        """Keep a record, and its copy beside the archive once there is one."""
        if record.archive:
            self.save_copy(record)
        self._records.save(record)

    def change(
        self, backup_id: str, edit: Callable[[BackupRecord], BackupRecord], *, with_copy: bool = True
    ) -> BackupRecord:
        """Replace a record by what `edit` makes of its newest state; nobody else changes one meanwhile, in any process.

        `with_copy=False` leaves the copy beside the archive to the caller. Raises NotFound, and what `edit` raises.
        """
        with self._locks.hold("catalog", holder="a change of a record", wait=True):
            changed = edit(self.get(backup_id))
            if with_copy:
                self.save(changed)
            else:
                self._records.save(changed)
        return changed

    def forget(self, backup_id: str) -> None:
        """Delete a record whose archive is gone for good."""
        with self._locks.hold("catalog", holder="a change of a record", wait=True):
            self._records.delete(backup_id)

    def save_copy(self, record: BackupRecord) -> None:
        """Keep the copy alone, beside the place of the archive."""
        jsonfiles.write(self.copy_path(record), record.to_json())

    def copy_path(self, record: BackupRecord) -> Path:
        """Where the copy of a record is that has an archive: beside it."""
        return (self.data_folder / record.archive).with_suffix(".json")

    def check_file(self, record: BackupRecord) -> BackupRecord:
        """A cheap look: is the file there, with its size? Changes the record's state when the answer is new.

        A missing or damaged one stays so until it is verified: that a file has the size says nothing of its bits. So
        does one whose folder cannot be read just now: nothing is known of it.
        """
        if not record.archive or record.state is not BackupState.COMPLETE:
            return record
        try:
            size = self.archive_path(record).stat().st_size
        except FileNotFoundError:
            return self._move(record, BackupState.MISSING, NOT_THERE)
        except OSError as error:
            logger.warning("the archive of backup %s cannot be looked at: %s", record.backup_id, error)
            return record
        if size != record.bytes:
            return self._move(record, BackupState.DAMAGED, other_size(size, record.bytes))
        return record

    def come_back(self) -> list[BackupRecord]:
        """Missing backups whose file is there again, as long as it was written: they wait for being verified."""
        found = []
        for record in self.find(states={BackupState.MISSING}):
            try:
                size = self.archive_path(record).stat().st_size
            except OSError:
                continue
            if size == record.bytes:
                found.append(record)
        return found

    def check_newest(self, newest_first: Iterable[BackupRecord]) -> list[BackupRecord]:
        """The records of one database, with the files looked at down to the newest good one that has all rows: what a
        page says of its protection is true at that moment, for one look at a file in most cases."""
        checked, found = [], False
        for record in newest_first:
            record = record if found else self.check_file(record)
            found = found or (record.good and record.ours and not record.no_logs)
            checked.append(record)
        return checked

    def check_files(self) -> list[BackupRecord]:
        """Look at every archive; returns the records whose state changed."""
        changed = []
        for record in self.find(states={BackupState.COMPLETE}):
            now = self.check_file(record)
            if now.state is not record.state:
                changed.append(now)
        return changed

    def record_verification(self, record: BackupRecord, verification: Verification) -> BackupRecord:
        """Keep what a full look at the archive found."""
        missing = not self.archive_path(record).exists()
        state = BackupState.COMPLETE if verification.good else BackupState.MISSING if missing else BackupState.DAMAGED

        def edit(current: BackupRecord) -> BackupRecord:
            if current.state is BackupState.TRASHED:  # moved to the trash meanwhile, and not brought back by a look
                return current
            trashed = current.trashed if state is BackupState.MISSING else None
            return current.move_to(state, verified=verification, trashed=trashed)

        return self.change(record.backup_id, edit)

    def rebuild(self) -> list[BackupRecord]:
        """Bring back records that are missing, from the copies beside the archives and in the trash; returns them."""
        records = self.all()
        known = {record.backup_id for record in records}
        # Ten thousand are not read again at each start: what lies where a known record has its copy is that copy.
        theirs = {os.path.splitext(record.archive)[0] for record in records if record.archive}
        found: dict[str, BackupRecord] = {}
        for copy in sorted([*self.archives.glob("*/*.json"), *self.trash.glob("*/*.json")]):
            if os.path.splitext(copy.relative_to(self.data_folder))[0] in theirs:
                continue
            try:
                record = BackupRecord.from_json(jsonfiles.read(copy))
            except (InvalidRecord, KeyError, TypeError, ValueError, OSError) as error:
                logger.warning("the record beside an archive cannot be read: %s: %s", copy, error)
                continue
            # A crash on the way to the trash leaves two copies: true is the one that has its archive.
            if record.backup_id not in known and (record.backup_id not in found or self.archive_path(record).exists()):
                found[record.backup_id] = record
        for record in found.values():
            self._records.save(record)
        return list(found.values())

    def settle(self, *, is_alive: Callable[[str], bool]) -> list[BackupRecord]:
        """Close the records of takes whose job is gone: published whole, or interrupted and swept."""
        closed = []
        for record in self.find(states={BackupState.TAKING}):
            if is_alive(record.job_id):
                continue
            # Read again: a take saves its end before its job does, so one that ended just now says so here.
            if self.get(record.backup_id).state is not BackupState.TAKING:
                continue
            try:
                closed.append(self._settle_one(record))
            except OSError as error:
                logger.warning("backup %s cannot be closed yet: %s", record.backup_id, error)
        return closed

    def _settle_one(self, record: BackupRecord) -> BackupRecord:
        for copy in (self.archives / record.database).glob("*.json"):
            try:
                published = BackupRecord.from_json(jsonfiles.read(copy))
            except (InvalidRecord, KeyError, TypeError, ValueError):
                continue
            if published.backup_id != record.backup_id:
                continue
            archive = self.archive_path(published)
            # The copy is written before the rename and the record after it: both there means that only the last
            # stroke was missing.
            if archive.exists() and archive.stat().st_size == published.bytes:
                self._records.save(published)
                return published
            copy.unlink()
            archive.unlink(missing_ok=True)
        interrupted = record.move_to(BackupState.INTERRUPTED, ended_at=self._clock())
        self.save(interrupted)
        return interrupted

    def withdraw(self, record: BackupRecord) -> None:
        """Take back a publication that failed half way: neither the archive nor the copy of its record stays."""
        for path in (self.copy_path(record), self.archive_path(record)):
            try:
                path.unlink(missing_ok=True)
            except OSError:
                logger.exception("what is left of a failed backup could not be removed")

    def _trouble(self, record: BackupRecord) -> OSError | None:
        """What keeps an archive from being read now, though nothing is said against it."""
        try:
            self.archive_path(record).open("rb").close()
        except OSError as error:
            return error
        return None

    def _move(self, record: BackupRecord, state: BackupState, reason: Message) -> BackupRecord:
        look = Verification(at=self._clock(), good=False, seconds=0.0, reason=reason)
        with self._locks.hold("catalog", holder="a look at a file", wait=True):
            current = self.get(record.backup_id)
            if current.state is not record.state:
                return current
            moved = current.move_to(state, verified=look)
            self._records.save(moved)
        copy = self.copy_path(moved)
        if copy.parent.exists():
            try:
                jsonfiles.write(copy, moved.to_json())
            except OSError as error:
                # The disk of the archives may be read-only now; the record itself is written.
                logger.warning("the record beside an archive could not be renewed: %s", error)
        return moved

    def _rebuild_one(self, path: Path, error: InvalidRecord) -> None:
        logger.error("a record could not be read and was put aside: %s", error)
        if brought_back := self.rebuild():
            logger.warning("brought back from beside the archives: %s", [record.backup_id for record in brought_back])


def archive_name(database: str, moment: datetime, *, no_logs: bool) -> str:
    """backup_<database>_<UTC time>[_no-logs].dump: the name on disk and of a download."""
    suffix = "_no-logs" if no_logs else ""
    return f"backup_{database}_{moment:%Y-%m-%dT%H-%M-%S}{suffix}.dump"


def publish(staged: Path, target: Path) -> None:
    """Move a finished archive to its place: whole or not at all, and still there after a power cut."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.replace(staged, target)
    jsonfiles.sync_folder(target.parent)
