"""Requests, costs and failures of a usage log for each day: one question, however long the log is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from psycopg import sql

from storage.clock import Clock
from storage.logs.filters import UsageFilter
from storage.logs.query import UsageQuery
from storage.logs.usage import UsageLogs

DAYS = 30
"""Shown where the filter says no times."""
MOST_DAYS = 366


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    day: date
    requests: int = 0
    cost: Decimal | None = None
    failures: int | None = None
    """All that were not answered with 200, also those without an answer; None where the log knows no status."""


@dataclass(frozen=True, slots=True)
class Daily:
    days: tuple[Day, ...]
    """From the oldest; a day without requests is there, too."""
    cut: bool
    """Whether the filter means more than MOST_DAYS, of which these are the newest."""
    currency: str = ""

    @property
    def requests(self) -> int:
        return sum(day.requests for day in self.days)

    @property
    def cost(self) -> Decimal | None:
        """None where the log knows none."""
        known = [day.cost for day in self.days if day.cost is not None]
        return sum(known, Decimal()) if known else None

    @property
    def failures(self) -> int | None:
        known = [day.failures for day in self.days if day.failures is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyUsage:
    usage: UsageLogs
    clock: Clock

    def look(self, database: str, wanted: UsageFilter, *, zone: ZoneInfo, patience: int = 5) -> Daily:
        """The days of `zone` that a filter means, the last 30 where it says no times. Raises what a page of the log
        raises."""
        days, cut = days_of(wanted, now=self.clock(), zone=zone)
        with self.usage.query(database, wanted, patience=patience) as (session, query):
            has_cost, has_status = query.value("cost") is not None, query.value("status") is not None
            found = {}
            if days:
                narrowed = replace(query, filter=_within(wanted, days, zone))
                for row in session.execute(_statement(narrowed, days, zone)):
                    found[days[row[0] - 1]] = row[1:]
            empty = (0, Decimal(0) if has_cost else None, 0 if has_status else None)
            return Daily(
                tuple(
                    Day(day=day, requests=requests, cost=cost, failures=failures)
                    for day in days
                    for requests, cost, failures in [found.get(day, empty)]
                ),
                cut,
                query.log.currency,
            )


def days_of(wanted: UsageFilter, *, now: datetime, zone: ZoneInfo) -> tuple[list[date], bool]:
    """The days that a filter's times touch, at most the newest 366; and whether there would be more."""
    today = now.astimezone(zone).date()
    last = (wanted.until - timedelta(microseconds=1)).astimezone(zone).date() if wanted.until else today
    first = wanted.since.astimezone(zone).date() if wanted.since else _back(last, DAYS - 1)
    count = (last - first).days + 1
    shown = min(count, MOST_DAYS)
    return [_back(last, back) for back in reversed(range(shown))], count > shown


def within_day(wanted: UsageFilter, day: date, zone: ZoneInfo) -> UsageFilter:
    """The filter, narrowed to a day."""
    return _within(wanted, [day], zone)


def _back(day: date, days: int) -> date:
    return day - min(timedelta(days=days), day - date.min)


def _within(wanted: UsageFilter, days: list[date], zone: ZoneInfo) -> UsageFilter:
    """The filter, held to these days at both ends."""
    begin, end = _midnight(days[0], zone), _midnight(days[-1] + timedelta(days=1), zone)
    return replace(
        wanted,
        since=max(wanted.since, begin) if wanted.since else begin,
        until=min(wanted.until, end) if wanted.until else end,
    )


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _statement(query: UsageQuery, days: list[date], zone: ZoneInfo) -> sql.Composed:
    """Each row falls between two midnights: so a day has 23 or 25 hours where the clocks change, and the server needs
    to know nothing of zones."""
    midnights = sql.SQL(", ").join(sql.Literal(_midnight(day, zone)) for day in days)
    day = sql.SQL("width_bucket({}::timestamptz, ARRAY[{}]::timestamptz[])").format(query.time, midnights)
    cost, status = query.value("cost"), query.value("status")
    failed = sql.SQL("count(*) FILTER (WHERE {} IS DISTINCT FROM 200)").format(status) if status else sql.SQL("NULL")
    return query.totals(
        [
            sql.SQL("count(*)"),
            sql.SQL("coalesce(sum({}), 0)").format(cost) if cost else sql.SQL("NULL"),
            failed,
        ],
        by=[day],
    )
