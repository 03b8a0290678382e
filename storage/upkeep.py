"""What is done by itself, again and again: putting in order what ended processes left, and looking for what is due."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from storage import jsonfiles, reserve
from storage.alerts.alerts import Alerts
from storage.audit import Audit
from storage.backups.backups import Backups
from storage.backups.copies_expiring import CopyRetention
from storage.backups.copying import Copying
from storage.backups.prune import Pruner
from storage.backups.record import BackupState
from storage.backups.rereading import Rereading
from storage.backups.trash import Trash
from storage.clock import Clock
from storage.databases.profile import Source
from storage.databases.registry import Registry
from storage.errors import StorageError
from storage.jobs.model import JobKind
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks
from storage.locks.redislocks import RedisLocks
from storage.logs.logs import Logs
from storage.lookout import Lookout
from storage.postgres.embedded import EmbeddedServer
from storage.proofs.proofs import Proofs
from storage.restores.restores import Restores
from storage.schedules import retry
from storage.schedules.scheduler import Scheduler
from storage.schedules.ticker import Ticker
from storage.settings import Settings
from storage.staging import Staging

logger = logging.getLogger(__name__)

MINUTE, HOUR = 60, 3600
SCHEDULES_SECONDS = 2
COPIES_SECONDS = 10
EMBEDDED_SECONDS = 5
REDIS_SECONDS = 30


@dataclass(kw_only=True)
class Upkeep:
    """Of one opened data folder: everything that some work is asked of by itself."""

    settings: Settings
    clock: Clock
    locks: FileLocks
    redis: RedisLocks | None
    audit: Audit
    staging: Staging
    jobs: JobStore
    runner: JobRunner
    databases: Registry
    backups: Backups
    trash: Trash
    retention: Pruner
    copying: Copying
    copy_retention: CopyRetention
    restores: Restores
    proofs: Proofs
    rereading: Rereading
    logs: Logs
    scheduler: Scheduler
    alerts: Alerts
    lookout: Lookout
    is_alive: Callable[[str], bool]
    """Whether the process of a job lives, whichever it is."""
    embedded: Callable[[], EmbeddedServer | None]
    asked_to_verify: set[str] = field(default_factory=set)

    def ticker(self) -> Ticker:
        """The thread that does all of this when it is time for it; not started."""
        ticker = Ticker(locks=self.locks, clock=self.clock)
        ticker.every(SCHEDULES_SECONDS, "a look at the schedules", self.scheduler.look)
        ticker.every(MINUTE, "a look at what is to be tried again", self.retry_scheduled)
        ticker.every(MINUTE, "a look at the archives", self._look_at_archives)
        ticker.every(MINUTE, "putting in order what ended jobs left", self._settle_and_sweep)
        ticker.every(HOUR, "sweeping", self._sweep)
        ticker.every(MINUTE, "a look at what is to be proven", self.proofs.look)
        ticker.every(MINUTE, "a look at what is to be read again", self.rereading.look)
        ticker.every(MINUTE, "retention", self.retention.nightly)
        ticker.every(MINUTE, "log retention", self.logs.cleanup.nightly)
        ticker.every(HOUR, "erasing what was in the trash for long enough", self.trash.settle)
        ticker.every(MINUTE, "exports that were kept for long enough", self.logs.exports.sweep)
        ticker.every(COPIES_SECONDS, "a look at the copies", self.copying.look)
        ticker.every(HOUR, "old copies", self._expire_copies)
        ticker.every(HOUR, "a look at the audit log", self.audit.look)
        ticker.every(MINUTE, "a look at what is to be told", lambda: self.alerts.look(self.lookout.look))
        ticker.every(EMBEDDED_SECONDS, "a look at the embedded server", self._keep_embedded)
        if self.redis:
            ticker.every(REDIS_SECONDS, "a look at Redis", self.redis.look)
        return ticker

    def put_in_order(self) -> None:
        """At the start: what a crash left in the data folder. The servers are `settle`'s."""
        self._sweep()
        reserve.keep(self.settings.data_folder)
        self._close_records()
        for record in self.backups.catalog.rebuild():
            logger.warning("the record of backup %s was brought back from beside its archive", record.backup_id)
        self.trash.settle()

    def settle(self) -> None:
        """Put in order what jobs left whose process is gone: their records, their backups, and what their restores
        left on the servers. Those that run, here or in another process, are left alone."""
        self._close_records()
        self.restores.reconcile()

    def retry_scheduled(self) -> None:
        """Ask again for the scheduled backups that pghaven's end or a lost connection kept from being made, while they
        may be caught up on."""
        names, window = {profile.name for profile in self.databases.all()}, timedelta(hours=self.settings.catchup_hours)
        for again in retry.due(self.jobs.newest_first(), now=self.clock(), window=window):
            name, slot = again.job.database, str(again.job.parameters["slot"])
            if name not in names:
                continue
            try:
                job, new = self.backups.take_scheduled(name, slot, **{retry.RETRY_OF: again.job.job_id})
                if new:
                    self.scheduler.asked_again(name, again.at, job.job_id)
            except StorageError as error:
                logger.error("the backup of %s could not be asked for again: %s", name, error)

    def ask_for_first_backups(self, *, embedded: bool) -> None:
        """Of every database that has no good backup of ours, nor one under way; those of the `embedded` server only
        where it runs."""
        for profile in self.databases.all():
            if profile.source is Source.EMBEDDED and not embedded:
                continue
            complete = self.backups.catalog.find(database=profile.name, states={BackupState.COMPLETE})
            if any(record.ours for record in complete):
                continue
            if self.jobs.active(profile.name, JobKind.TAKE):
                continue
            try:
                self.backups.take(profile.name, by="first backup")
            except StorageError as error:
                logger.error("the first backup of %s could not be asked for: %s", profile.name, error)

    def _close_records(self) -> None:
        for job in self.runner.close_again():
            logger.warning("job %s: its end is written now, %s", job.job_id, job.state.value)
        for job in self.jobs.mark_interrupted():
            logger.warning("job %s (%s of %s) was interrupted", job.job_id, job.kind.value, job.database)
            self.runner.tell(job)
        for record in self.backups.catalog.settle(is_alive=self.is_alive):
            logger.warning("backup %s is %s", record.backup_id, record.state.value)

    def _settle_and_sweep(self) -> None:
        reserve.keep(self.settings.data_folder)
        self.settle()
        self.staging.sweep(in_use=self.is_alive)

    def _sweep(self) -> None:
        jsonfiles.sweep_drafts(self.settings.data_folder)
        self.staging.sweep(in_use=self.is_alive)
        self.logs.exports.sweep()

    def _look_at_archives(self) -> None:
        """Look at every archive's file, and have those read in full that had been missing and are back."""
        backups = self.backups
        backups.catalog.check_files()
        back = {record.backup_id for record in backups.catalog.come_back()}
        for backup_id in back - self.asked_to_verify:
            try:
                backups.verify(backup_id, by="")
            except StorageError as error:
                logger.error("verifying backup %s could not be asked for: %s", backup_id, error)
        self.asked_to_verify = back  # once for each time that it comes back, whatever comes of it

    def _expire_copies(self) -> None:
        for backup_id, destination in self.copy_retention.expire():
            self.audit.record("copy_expired", actor="", subject=backup_id, destination=destination)

    def _keep_embedded(self) -> None:
        """Start it again when it has died, or when the process that ran it has ended."""
        embedded = self.embedded()
        if embedded is not None and embedded.started:
            embedded.ensure_running()
