"""What a history page is asked for. Every view has an address of its own, so that it can be linked and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, timedelta

from storage.backups.record import BackupRecord, BackupState

SPANS = (7, 30, 90, 365)
RESULTS: Mapping[str, frozenset[BackupState]] = {
    "complete": frozenset({BackupState.COMPLETE}),
    "failed": frozenset({BackupState.FAILED}),
    "stopped": frozenset({BackupState.CANCELLED, BackupState.INTERRUPTED}),
    "damaged": frozenset({BackupState.DAMAGED, BackupState.MISSING}),
    "trashed": frozenset({BackupState.TRASHED, BackupState.ERASED}),
    "running": frozenset({BackupState.TAKING}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Read leniently: an address that somebody kept must show something, whatever became of its words."""

    days: int = 30
    database: str = ""
    result: str = ""
    first: date | None = None
    """Only from this day on, as `last` is up to and with that one: what a cell of the board links to."""
    last: date | None = None
    page: int = 1

    @classmethod
    def read(cls, arguments: Mapping[str, str]) -> Query:
        days = _whole(arguments.get("days", ""), 30)
        first = _day(arguments.get("from", ""))
        last = _day(arguments.get("until", "")) or first
        if first and last and last < first:
            first, last = last, first
        return cls(
            days=days if days in SPANS else 30,
            database=arguments.get("database", "")[:63],
            result=arguments.get("result", "") if arguments.get("result") in RESULTS else "",
            first=first,
            last=last,
            page=max(1, _whole(arguments.get("page", ""), 1)),
        )

    def address(self, **changes: object) -> dict[str, object]:
        """The arguments of the address of this view, or of one that differs; what is usual is left out."""
        values: dict[str, object] = {
            "days": self.days,
            "database": self.database,
            "result": self.result,
            "from": self.first,
            "until": self.last if self.last != self.first else None,
            "page": 1,
        } | changes
        usual: dict[str, object] = {"days": 30, "page": 1}
        return {name: value for name, value in values.items() if value and usual.get(name) != value}

    @property
    def narrowed(self) -> bool:
        return bool(self.database or self.result or self.first)

    def days_shown(self, today: date) -> tuple[date, date]:
        """The first and the last day of the list."""
        oldest = today - timedelta(days=self.days - 1)
        return self.first or oldest, self.last or today

    def chosen(self, records: Iterable[BackupRecord]) -> list[BackupRecord]:
        """Those of the database and the result asked for, in their order."""
        return [
            record
            for record in records
            if self.database in ("", record.database) and (not self.result or record.state in RESULTS[self.result])
        ]


def _whole(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else default


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # At the ends of the calendar there is no day after, and no other time zone.
    return day if MINYEAR < day.year < MAXYEAR else None
