"""Backups as the pages and the terminal know them: take, verify, and the catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from storage.backups.catalog import Catalog
from storage.backups.record import BackupKind, BackupRecord, BackupState
from storage.backups.take import Taker
from storage.backups.verify import installation_for, verify_archive
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.errors import Conflict, Damaged, say
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobKind, Progress
from storage.jobs.runner import JobRunner
from storage.postgres.programs import Installation

SCHEDULE = "schedule"
"""Who asked for a scheduled backup, as its record names it."""


class Backups:
    def __init__(
        self,
        *,
        catalog: Catalog,
        taker: Taker,
        runner: JobRunner,
        installations: Callable[[], Sequence[Installation]],
        clock: Clock,
    ) -> None:
        self.catalog = catalog
        self._taker, self._runner, self._installations, self._clock = taker, runner, installations, clock
        runner.register(JobKind.TAKE, taker)
        runner.register(JobKind.VERIFY, self._verify)

    def take(
        self, database: str, *, no_logs: bool = False, digests: bool | None = None, by: str, background: bool = True
    ) -> tuple[Job, bool]:
        """Ask for a backup of a registered database; the job, and False when it had been asked for already.

        `digests` overrules what the database's profile says.
        """
        profile = self._taker.profile_of(database)
        parameters = {"no_logs": no_logs, "digests": profile.digests if digests is None else digests}
        return self._runner.request(
            JobKind.TAKE,
            database=profile.name,
            parameters=parameters,
            by=by,
            background=background,
            same=lambda job: parameters.items() <= job.parameters.items(),
        )

    def take_scheduled(self, database: str, slot: str, **more: str) -> tuple[Job, bool]:
        """Ask for the backup that fills a slot (`BackupRecord.slot`); or the whole backup of this database that waits
        or runs already, whoever asked for it, and False. `more` is kept with the job."""
        profile = self._taker.profile_of(database)
        kind = BackupKind.SCHEDULED.value
        return self._runner.request(
            JobKind.TAKE,
            database=profile.name,
            parameters={"no_logs": False, "digests": profile.digests, "kind": kind, "slot": slot, **more},
            by=SCHEDULE,
            same=lambda job: not job.parameters.get("no_logs"),
        )

    def snapshot(self, context: JobContext, profile: DatabaseProfile) -> BackupRecord:
        """Take a backup as a part of another job: see `Taker.snapshot`."""
        return self._taker.snapshot(context, profile)

    def known_log_tables(self, profile: DatabaseProfile) -> tuple[str, ...]:
        """The log tables that the application's map names beside the profile, among the tables of the newest backup
        that knows them; none before the first."""
        tables = next((record.tables for record in self.catalog.find(database=profile.name) if record.tables), {})
        logs = self._taker.logs_among(profile, tables.keys())
        return tuple(sorted(set(logs) - set(profile.log_tables)))

    def verify(self, backup_id: str, *, by: str, background: bool = True) -> tuple[Job, bool]:
        """Ask for a full look at an archive; the job, and False when it had been asked for already."""
        record = self.catalog.get(backup_id)
        if record.state is BackupState.TRASHED:
            raise Conflict(say("This backup is in the trash."), advice=say("Put it back first."))
        if not record.archive:
            raise Conflict(say("This backup has no archive to verify: it is %(state)s.", state=record.state.value))
        return self._runner.request(
            JobKind.VERIFY, database=record.database, parameters={"backup_id": backup_id}, by=by, background=background
        )

    def _verify(self, context: JobContext) -> None:
        context.plan((("verify", say("Read the archive back")),))
        context.step("verify")
        record = self.catalog.get(str(context.job.parameters["backup_id"]))
        context.result(backup_id=record.backup_id)

        def report(done: int) -> None:
            context.report(Progress(step="verify", done=done, total=record.bytes, written=done, expected=record.bytes))

        verification = verify_archive(
            self.catalog.archive_path(record),
            sha256=record.sha256,
            size=record.bytes,
            installation=installation_for(record, tuple(self._installations())),
            clock=self._clock,
            watch=context.checkpoint,
            on_bytes=report,
        )
        verified = self.catalog.record_verification(record, verification)
        if verification.good:
            context.log("archive read in full, SHA-256 equal to what was written")
            return
        newest = self.catalog.newest_good(record.database, besides=record.backup_id)
        raise Damaged(
            say("The archive is %(state)s: %(reason)s.",
                state=verified.state.value, reason=verification.reason or ""),
            effect=say("This backup will not be used any more."),
            advice=say(
                "The newest good backup of %(database)s is %(id)s.", database=record.database, id=newest.backup_id
            )
            if newest
            else say("Take a new backup of %(database)s now: there is no other good one.", database=record.database),
        )  # fmt: skip
