"""The dry run: counts what a run would delete, with the condition of the run, and fixes the moment for both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from psycopg import sql

from storage.logs.cleanup import target as targets
from storage.logs.cleanup.condition import condition
from storage.logs.cleanup.request import CleanupRequest
from storage.logs.cleanup.target import LogTarget
from storage.postgres.snapshot import Session


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a run of `request`, whose moment is fixed, deletes."""

    request: CleanupRequest
    target: LogTarget
    rows: int
    soft_deleted: int
    """So many of them the application itself has deleted already."""
    first: datetime | None
    last: datetime | None
    days: tuple[Day, ...]
    """The days that have rows, oldest first, as they are in the instance's zone."""
    table_rows: int
    """About so many are in the table."""
    table_bytes: int
    everything: bool
    """Whether about nothing would be left, as far as the table's statistics tell."""

    @property
    def bytes(self) -> int:
        """About what the rows take up, with their share of the indexes."""
        return self.table_bytes * self.rows // self.table_rows if self.table_rows else 0


def look(session: Session, target: LogTarget, request: CleanupRequest, *, zone: ZoneInfo) -> Preview:
    """Count, and draw by days. Raises NothingAsked, Invalid, and Conflict where the table cannot be cleaned up."""
    request.checked()
    targets.refuse_what_takes_others_along(session, target)
    fixed = request.at(now(session))
    known = targets.facts(session, target)
    moment = sql.SQL("{}::timestamptz").format(target.time)
    statement = sql.SQL(
        "SELECT ({moment} AT TIME ZONE {zone})::date, count(*), count(*) FILTER (WHERE {soft}), min({moment}),"
        " max({moment}) FROM {table} AS r WHERE {condition} GROUP BY 1 ORDER BY 1"
    ).format(
        moment=moment,
        zone=sql.Literal(zone.key),
        soft=target.soft_deleted,
        table=target.name,
        condition=condition(target, fixed),
    )
    rows = session.execute(statement).fetchall()
    total = sum(row[1] for row in rows)
    return Preview(
        request=fixed,
        target=target,
        rows=total,
        soft_deleted=sum(row[2] for row in rows),
        first=rows[0][3] if rows else None,
        last=rows[-1][4] if rows else None,
        days=tuple(Day(row[0], row[1]) for row in rows),
        table_rows=max(known.rows, total),
        table_bytes=known.total_bytes,
        everything=0 < known.rows <= total,
    )


def now(session: Session) -> datetime:
    """The server's moment, before which nobody writes any more: a row gets its time when its transaction begins, so
    the oldest transaction that is open may still bring some that are older than now."""
    row = session.execute(_NOW).fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def count(session: Session, target: LogTarget, request: CleanupRequest) -> int:
    """How many rows fulfil it now."""
    row = session.execute(
        sql.SQL("SELECT count(*) FROM {} AS r WHERE {}").format(target.name, condition(target, request))
    ).fetchone()
    assert row is not None
    return int(row[0])


_NOW = """
SELECT least(statement_timestamp(), min(xact_start)) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
