"""Reading stored archives again, a slice every week, so that none goes unread for more than four weeks.

A disk that loses bits says nothing of it until somebody reads. The slice is decided once a week and worked off one
archive after the other, so that nothing that somebody waits for waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from storage import jsonfiles
from storage.backups.backups import Backups
from storage.backups.record import BackupRecord, BackupState
from storage.clock import Clock, from_required_text, to_text
from storage.errors import InvalidRecord, NotFound, StorageError
from storage.jobs.model import JobKind
from storage.jobs.store import JobStore

logger = logging.getLogger(__name__)

WEEK = timedelta(days=7)
WEEKS = 4
"""In so many weeks every archive is read once."""
READ_AGAIN = "read again"
"""Whoever asks for these verifications, as a job has it."""


def slice_of_week(records: Sequence[BackupRecord], *, now: datetime) -> list[BackupRecord]:
    """The archives to read this week, the one that was read longest ago first.

    A quarter of all, and whatever would be unread for more than four weeks if it waited for the next slice: while old
    backups expire and new ones come, the quarters alone would not reach everything. What was read within the week is
    not read again.
    """
    waiting = [record for record in records if record.state is BackupState.COMPLETE and record.archive]
    oldest_first = sorted(waiting, key=lambda record: (_read_at(record), record.backup_id))
    quarter = -(-len(oldest_first) // WEEKS)
    return [
        record
        for number, record in enumerate(oldest_first)
        if now - _read_at(record) >= WEEK and (number < quarter or now - _read_at(record) > (WEEKS - 1) * WEEK)
    ]


def _read_at(record: BackupRecord) -> datetime:
    return record.verified.at if record.verified else record.started_at


class Rereading:
    """Works off the slice of the week; `file` says how far it is."""

    def __init__(self, file: Path, *, backups: Backups, jobs: JobStore, clock: Clock) -> None:
        self._file, self._backups, self._jobs, self._clock = file, backups, jobs, clock

    def look(self) -> None:
        """What the schedule thread does every minute: decide the slice when a week has gone by, and have the next
        archive of it read when nothing is being verified."""
        began, waiting = self._state()
        now = self._clock()
        if began is None or now - began >= WEEK:
            began = now
            waiting = [record.backup_id for record in slice_of_week(self._backups.catalog.all(), now=now)]
            self._remember(began, waiting)
        if not waiting or self._jobs.active(kind=JobKind.VERIFY):
            return
        first, *rest = waiting
        try:
            if self._backups.catalog.get(first).state is BackupState.COMPLETE:
                self._backups.verify(first, by=READ_AGAIN)
        except NotFound:
            pass  # deleted meanwhile
        except StorageError as error:
            logger.error("reading backup %s again could not be asked for: %s", first, error)
        self._remember(began, rest)

    def _state(self) -> tuple[datetime | None, list[str]]:
        try:
            data = jsonfiles.read(self._file)
            return from_required_text(data["began"]), [str(backup_id) for backup_id in data["waiting"]]
        except FileNotFoundError:
            return None, []
        except (InvalidRecord, KeyError, TypeError, ValueError) as error:
            logger.error("which archives are to be read again cannot be read, the slice is made anew: %s", error)
            return None, []

    def _remember(self, began: datetime, waiting: Sequence[str]) -> None:
        jsonfiles.write(self._file, {"format": 1, "began": to_text(began), "waiting": list(waiting)})
