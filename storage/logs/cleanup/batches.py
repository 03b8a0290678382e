"""How a table is gone through in short batches: by windows of time where an index leads there, else block by block.

Each batch is a condition that is added to the request's. A batch is small by what it looks at, not only by what it
deletes; its size follows the time that the last ones took.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from storage.logs.cleanup.condition import bounds
from storage.logs.cleanup.request import CleanupRequest
from storage.logs.cleanup.target import LogTarget, TableFacts
from storage.postgres.snapshot import Session

AIM_SECONDS = 0.016
"""What a batch should take: a third of what nobody notices, so that a slow one is no more than that."""
FIRST_ROWS, LEAST_ROWS, MOST_ROWS = 1000, 100, 10_000
FIRST_BLOCKS, LEAST_BLOCKS, MOST_BLOCKS = 64, 4, 4096


@dataclass(slots=True)
class Pace:
    """How large the next batch is, in whatever unit it is measured."""

    size: int
    least: int
    most: int

    def took(self, seconds: float) -> None:
        """Follow what a batch of this size took: down at once, up by little."""
        if seconds > AIM_SECONDS * 1.5:
            self.size = max(self.least, self.size // 2)
        elif seconds < AIM_SECONDS:
            self.size = min(self.most, self.size * 5 // 4)


@dataclass(frozen=True, slots=True)
class Batch:
    where: sql.Composable
    """Over `r`, beside the condition."""
    pace: Pace
    using: sql.Composable | None = None
    """What else `where` names, for DELETE … USING."""


def of_table(session: Session, target: LogTarget, request: CleanupRequest, known: TableFacts) -> Iterator[Batch]:
    """All of the table that the request may mean, once. Rows that the application moves meanwhile may be missed."""
    if known.time_indexed:
        return _by_time(session, target, request)
    return _by_blocks(0, known.blocks, sql.SQL("true"))


def _by_time(session: Session, target: LogTarget, request: CleanupRequest) -> Iterator[Batch]:
    pace = Pace(FIRST_ROWS, LEAST_ROWS, MOST_ROWS)
    here: sql.Composable = bounds(target, request)
    while (end := _end_of_window(session, target, here, pace.size)) is not None:
        if _crowded(session, target, end):
            yield Batch(sql.SQL("{} AND {} < {}").format(here, target.time, sql.Literal(end)), pace)
            yield from _of_one_moment(session, target, end)
        else:
            yield Batch(sql.SQL("{} AND {} <= {}").format(here, target.time, sql.Literal(end)), pace)
        here = sql.SQL("{} AND {} > {}").format(bounds(target, request), target.time, sql.Literal(end))
    yield Batch(here, pace)


def _end_of_window(session: Session, target: LogTarget, here: sql.Composable, rows: int) -> str | None:
    """The time, as the server writes it, of the last of so many rows; None where there are fewer."""
    row = session.execute(
        sql.SQL("SELECT {time}::text FROM {table} AS r WHERE {here} ORDER BY {time} OFFSET {rows} LIMIT 1").format(
            time=target.time, table=target.name, here=here, rows=sql.Literal(rows - 1)
        )
    ).fetchone()
    return str(row[0]) if row else None


def _crowded(session: Session, target: LogTarget, time: str) -> bool:
    """Whether one moment has more rows than a batch may: a window of time cannot be made smaller than that."""
    row = session.execute(
        sql.SQL("SELECT FROM {} AS r WHERE {} = {} OFFSET {} LIMIT 1").format(
            target.name, target.time, sql.Literal(time), sql.Literal(MOST_ROWS)
        )
    ).fetchone()
    return row is not None


def _of_one_moment(session: Session, target: LogTarget, time: str) -> Iterator[Batch]:
    """Rows that came in one go lie beside each other."""
    moment = sql.SQL("{} = {}").format(target.time, sql.Literal(time))
    row = session.execute(
        sql.SQL(
            "SELECT min((r.ctid::text::point)[0])::bigint, max((r.ctid::text::point)[0])::bigint FROM {} AS r WHERE {}"
        ).format(target.name, moment)
    ).fetchone()
    if row and row[0] is not None:
        yield from _by_blocks(row[0], row[1] + 1, moment)


def _by_blocks(first: int, end: int, also: sql.Composable) -> Iterator[Batch]:
    pace = Pace(FIRST_BLOCKS, LEAST_BLOCKS, MOST_BLOCKS)
    while first < end:
        following = first + pace.size
        span = sql.SQL("r.ctid >= {}::tid AND r.ctid < {}::tid AND {}").format(
            sql.Literal(f"({first},0)"), sql.Literal(f"({following},0)"), also
        )
        yield Batch(span, pace)
        first = following
