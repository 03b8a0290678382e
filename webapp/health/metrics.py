"""The metrics, worked out from the records at each request: they are the same after a restart."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as BaseCollector

from storage.backups.protection import protection
from storage.backups.record import BackupRecord
from webapp.navigation import VERSION

if TYPE_CHECKING:
    from storage.opening import Storage


class Collector(BaseCollector):
    """Everything has the prefix pghaven_; times are Unix times in UTC, sizes bytes."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def collect(self) -> Iterator[Metric]:
        yield from self._databases()
        yield from self._jobs()
        yield from self._elsewhere()
        yield from self._instance()

    def _databases(self) -> Iterator[Metric]:
        newest = _gauge("backup_newest_good_timestamp_seconds", "When the newest good backup was begun", "database")
        proven = _gauge("backup_newest_proven_timestamp_seconds", "When a backup was last proven by restoring it",
                        "database")  # fmt: skip
        size = _gauge("backup_newest_good_bytes", "Size of the newest good backup's archive", "database")
        seconds = _gauge("backup_newest_good_duration_seconds", "How long the newest good backup took", "database")
        failures = _gauge("backup_failures_in_a_row", "Attempts that failed since the last good backup", "database")
        kept = _gauge("backups", "Backups by state", "database", "state")
        records = self._storage.backups.catalog.all()
        for profile in self._storage.databases.all():
            mine = [record for record in records if record.database == profile.name]
            standing = protection(profile.name, mine, now=self._storage.clock())
            if (good := standing.newest_good) is not None:
                newest.add_metric([profile.name], good.started_at.timestamp())
                size.add_metric([profile.name], good.bytes)
                seconds.add_metric([profile.name], good.seconds or 0.0)
            if (moment := _last_proof(mine)) is not None:
                proven.add_metric([profile.name], moment.timestamp())
            failures.add_metric([profile.name], standing.failures)
            for state, count in Counter(record.state.value for record in mine).items():
                kept.add_metric([profile.name, state], count)
        yield from (newest, proven, size, seconds, failures, kept)

    def _jobs(self) -> Iterator[Metric]:
        jobs = _gauge("jobs", "Jobs that wait or run", "kind", "state")
        counted = Counter((job.kind.value, job.state.value) for job in self._storage.jobs.active())
        for labels, count in counted.items():
            jobs.add_metric(list(labels), count)
        yield jobs

    def _elsewhere(self) -> Iterator[Metric]:
        copies = _gauge("copies", "Copies of backups by destination and state", "destination", "state")
        counted = Counter(
            (copy.destination, copy.state.value)
            for record in self._storage.backups.catalog.all()
            for copy in record.copies
        )
        for labels, count in counted.items():
            copies.add_metric(list(labels), count)
        reached = _gauge("alert_target_reached", "Whether the last alert arrived: 1 or 0", "target")
        last = self._storage.alerts.last_deliveries()
        for target in self._storage.alerts.book().targets:
            if (delivery := last.get(target.target_id)) is not None and delivery.attempts:
                reached.add_metric([target.name], int(delivery.reason is None))
        yield from (copies, reached)
        if (redis := self._storage.redis) is not None:
            yield GaugeMetricFamily("pghaven_redis_reached", "Whether Redis answers: 1 or 0", int(not redis.trouble))

    def _instance(self) -> Iterator[Metric]:
        heartbeat = self._storage.ticker.heartbeat
        if heartbeat is not None:
            age = (self._storage.clock() - heartbeat).total_seconds()
            yield GaugeMetricFamily("pghaven_schedule_heartbeat_age_seconds", "Since the schedule thread ticked", age)
        if (looked := self._storage.audit.looked) is not None:
            yield GaugeMetricFamily(
                "pghaven_audit_faults", "Places at which the audit log is not as it was written", looked[1].count
            )
        usage = shutil.disk_usage(self._storage.settings.data_folder)
        yield GaugeMetricFamily("pghaven_disk_free_bytes", "Free on the disk of the data folder", usage.free)
        yield GaugeMetricFamily("pghaven_disk_size_bytes", "Size of the disk of the data folder", usage.total)
        built = _gauge("build_info", "Always 1; the version is the label", "version")
        built.add_metric([VERSION], 1)
        yield built


def _gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"pghaven_{name}", what, labels=labels)


def _last_proof(records: Sequence[BackupRecord]) -> datetime | None:
    moments = [record.proof.at for record in records if record.proof is not None and record.proof.good]
    return max(moments, default=None)
