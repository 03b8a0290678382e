"""The trash: where backups wait for some days before they are erased. Every way in and out of it survives a crash.

The record is written first, and says where the archive will be; then the archive is moved. So whatever the moment, the
archive is in one of two places that the record names, and `settle` brings it to the right one. Out of the trash the
archive is moved first: a record never says that a backup is good whose archive is not there yet.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from storage import jsonfiles
from storage.backups.catalog import Catalog
from storage.backups.record import TAKEN_WHOLE, BackupRecord, BackupState, Trashed
from storage.clock import Clock
from storage.crashpoints import crashpoint
from storage.errors import Conflict, Damaged, Message, StorageError, say
from storage.locks.filelocks import FileLocks

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=7)
REMEMBERED_FOR = timedelta(days=366)
"""How long the history knows of a backup that was erased: a year is the longest that it shows."""


class Trash:
    def __init__(
        self,
        catalog: Catalog,
        *,
        locks: FileLocks,
        clock: Clock,
        in_use: Callable[[str], Collection[str]],
        registered: Callable[[str], bool],
    ) -> None:
        """`in_use` names the backups of a database that jobs were asked for with, `registered` says whether a database
        is still looked after."""
        self.catalog, self._locks, self._clock = catalog, locks, clock
        self.in_use, self._registered = in_use, registered

    def all(self) -> list[BackupRecord]:
        """What is in the trash; what came last is first."""
        found = [(one.trashed.at, one) for one in self.catalog.find(states={BackupState.TRASHED}) if one.trashed]
        return [record for _, record in sorted(found, key=lambda pair: (pair[0], pair[1].backup_id), reverse=True)]

    def held(self) -> AbstractContextManager[None]:
        """Nobody else moves anything into the trash or out of it in this block, in any process."""
        return self._locks.hold("trash", holder=f"process {os.getpid()}", wait=True)

    def discard(self, backup_id: str, *, by: str) -> BackupRecord:
        """Move a backup to the trash for a person. Raises Conflict for one that is pinned, in use, or the last good
        one of a database that is looked after."""
        with self.held():
            record = self.catalog.get(backup_id)
            if record.pinned:
                raise Conflict(say("This backup is pinned."), advice=say("Unpin it first."))
            last = (
                record.ours
                and self.catalog.check_file(record).good
                and self.catalog.newest_good(record.database, besides=backup_id) is None
            )
            if last and self._registered(record.database):
                raise Conflict(
                    say("This is the only good backup of %(database)s.", database=record.database),
                    advice=say("Take another one first."),
                )
            return self.move(record, by=by)

    def move(self, record: BackupRecord, *, by: str, why: Sequence[Message] = ()) -> BackupRecord:
        """Move a backup to the trash, inside a block of `held`. Raises Conflict when it has no archive, or a job needs
        it."""

        def edit(current: BackupRecord) -> BackupRecord:
            if current.state not in TAKEN_WHOLE:
                raise Conflict(
                    say("A backup that is %(state)s cannot be moved to the trash.", state=current.state.value)
                )
            now = self._clock()
            trashed = Trashed(
                at=now, until=now + KEPT_FOR, by=by, why=tuple(why), was=current.state, archive=current.archive
            )
            return current.move_to(BackupState.TRASHED, archive=self._place(current), trashed=trashed)

        # No job is asked for between the look and the record; those that come later see the record.
        with self._locks.hold("jobs", holder="a look at what jobs use", wait=True):
            if record.backup_id in self.in_use(record.database):
                raise Conflict(say("A job is using this backup."), advice=say("Wait for its end, or cancel it."))
            moved = self.catalog.change(record.backup_id, edit, with_copy=False)
        crashpoint("trash:recorded")
        self._carry(moved)
        return moved

    def put_back(self, backup_id: str) -> BackupRecord:
        """Make a backup what it was before. Raises Conflict when it is not in the trash, Damaged when its archive is
        gone."""
        with self.held():
            record = self.catalog.get(backup_id)
            trashed = self._trashed(record)
            if trashed.until <= self._clock():
                raise Conflict(say("This backup is being erased."))
            here, there = self._path(record.archive), self._path(trashed.archive)
            if trashed.was is not BackupState.MISSING and not (here.exists() or there.exists()):
                raise Damaged(say("The archive of this backup is no longer in the trash."))

            def edit(current: BackupRecord) -> BackupRecord:
                return current.move_to(trashed.was, archive=trashed.archive, trashed=None)

            self.catalog.save_copy(edit(record))
            crashpoint("back:copied")
            _move(here, there)
            crashpoint("back:moved")
            back = self.catalog.change(backup_id, edit)
            crashpoint("back:recorded")
            if here != there:
                _remove(self.catalog.copy_path(record))
            return back

    def erase(self, backup_id: str) -> BackupRecord:
        """Delete a backup that is in the trash, for good; returns what its record was. The record stays for a year,
        *erased*; or *missing* where a destination has a copy, which decides itself how long that is kept."""
        with self.held():
            record = self.catalog.get(backup_id)
            self._trashed(record)
            self._erase(record)
            return record

    def empty(self) -> list[BackupRecord]:
        """Erase everything that is in the trash now; returns what the records were."""
        with self.held():
            records = self.all()
            for record in records:
                self._erase(record)
            return records

    def settle(self) -> list[BackupRecord]:
        """Finish what a crash cut off, and erase what was in the trash for long enough; returns what was erased."""
        erased = []
        with self.held():
            for record in self.all():
                try:
                    if self._trashed(record).until <= self._clock():
                        self._erase(record)
                        erased.append(record)
                    elif not self._settled(record):
                        self._carry(record)
                except (OSError, StorageError) as error:
                    logger.warning("backup %s in the trash: %s", record.backup_id, error)
            self._sweep()
            self._close_what_is_nowhere()
            self._forget()
        for record in erased:
            logger.info("backup %s of %s was erased from the trash", record.backup_id, record.database)
        return erased

    def _erase(self, record: BackupRecord) -> None:
        def edit(current: BackupRecord) -> BackupRecord:
            trashed = self._trashed(current)
            until = min(trashed.until, self._clock())
            return current.with_(trashed=Trashed(at=trashed.at, until=until, by=trashed.by, why=trashed.why,
                                                 was=trashed.was, archive=trashed.archive))  # fmt: skip

        leaving = self.catalog.change(record.backup_id, edit, with_copy=False)
        crashpoint("erase:recorded")
        places = {self._path(leaving.archive), self._path(self._trashed(leaving).archive)}
        for place in places:
            _remove(place)
        crashpoint("erase:removed")
        for place in places:
            _remove(place.with_suffix(".json"))
        if leaving.copied:
            back = self._trashed(leaving).archive
            self.catalog.change(leaving.backup_id, lambda current: current.move_to(BackupState.MISSING, archive=back))
        else:
            self._close(leaving)
        crashpoint("erase:closed")

    def _carry(self, record: BackupRecord) -> None:
        """Bring archive and copy to where the record says that they are."""
        source, target = self._path(self._trashed(record).archive), self._path(record.archive)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.catalog.save_copy(record)
        crashpoint("trash:copied")
        _move(source, target)
        crashpoint("trash:moved")
        if source != target:
            _remove(source.with_suffix(".json"))
        crashpoint("trash:done")

    def _settled(self, record: BackupRecord) -> bool:
        source, target = self._path(self._trashed(record).archive), self._path(record.archive)
        left = source != target and (source.exists() or source.with_suffix(".json").exists())
        return not left and target.with_suffix(".json").exists()

    def _sweep(self) -> None:
        """Remove copies of records that a crash left in the trash after their backup was put back."""
        for copy in self.catalog.trash.glob("*/*.json"):
            if copy.with_suffix(".dump").exists():
                continue
            ours = {self.catalog.copy_path(record) for record in self.all()}
            if copy not in ours:
                _remove(copy)

    def _close_what_is_nowhere(self) -> None:
        """A backup that was erased here is erased altogether when its last copy elsewhere goes."""
        for record in self.catalog.find(states={BackupState.MISSING}):
            if record.let_go and not record.copied:
                _remove(self.catalog.copy_path(record))
                self._close(record)

    def _close(self, record: BackupRecord) -> None:
        """Keep of a backup what the history says of it, and nothing beside an archive that is no more."""
        back = record.trashed.archive if record.trashed else record.archive
        self.catalog.change(
            record.backup_id, lambda current: current.move_to(BackupState.ERASED, archive=back), with_copy=False
        )

    def _forget(self) -> None:
        for record in self.catalog.find(states={BackupState.ERASED}):
            if record.trashed is None or record.trashed.until + REMEMBERED_FOR <= self._clock():
                self.catalog.forget(record.backup_id)

    def _place(self, record: BackupRecord) -> str:
        """Where an archive waits: in the trash, or where it is when the trash is on another disk."""
        archive = self._path(record.archive)
        folder = self.catalog.trash / record.database
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if archive.parent.exists() and archive.parent.stat().st_dev != folder.stat().st_dev:
            return record.archive
        return f"trash/{record.database}/{archive.name}"

    def _path(self, archive: str) -> Path:
        return self.catalog.data_folder / archive

    @staticmethod
    def _trashed(record: BackupRecord) -> Trashed:
        if record.state is not BackupState.TRASHED or record.trashed is None:
            raise Conflict(say("The backup %(id)s is not in the trash.", id=record.backup_id))
        return record.trashed


def _move(source: Path, target: Path) -> None:
    if source == target or not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.replace(source, target)
    jsonfiles.sync_folder(target.parent)
    jsonfiles.sync_folder(source.parent)


def _remove(path: Path) -> None:
    if path.exists():
        path.unlink()
        jsonfiles.sync_folder(path.parent)
