"""The facts of a history page: which records, on which days, what they come to, and the board above them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from storage.backups.gaps import Gap, longest_gap
from storage.backups.record import BackupRecord, BackupState
from storage.backups.strip import Cell, day_of, start_of, worst
from storage.opening import Storage
from storage.schedules.slots import Slot, SlotState
from webapp.board import cells_of, zone_of
from webapp.history.query import Query

PAGE_SIZE = 50
LEAST_GAP = timedelta(days=1)
"""A shorter time without a good backup is how every day goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutRun:
    """How many moments of a schedule brought no backup on one day."""

    database: str
    missed: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    day: date
    records: tuple[BackupRecord, ...]
    """Newest first."""
    without_run: tuple[WithoutRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    query: Query
    databases: tuple[str, ...]
    """All that can be chosen: the registered ones, and those that only have backups left."""
    registered: frozenset[str]
    board: tuple[tuple[str, tuple[Cell, ...]], ...]
    days: tuple[Day, ...]
    """What is on this page, newest first."""
    counts: Mapping[BackupState, int]
    """Of all pages."""
    total: int
    page: int
    pages: int
    gap: Gap | None
    ever: bool
    """Whether there is any backup at all, on whatever day."""
    today: date

    @property
    def unknown(self) -> str:
        """The database that was asked for, when there neither is one of that name nor a backup of it."""
        return "" if self.query.database in ("", *self.databases) else self.query.database


def read_history(storage: Storage, query: Query) -> History:
    now, zone = storage.clock(), zone_of(storage)
    today = day_of(now, zone)
    everything = storage.backups.catalog.all()
    first, last = query.days_shown(today)
    begins, ends = start_of(first, zone), start_of(last + timedelta(days=1), zone)
    found = [record for record in query.chosen(everything) if begins <= record.started_at < ends]
    pages = max(1, -(-len(found) // PAGE_SIZE))
    page = min(query.page, pages)
    shown = found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    registered = [profile.name for profile in storage.databases.all()]
    databases = (*registered, *sorted({record.database for record in everything} - set(registered)))
    on_board = [name for name in databases if query.database in ("", name)]
    active = storage.jobs.active()
    by_database: dict[str, list[BackupRecord]] = {name: [] for name in databases}
    for record in everything:
        by_database[record.database].append(record)
    slots = {name: storage.schedules.without_a_run(name, days=query.days) for name in on_board}
    cells = [
        (name, cells_of(storage, name, by_database[name], active, today=today, days=query.days)) for name in on_board
    ]
    listed = _listed(query, slots, found, page=page, pages=pages)
    gap = longest_gap((record for record in everything if record.database in on_board), since=begins, now=now)
    return History(
        query=query,
        databases=databases,
        registered=frozenset(registered),
        board=tuple((name, by_weeks(row) if query.days == 365 else row) for name, row in cells),
        days=_days(
            shown,
            [(name, slot) for name, slot in listed if begins <= slot.at < ends],
            zone=zone,
        ),
        counts=Counter(record.state for record in found),
        total=len(found),
        page=page,
        pages=pages,
        gap=gap if gap and gap.length >= LEAST_GAP else None,
        ever=bool(everything),
        today=today,
    )


def _listed(
    query: Query, slots: Mapping[str, list[Slot]], found: list[BackupRecord], *, page: int, pages: int
) -> Iterator[tuple[str, Slot]]:
    """The slots without a run that stand between the records of this page; none where a result is asked for."""
    if query.result:
        return
    newer = found[(page - 1) * PAGE_SIZE - 1].started_at if page > 1 else None
    oldest = found[page * PAGE_SIZE - 1].started_at if page < pages else None
    for name, those in slots.items():
        for slot in those:
            if (newer is None or slot.at < newer) and (oldest is None or slot.at >= oldest):
                yield name, slot


def _days(records: list[BackupRecord], slots: list[tuple[str, Slot]], *, zone: ZoneInfo) -> tuple[Day, ...]:
    of_records = {
        day: tuple(those) for day, those in groupby(records, key=lambda record: day_of(record.started_at, zone))
    }
    of_slots: dict[date, dict[str, list[SlotState]]] = {}
    for name, slot in slots:
        of_slots.setdefault(day_of(slot.at, zone), {}).setdefault(name, []).append(slot.state)
    return tuple(
        Day(
            day=day,
            records=of_records.get(day, ()),
            without_run=tuple(
                WithoutRun(
                    database=name, missed=states.count(SlotState.MISSED), skipped=states.count(SlotState.SKIPPED)
                )
                for name, states in of_slots.get(day, {}).items()
            ),
        )
        for day in sorted(of_records.keys() | of_slots.keys(), reverse=True)
    )


def by_weeks(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """One cell for each seven days, the last of them ending today: a year of days could not be told apart."""
    weeks = []
    for end in range(len(cells), 0, -7):
        week = cells[max(0, end - 7) : end]
        counts: Counter[BackupState] = Counter()
        for cell in week:
            counts.update(cell.counts)
        sized = next((cell for cell in reversed(week) if cell.bytes is not None), None)
        weeks.append(
            Cell(
                day=week[0].day,
                days=len(week),
                state=worst(cell.state for cell in week),
                counts=counts,
                bytes=sized.bytes if sized else None,
                seconds=sized.seconds if sized else None,
                backup_id=next((cell.backup_id for cell in week), "") if sum(cell.total for cell in week) == 1 else "",
                job_id=next((cell.job_id for cell in week if cell.job_id), ""),
                missed=sum(cell.missed for cell in week),
                skipped=sum(cell.skipped for cell in week),
            )
        )
    return tuple(reversed(weeks))
