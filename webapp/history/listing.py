"""The facts of a history page: which records, on which days, what they come to, and the board above them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from storage.backups.gaps import Gap, longest_gap
from storage.backups.record import BackupRecord, BackupState
from storage.backups.strip import Cell, day_of, start_of, strip, worst
from storage.opening import Storage
from webapp.board import takes_of, zone_of
from webapp.history.query import Query

PAGE_SIZE = 50
LEAST_GAP = timedelta(days=1)
"""A shorter time without a good backup is how every day goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    query: Query
    databases: tuple[str, ...]
    """All that can be chosen: the registered ones, and those that only have backups left."""
    registered: frozenset[str]
    board: tuple[tuple[str, tuple[Cell, ...]], ...]
    days: tuple[tuple[date, tuple[BackupRecord, ...]], ...]
    """The records of this page, grouped by day, newest first."""
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
    cells = [
        (name, strip(by_database[name], takes_of(active, name), today=today, zone=zone, days=query.days))
        for name in on_board
    ]
    gap = longest_gap((record for record in everything if record.database in on_board), since=begins, now=now)
    return History(
        query=query,
        databases=databases,
        registered=frozenset(registered),
        board=tuple((name, by_weeks(row) if query.days == 365 else row) for name, row in cells),
        days=tuple(
            (day, tuple(records)) for day, records in groupby(shown, key=lambda record: day_of(record.started_at, zone))
        ),
        counts=Counter(record.state for record in found),
        total=len(found),
        page=page,
        pages=pages,
        gap=gap if gap and gap.length >= LEAST_GAP else None,
        ever=bool(everything),
        today=today,
    )


def by_weeks(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """One cell for each seven days, the last of them ending today: a year of days could not be told apart."""
    weeks = []
    for end in range(len(cells), 0, -7):
        week = cells[max(0, end - 7) : end]
        sized = next((cell for cell in reversed(week) if cell.bytes is not None), None)
        weeks.append(
            Cell(
                day=week[0].day,
                days=len(week),
                state=worst(cell.state for cell in week),
                counts=sum((Counter(cell.counts) for cell in week), Counter()),
                bytes=sized.bytes if sized else None,
                seconds=sized.seconds if sized else None,
                backup_id=next((cell.backup_id for cell in week), "") if sum(cell.total for cell in week) == 1 else "",
                job_id=next((cell.job_id for cell in week if cell.job_id), ""),
            )
        )
    return tuple(reversed(weeks))
