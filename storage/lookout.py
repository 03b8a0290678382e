"""Reads from the records what the rules of alerts are told: how a job ended, how every database and the disk stand."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import psycopg

from storage.alerts.facts import DatabaseLook, JobEnd, Look, Taken
from storage.alerts.migration import LegacySetting
from storage.audit import Audit
from storage.backups.catalog import Catalog
from storage.backups.protection import Protection, protection
from storage.backups.record import BackupRecord, BackupState
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.errors import NotFound, say
from storage.jobs.model import Job, JobKind
from storage.jobs.store import JobStore
from storage.postgres.connection import connect, describe
from storage.schedules.schedules import Schedules
from storage.schedules.slots import SlotState
from storage.secret import Secret
from storage.settings import Settings

WEEK = timedelta(days=7)
LEGACY_COLUMNS = ("circuit_breaker", "daily_leaderboard", "cost_alert")


class Lookout:
    def __init__(
        self,
        *,
        catalog: Catalog,
        jobs: JobStore,
        schedules: Schedules,
        audit: Audit,
        settings: Settings,
        clock: Clock,
        databases: Callable[[], list[DatabaseProfile]],
        profile_of: Callable[[str], DatabaseProfile],
    ) -> None:
        self._catalog, self._jobs, self._schedules = catalog, jobs, schedules
        self._audit, self._settings, self._clock = audit, settings, clock
        self._databases, self._profile_of = databases, profile_of

    def job_end(self, job: Job) -> JobEnd:
        taken, before = self._taken(job) if job.kind is JobKind.TAKE else (None, None)
        good = self._catalog.newest_good(job.database)
        request = job.parameters.get("request", {}) if job.kind is JobKind.RESTORE else {}
        backup = self._backup(str(request.get("backup_id") or ""))
        return JobEnd(
            kind=job.kind.value,
            database=job.database,
            state=job.state.value,
            at=job.ended_at or self._clock(),
            target=str(job.result.get("target") or request.get("target") or ""),
            source=backup.database if backup else "",
            mode=str(request.get("mode") or ""),
            backup_at=backup.started_at if backup else None,
            by=job.requested_by,
            uploaded=backup is not None and not backup.ours,
            destination=str(job.parameters.get("destination") or ""),
            error=job.error,
            newest_good_at=good.started_at if good else None,
            taken=taken,
            before=before,
        )

    def _backup(self, backup_id: str) -> BackupRecord | None:
        try:
            return self._catalog.get(backup_id) if backup_id else None
        except NotFound:
            return None

    def look(self) -> Look:
        now = self._clock()
        records: Mapping[str, list[BackupRecord]] = defaultdict(list)
        for record in self._catalog.all():
            records[record.database].append(record)
        jobs = self._jobs.active()
        profiles = self._databases()
        try:
            disk = shutil.disk_usage(self._settings.data_folder)
        except OSError:
            disk = None
        return Look(
            at=now,
            databases=tuple(
                self._look_at(
                    profile, records[profile.name], [job for job in jobs if job.database == profile.name], now
                )
                for profile in profiles
            ),
            disk_free=disk.free if disk else None,
            disk_total=disk.total if disk else None,
            audit_faults=self._audit.looked[1].count if self._audit.looked else 0,
        )

    def _look_at(
        self, profile: DatabaseProfile, records: list[BackupRecord], jobs: list[Job], now: datetime
    ) -> DatabaseLook:
        standing = protection(profile.name, records, jobs, now=now)
        good = [record for record in records if record.good]
        week = [record for record in records if now - record.started_at <= WEEK]
        missed = [
            slot.at
            for slot in self._schedules.without_a_run(profile.name, days=2)
            if slot.state is SlotState.MISSED and slot.at >= profile.added_at
        ] if profile.added_at else []  # fmt: skip
        return DatabaseLook(
            name=profile.name,
            newest_good_at=standing.newest_good.started_at if standing.newest_good else None,
            late=standing.state is Protection.LATE,
            missed_at=max(missed, default=None),
            damaged=standing.state is Protection.DAMAGED,
            proven_at=_proven_at(good),
            good=sum(record.good for record in week),
            failed=sum(record.state is BackupState.FAILED for record in week),
            bytes=sum(record.bytes for record in good),
        )

    def _taken(self, job: Job) -> tuple[Taken | None, Taken | None]:
        """The backup of this job, and the newest good one of the same sort before it."""
        records = sorted(self._catalog.find(database=job.database), key=lambda record: record.started_at)
        taken = next((record for record in records if record.job_id == job.job_id and record.good), None)
        if taken is None:
            return None, None
        before = [
            record
            for record in records
            if record.good and record.started_at < taken.started_at and record.no_logs == taken.no_logs and record.ours
        ]
        return _facts(taken), _facts(before[-1]) if before else None

    # What earlier systems had

    def legacy_of_environment(self) -> tuple[LegacySetting, ...]:
        settings = self._settings
        found = {
            "webhook_url": settings.webhook_url,
            "circuit_breaker": settings.circuit_breaker_webhook,
            "daily_leaderboard": settings.daily_leaderboard_webhook,
            "cost_alert": settings.cost_alert_webhook,
        }
        return tuple(LegacySetting(setting=name, url=url) for name, url in found.items() if url)

    def legacy_of_database(self, name: str) -> tuple[LegacySetting, ...]:
        """The single-address webhooks of a hub's notification_settings; they are read, and left as they are there.

        Raises NotFound for a database without that table, Unreachable, or what its server refuses.
        """
        profile = self._profile_of(name)
        with connect(profile.connection, application="pghaven alerts") as session:
            try:
                if session.execute("SELECT to_regclass('notification_settings')").fetchone() == (None,):
                    raise NotFound(say("%(name)s has no table notification_settings.", name=name))
                row = session.execute(_LEGACY).fetchone()
            except psycopg.Error as error:
                raise describe(error, doing=say("The notification settings could not be read.")) from error
        if row is None:
            return ()
        pairs = zip(LEGACY_COLUMNS, row[1::2], row[2::2], strict=True)
        return tuple(
            LegacySetting(setting=setting, url=Secret(url), enabled=bool(row[0] and enabled))
            for setting, enabled, url in pairs
            if url
        )


_LEGACY = """
    SELECT enabled,
           circuit_breaker_enabled, circuit_breaker_webhook,
           daily_leaderboard_enabled, daily_leaderboard_webhook,
           cost_alert_enabled, cost_alert_webhook
    FROM notification_settings ORDER BY id LIMIT 1
"""


def _proven_at(good: Iterable[BackupRecord]) -> datetime | None:
    """The newest good proof; before the first, the oldest good backup: from then on there was something to prove."""
    records = [record for record in good if record.ours]
    proofs = [record.proof.at for record in records if record.proof and record.proof.good]
    return max(proofs, default=min((record.started_at for record in records), default=None))


def _facts(record: BackupRecord) -> Taken:
    rows = {name: table.rows for name, table in record.tables.items() if not table.left_out}
    return Taken(at=record.ended_at or record.started_at, bytes=record.bytes, rows=rows)
