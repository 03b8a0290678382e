"""How a table is gone through in short batches: by windows of time where an index leads there and few rows go, else
block by block.

Each batch is a condition that is added to the request's. A batch is small by what it looks at, not only by what it
deletes; its size follows the time that the last ones took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg import sql

from storage.logs.cleanup.condition import bounds
from storage.logs.cleanup.request import CleanupRequest
from storage.logs.cleanup.target import LogTarget, TableFacts
from storage.postgres.snapshot import Session

AIM_SECONDS = 0.014
"""What a batch should take: a third of what nobody notices, so that a slow one is no more than that."""
MANY = 0.1
"""The share of a table from which on all of it is gone through: its blocks lie in one row, whatever their times."""
FIRST_ROWS, LEAST_ROWS, MOST_ROWS = 1000, 100, 10_000
FIRST_BLOCKS, LEAST_BLOCKS, MOST_BLOCKS = 64, 4, 4096
STRETCH, SAMPLE = 512, 8
"""So many blocks beside each other are left out where so many of them hold nothing that goes."""
CHUNK = 64
"""Blocks that are gone through when one of them holds what was overlooked."""
FULL_ROWS = 4000
"""What blocks may hold that are gone through at once: behind those that hold nothing old all may be."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What many batches have in common: their statements differ in two values, and are planned once."""

    where: sql.Composable
    """Over `r`, beside the condition, with $1 and $2."""
    using: sql.Composable | None = None
    """What else `where` names, for DELETE … USING."""


@dataclass(frozen=True, slots=True)
class Batch:
    shape: Shape
    values: tuple[str, str] | tuple[int, int]
    pace: Pace


@dataclass(frozen=True, slots=True)
class Left:
    """CHUNK blocks that hold `rows` which are meant."""

    first: int
    rows: int


def of_table(
    session: Session,
    target: LogTarget,
    request: CleanupRequest,
    known: TableFacts,
    *,
    expected: int,
    condition: sql.Composable,
) -> Iterator[Batch]:
    """All of the table that the request may mean, once. Rows that the application moves meanwhile may be missed.

    Where much goes, blocks are left out of which a sample has nothing that fulfils the `condition`: rows of a log lie
    beside those of about their time. Whoever asks has to look afterwards whether anything is left.
    """
    many = expected >= known.rows * MANY
    if known.time_indexed and not many:
        return _by_time(session, target, request, most_blocks=_most_blocks(known))
    sample = partial(_holds_some, session, target, condition) if many else None
    return _by_blocks(0, known.blocks, sql.SQL("true"), most=_most_blocks(known), sample=sample)


def find_left(session: Session, target: LogTarget, condition: sql.Composable) -> list[Left]:
    """Where there are still rows that fulfil the condition. One look at the whole table, which may take long."""
    statement = sql.SQL(
        "SELECT (r.ctid::text::point)[0]::bigint / {} AS chunk, count(*) FROM {} AS r WHERE {} GROUP BY 1 ORDER BY 1"
    ).format(sql.Literal(CHUNK), target.name, condition)
    return [Left(chunk * CHUNK, rows) for chunk, rows in session.execute(statement).fetchall()]


def of_left(places: Sequence[Left], known: TableFacts) -> Iterator[Batch]:
    """The blocks where something is left, once."""
    most = _most_blocks(known)
    for place in places:
        yield from _by_blocks(place.first, place.first + CHUNK, sql.SQL("true"), most=most)


def _most_blocks(known: TableFacts) -> int:
    """So many that they take no longer than they may when every row of them goes."""
    return min(MOST_BLOCKS, max(LEAST_BLOCKS, FULL_ROWS * known.blocks // max(known.rows, 1)))


def _by_time(session: Session, target: LogTarget, request: CleanupRequest, *, most_blocks: int) -> Iterator[Batch]:
    pace = Pace(FIRST_ROWS, LEAST_ROWS, MOST_ROWS)
    within = Shape(sql.SQL("{time} > $1 AND {time} <= $2").format(time=target.time))
    before = Shape(sql.SQL("{time} > $1 AND {time} < $2").format(time=target.time))
    meant = bounds(target, request)
    start = "-infinity"
    while (end := _end_of_window(session, target, meant, start, pace.size)) is not None:
        if _crowded(session, target, end):
            yield Batch(before, (start, end), pace)
            yield from _of_one_moment(session, target, end, most_blocks=most_blocks)
        else:
            yield Batch(within, (start, end), pace)
        start = end
    yield Batch(within, (start, "infinity"), pace)


def _end_of_window(session: Session, target: LogTarget, meant: sql.Composable, start: str, rows: int) -> str | None:
    """The time, as the server writes it, of the last of so many rows; None where there are fewer."""
    statement = sql.SQL(
        "SELECT {time}::text FROM {table} AS r WHERE {meant} AND {time} > $1 ORDER BY {time} OFFSET $2 LIMIT 1"
    ).format(time=target.time, table=target.name, meant=meant)
    row = ask(session, statement, (start, rows - 1))
    return str(row[0]) if row else None


def _crowded(session: Session, target: LogTarget, time: str) -> bool:
    """Whether one moment has more rows than a batch may: a window of time cannot be made smaller than that."""
    statement = sql.SQL("SELECT FROM {} AS r WHERE {} = $1 OFFSET $2 LIMIT 1").format(target.name, target.time)
    return ask(session, statement, (time, MOST_ROWS)) is not None


def _of_one_moment(session: Session, target: LogTarget, time: str, *, most_blocks: int) -> Iterator[Batch]:
    """Rows that came in one go lie beside each other."""
    moment = sql.SQL("{} = {}").format(target.time, sql.Literal(time))
    row = session.execute(
        sql.SQL(
            "SELECT min((r.ctid::text::point)[0])::bigint, max((r.ctid::text::point)[0])::bigint FROM {} AS r WHERE {}"
        ).format(target.name, moment)
    ).fetchone()
    if row and row[0] is not None:
        yield from _by_blocks(row[0], row[1] + 1, moment, most=most_blocks)


def _by_blocks(
    first: int, end: int, also: sql.Composable, *, most: int, sample: Callable[[int, int], bool] | None = None
) -> Iterator[Batch]:
    pace = Pace(min(FIRST_BLOCKS, most), LEAST_BLOCKS, most)
    span = Shape(sql.SQL("r.ctid >= $1::tid AND r.ctid < $2::tid AND {}").format(also))
    stretch = end if sample is None else STRETCH
    for begin in range(first, end, stretch):
        past = min(begin + stretch, end)
        if sample is not None and not sample(begin, past):
            continue
        while begin < past:
            following = min(begin + pace.size, past)
            yield Batch(span, (f"({begin},0)", f"({following},0)"), pace)
            begin = following


def _holds_some(session: Session, target: LogTarget, condition: sql.Composable, first: int, end: int) -> bool:
    """Whether one of a few blocks holds a row that is meant: the first and the last, so that no run of them that begins
    or ends here is overlooked, and some between."""
    blocks = sampled(first, end)
    one = sql.SQL("EXISTS (SELECT FROM {} AS r WHERE ({}) AND r.ctid >= ${}::tid AND r.ctid < ${}::tid)")
    some = [
        one.format(target.name, condition, sql.SQL(str(2 * number + 1)), sql.SQL(str(2 * number + 2)))
        for number in range(len(blocks))
    ]
    row = ask(
        session,
        sql.SQL("SELECT {}").format(sql.SQL(" OR ").join(some)),
        [place for block in blocks for place in (f"({block},0)", f"({block + 1},0)")],
    )
    return row is not None and bool(row[0])


def sampled(first: int, end: int) -> list[int]:
    """SAMPLE blocks of those from `first` to before `end`, the first and the last among them; or all of fewer."""
    last = end - 1
    if last - first < SAMPLE:
        return list(range(first, end))
    return [first + (last - first) * number // (SAMPLE - 1) for number in range(SAMPLE)]


def ask(session: Session, statement: sql.Composable, values: Sequence[str | int]) -> tuple[object, ...] | None:
    """The first row of a statement with $1, $2 for its values: planned once, and asked often."""
    with psycopg.RawCursor(session) as cursor:
        return cursor.execute(statement.as_string(None).encode(), values, prepare=True).fetchone()
