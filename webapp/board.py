"""The facts of the board: for each database its strip, its standing and its trend. The overview and the history draw
them; nothing here asks a database server, so that the pages come at once when servers are down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import is_
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from storage.backups.copies import CopyState
from storage.backups.protection import DatabaseProtection, Sentence, protection, sentence, worst_first
from storage.backups.proven import last_proven, unproven
from storage.backups.record import BackupRecord
from storage.backups.strip import Cell, day_of, strip
from storage.backups.trend import Point, trend
from storage.databases.profile import DatabaseProfile
from storage.destinations.destination import Destination
from storage.jobs.model import Job, JobKind
from storage.opening import Storage
from storage.schedules.cron import Run
from storage.schedules.schedule import Schedule
from webapp.unchanged import shown_age, stamp
from webapp.visible_jobs import visible

SPARK_WIDTH, SPARK_HEIGHT = 88, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One database on the board."""

    profile: DatabaseProfile
    standing: DatabaseProtection
    cells: tuple[Cell, ...]
    points: tuple[Point, ...]
    schedule: Schedule
    next_run: Run | None
    server: str
    """The server's version as the newest backup that knows it has it, good or not; '' before the first."""

    @property
    def spark(self) -> str:
        return spark(self.points)

    @property
    def series(self) -> list[list[float]]:
        return series(self.points)


@dataclass(frozen=True, slots=True)
class Uncopied:
    """A destination where the newest backups of some databases have no good copy, though that was tried."""

    destination: str
    databases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What the overview shows, at one moment."""

    rows: tuple[Row, ...]
    """The worst first."""
    sentence: Sentence
    attention: tuple[DatabaseProtection, ...]
    """Whoever needs a person, the worst first."""
    unproven: tuple[BackupRecord, ...]
    """Backups whose newest proof did not come off, one a database."""
    last_proven: BackupRecord | None
    """The backup with the newest proof of all."""
    running: tuple[Job, ...]
    now: datetime
    redis_trouble: str = ""
    """Why Redis, where it is to be used, cannot be asked."""
    uncopied: tuple[Uncopied, ...] = ()
    unreached: tuple[str, ...] = ()
    """The names of alert targets whose last delivery did not arrive."""

    @property
    def needs_someone(self) -> bool:
        return bool(self.attention or self.unproven or self.redis_trouble or self.uncopied or self.unreached)

    @property
    def stamp(self) -> str:
        return stamp(
            [
                (row.profile.name, row.standing.state, shown_age(row.standing.age), row.cells, row.next_run)
                for row in self.rows
            ],
            [(record.backup_id, record.proof) for record in self.unproven],
            self.redis_trouble,
            self.uncopied,
            self.unreached,
            self.last_proven
            and self.last_proven.proof
            and (self.last_proven.backup_id, shown_age(self.now - self.last_proven.proof.at)),
        )


def read_board(storage: Storage, *, days: int = 30) -> Board:
    now, zone = storage.clock(), zone_of(storage)
    by_database: dict[str, list[BackupRecord]] = defaultdict(list)
    for record in storage.backups.catalog.all():
        by_database[record.database].append(record)
    active = storage.jobs.active()
    today = day_of(now, zone)
    rows, bad, proven, newest = [], [], [], []
    for profile in storage.databases.all():
        records = storage.backups.catalog.check_newest(by_database[profile.name])
        jobs = takes_of(active, profile.name)
        bad.append(unproven(records))
        proven.append(last_proven(records))
        newest += [record for record in records if record.archive][:1]
        rows.append(
            Row(
                profile=profile,
                standing=protection(
                    profile.name, records, jobs, now=now, late_after=storage.schedules.late_after(profile.name)
                ),
                cells=cells_of(storage, profile.name, records, active, today=today, days=days),
                schedule=storage.schedules.of(profile.name),
                next_run=storage.schedules.next_run(profile.name),
                points=trend(records, since=now - timedelta(days=days)),
                server=_server(records),
            )
        )
    standings = worst_first(row.standing for row in rows)
    place = {standing.database: number for number, standing in enumerate(standings)}
    return Board(
        rows=tuple(sorted(rows, key=lambda row: place[row.profile.name])),
        sentence=sentence(standings),
        attention=tuple(standing for standing in standings if standing.needs_someone),
        unproven=tuple(record for record in bad if record),
        last_proven=last_proven(record for record in proven if record),
        running=tuple(visible(active)),
        now=now,
        redis_trouble=storage.redis.trouble if storage.redis else "",
        uncopied=uncopied(storage.destinations.all(), newest),
        unreached=unreached(storage),
    )


def uncopied(destinations: Iterable[Destination], newest: Iterable[BackupRecord]) -> tuple[Uncopied, ...]:
    """Where copies do not come off; `newest` is the newest whole backup of each database."""
    records = tuple(newest)
    found = (
        Uncopied(destination.name, tuple(record.database for record in records if _failed_at(record, destination)))
        for destination in destinations
    )
    return tuple(one for one in found if one.databases)


def _failed_at(record: BackupRecord, destination: Destination) -> bool:
    copy = record.copy_at(destination.name)
    return destination.takes(record.database) and copy is not None and copy.state in (
        CopyState.FAILED, CopyState.DAMAGED
    )  # fmt: skip


def unreached(storage: Storage) -> tuple[str, ...]:
    """The names of alert targets whose last delivery did not arrive."""
    last = storage.alerts.last_deliveries()
    return tuple(
        target.name
        for target in storage.alerts.book().targets
        if (delivery := last.get(target.target_id)) is not None and delivery.reason is not None
    )


@dataclass(frozen=True, slots=True)
class _Strip:
    asked: tuple[object, ...]
    records: Sequence[BackupRecord]
    cells: tuple[Cell, ...]


_strips: WeakKeyDictionary[Storage, dict[tuple[str, int], _Strip]] = WeakKeyDictionary()
"""The newest strip of each database and length: most pages show what the page before has shown."""


def cells_of(
    storage: Storage, name: str, records: Sequence[BackupRecord], active: Sequence[Job], *, today: date, days: int
) -> tuple[Cell, ...]:
    """The strip of one database; made again only when something of it is another one."""
    zone, jobs = zone_of(storage), takes_of(active, name)
    slots = storage.schedules.without_a_run(name, days=days)
    known, asked = _strips.setdefault(storage, {}), (today, zone.key, tuple(job.job_id for job in jobs), tuple(slots))
    before = known.get((name, days))
    # The index hands out the same record as long as its file is the same.
    same = before and before.asked == asked and len(before.records) == len(records)
    if before and same and all(map(is_, before.records, records)):
        return before.cells
    cells = strip(records, jobs, slots, today=today, zone=zone, days=days)
    known[name, days] = _Strip(asked, tuple(records), cells)
    return cells


def _server(newest_first: Sequence[BackupRecord]) -> str:
    versions = (record.source.server_version for record in newest_first)
    return next((version.split(" ")[0] for version in versions if version), "")


def zone_of(storage: Storage) -> ZoneInfo:
    return ZoneInfo(storage.settings.time_zone)


def takes_of(jobs: Sequence[Job], database: str) -> list[Job]:
    return [job for job in jobs if job.database == database and job.kind is JobKind.TAKE]


def spark(points: Sequence[Point]) -> str:
    """The points of an SVG polyline, the newest at the right: what is shown where no script draws."""
    if len(points) < 2:
        return ""
    sizes = [point.bytes for point in points]
    least, span = min(sizes), (max(sizes) - min(sizes)) or 1
    step = (SPARK_WIDTH - 4) / (len(points) - 1)
    return " ".join(
        f"{2 + index * step:.1f},{SPARK_HEIGHT - 3 - (size - least) / span * (SPARK_HEIGHT - 6):.1f}"
        for index, size in enumerate(sizes)
    )


def series(points: Sequence[Point]) -> list[list[float]]:
    """The same for uPlot: times in seconds, sizes in bytes, durations in seconds."""
    return [
        [round(point.at.timestamp()) for point in points],
        [point.bytes for point in points],
        [round(point.seconds, 1) for point in points],
    ]
