"""Everything about cleaning up logs, wired once: what `opening` hands to the web, the terminal and the ticker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from storage.applications.maps import ApplicationMap
from storage.audit import Audit
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.destinations.registry import Destinations
from storage.errors import Conflict, NotFound, StorageError, say
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobKind
from storage.jobs.runner import JobRunner
from storage.locks.filelocks import FileLocks
from storage.logs import reading
from storage.logs.cleanup import preview as previews
from storage.logs.cleanup import target as targets
from storage.logs.cleanup.archive import ArchiveFormat, LogArchive, LogArchives
from storage.logs.cleanup.archiving import Archiver
from storage.logs.cleanup.preview import Preview
from storage.logs.cleanup.putting_back import PuttingBack
from storage.logs.cleanup.request import CleanupRequest, older_than
from storage.logs.cleanup.retention import LogRetentions, Nights
from storage.logs.cleanup.run import Cleaner
from storage.logs.cleanup.target import LogTarget
from storage.postgres.snapshot import Session
from storage.secret import Secret
from storage.staging import Staging

logger = logging.getLogger(__name__)

PREVIEW_SECONDS, NIGHT_SECONDS = 60, 10
"""How long a page may count: when somebody asked for it, and beside other things."""
RETENTION = "log retention"
"""Who asks for what nobody asked for, as jobs name it."""


@dataclass(frozen=True, slots=True)
class Night:
    """What the next nightly run will do with a table; or why nobody can tell."""

    table: str
    days: int
    preview: Preview | None = None
    error: StorageError | None = None


class Cleanups:
    def __init__(
        self,
        folder: Path,
        *,
        profile_of: Callable[[str], DatabaseProfile],
        applications: Collection[ApplicationMap],
        databases: Callable[[], Sequence[str]],
        destinations: Destinations,
        runner: JobRunner,
        locks: FileLocks,
        staging: Staging,
        audit: Audit,
        clock: Clock,
        zone: ZoneInfo,
    ) -> None:
        """`folder` is the data folder; `databases` are those that are looked after."""
        self._profile_of, self._applications, self._databases = profile_of, applications, databases
        self._runner, self._clock, self.zone = runner, clock, zone
        metadata = folder / "metadata"
        self.destinations = destinations
        self.archives = LogArchives(metadata / "log_archives", files=folder / "log_archives")
        self.retentions = LogRetentions(metadata / "log_retention", clock=clock)
        self._nights = Nights(metadata / "log_retention_ran.json", clock=clock, zone=zone)
        self._cleaner = Cleaner(
            profile_of=profile_of,
            applications=applications,
            locks=locks,
            archiver=Archiver(archives=self.archives, destinations=destinations, staging=staging, audit=audit),
        )
        self._putting_back = PuttingBack(
            archives=self.archives,
            destinations=destinations,
            staging=staging,
            locks=locks,
            clock=clock,
            profile_of=profile_of,
            find=self._find,
        )
        self._identities: dict[str, Secret] = {}
        """The secret keys that jobs were given; in memory alone."""
        runner.register(JobKind.CLEAN_UP, self._cleaner.run)
        runner.register(JobKind.PUT_BACK, self._put_back)

    def targets(self, database: str) -> list[LogTarget]:
        """The log tables that the map of the database's application names; none where no map fits."""
        with reading.reading(self._profile_of(database).connection) as session:
            return targets.described(session, self._applications)

    def preview(self, database: str, request: CleanupRequest, *, seconds: int = PREVIEW_SECONDS) -> Preview:
        """Count exactly what a run of `Preview.request` deletes. Deletes nothing."""
        request.checked()
        with reading.reading(self._profile_of(database).connection, seconds=seconds) as session:
            target = targets.find(session, self._applications, request)
            return previews.look(session, target, request, zone=self.zone)

    def start(
        self,
        database: str,
        request: CleanupRequest,
        *,
        by: str,
        archive: str | None = None,
        form: ArchiveFormat = ArchiveFormat.CSV,
        background: bool = True,
    ) -> tuple[Job, bool]:
        """Ask for a run; the job, and False when it had been asked for already.

        `archive` names the destination where the rows are archived first, "" the data folder. Raises NothingAsked.
        """
        parameters: dict[str, object] = {"request": request.checked().to_json()}
        if archive is not None:
            if archive:
                self.destinations.get(archive)
            parameters["archive"] = {"destination": archive, "form": form.value}
        return self._runner.request(
            JobKind.CLEAN_UP, database=database, parameters=parameters, by=by, background=background
        )

    def put_back(
        self, archive_id: str, *, by: str, identity: Secret | None = None, background: bool = True
    ) -> tuple[Job, bool]:
        """Ask for the rows of an archive to be put into their table again. `identity` opens an encrypted one."""
        archive = self.archives.get(archive_id)
        if archive.encrypted and identity is None:
            raise Conflict(
                say("This archive is encrypted, and no key was given to read it."),
                advice=say("Run: pghaven logs put-back ID --identity FILE, with the file of the secret key."),
            )
        self._identities.pop(archive_id, None)
        if identity:
            self._identities[archive_id] = identity
        return self._runner.request(
            JobKind.PUT_BACK,
            database=archive.database,
            parameters={"archive_id": archive_id},
            by=by,
            background=background,
        )

    # By itself

    def tonight(self, database: str) -> list[Night]:
        """What the next nightly run will do with each table that has a rule."""
        at = self._nights.next()
        return [self._night(database, table, days, at) for table, days in self.retentions.of(database).days.items()]

    def _night(self, database: str, table: str, days: int, at: datetime) -> Night:
        request = CleanupRequest(table=table, before=older_than(days, now=at))
        try:
            return Night(table, days, self.preview(database, request, seconds=NIGHT_SECONDS))
        except StorageError as error:
            return Night(table, days, error=error)

    def next_night(self) -> datetime:
        return self._nights.next()

    def nightly(self) -> None:
        """Called every minute: once a night, ask for what the rules say."""
        if not self._nights.due():
            return
        now = self._clock()
        for database in self._databases():
            try:
                rule = self.retentions.of(database)
                for table, days in rule.days.items():
                    request = CleanupRequest(table=table, before=older_than(days, now=now))
                    self.start(database, request, by=RETENTION, archive=rule.archive)
            except (StorageError, OSError) as error:
                logger.error("log retention of %s: %s", database, error)

    def _put_back(self, context: JobContext) -> None:
        self._putting_back.run(context, identity=self._identities.pop(str(context.job.parameters["archive_id"]), None))

    def _find(self, session: Session, archive: LogArchive) -> LogTarget:
        """The table of an archive, as the map describes it, or by the time column that it was cleaned up by."""
        asked = CleanupRequest.from_json(archive.request)
        known = CleanupRequest(table=archive.table, time_column=asked.time_column)
        try:
            return targets.find(session, self._applications, known)
        except NotFound as error:
            error.effect = say("Nothing was put back.")
            raise
