"""Deletes batch after batch, each in a short transaction of its own, and stands in nobody's way.

Each waits for a lock for a moment only; rows that somebody else holds are then left out, and come at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from storage.crashpoints import crashpoint
from storage.logs.cleanup.batches import Batch
from storage.logs.cleanup.statistics import Daily
from storage.logs.cleanup.target import LogTarget
from storage.postgres.connection import Connection, connect
from storage.postgres.snapshot import Session

APPLICATION = "pghaven log cleanup"
LOCK_WAIT_MS = 40
"""How long a batch may wait for rows that somebody else holds: meanwhile it holds those that it has deleted."""
BATCH_SECONDS = 5
"""After which the server ends a batch that hangs for another reason."""

_SETTINGS = (
    f"-c TimeZone=UTC -c DateStyle=ISO -c lock_timeout={LOCK_WAIT_MS}ms -c statement_timeout={BATCH_SECONDS}s"
    # A batch that a crash of the server takes back is deleted again by the next run, its sums with it.
    " -c synchronous_commit=off"
    # The planner's numbers are those of before the run.
    " -c enable_seqscan=off -c enable_sort=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"
    " -c max_parallel_workers_per_gather=0"
)


@dataclass(slots=True)
class Tally:
    """What was done so far."""

    rows: int = 0
    soft_deleted: int = 0
    batches: int = 0
    in_the_way: int = 0
    """Batches that found rows in the hands of somebody else."""
    longest: float = 0.0
    """Seconds of the longest batch."""


@contextmanager
def session_for(connection: Connection) -> Iterator[Session]:
    """A session whose statements are short, and planned for few rows."""
    with connect(connection, application=APPLICATION, options=_SETTINGS) as session:
        yield session


def delete_all(
    session: Session,
    target: LogTarget,
    condition: sql.Composable,
    batches: Iterator[Batch],
    tally: Tally,
    *,
    daily: Daily | None,
    after_each: Callable[[], None],
) -> None:
    """Carry the batches out; `after_each` is called between them, and may raise to end it there."""
    for batch in batches:
        _carry_out(session, target, condition, batch, tally, daily)
        crashpoint("cleanup:batch")
        after_each()


def _carry_out(
    session: Session, target: LogTarget, condition: sql.Composable, batch: Batch, tally: Tally, daily: Daily | None
) -> None:
    started = time.perf_counter()
    try:
        row = session.execute(_statement(target, condition, batch, daily)).fetchone()
    except psycopg.errors.LockNotAvailable:
        tally.in_the_way += 1
        started = time.perf_counter()
        row = session.execute(_statement(target, condition, _free_only(target, condition, batch), daily)).fetchone()
    took = time.perf_counter() - started
    batch.pace.took(took)
    assert row is not None
    tally.rows += row[0]
    tally.soft_deleted += row[1]
    tally.batches += 1
    tally.longest = max(tally.longest, took)


def _statement(target: LogTarget, condition: sql.Composable, batch: Batch, daily: Daily | None) -> sql.Composed:
    """One statement deletes the rows, adds them up and counts them: all of it happens or none."""
    using = sql.SQL("USING {} ").format(batch.using) if batch.using else sql.SQL("")
    returned = [sql.SQL("{} AS soft").format(target.soft_deleted), *([daily.returned()] if daily else [])]
    parts = [
        sql.SQL("gone AS (DELETE FROM {} AS r {}WHERE ({}) AND {} RETURNING {})").format(
            target.name, using, condition, batch.where, sql.SQL(", ").join(returned)
        )
    ]
    if daily:
        parts.append(sql.SQL("kept AS ({})").format(daily.add("gone")))
    return sql.SQL("WITH {} SELECT count(*), count(*) FILTER (WHERE soft) FROM gone").format(sql.SQL(", ").join(parts))


def _free_only(target: LogTarget, condition: sql.Composable, batch: Batch) -> Batch:
    """The same batch without the rows that somebody holds."""
    tables = [sql.SQL("{} AS r").format(target.name), *([batch.using] if batch.using else [])]
    free = sql.SQL(
        "(SELECT r.tableoid AS part, r.ctid AS place FROM {} WHERE ({}) AND {} FOR UPDATE OF r SKIP LOCKED) AS free"
    ).format(sql.SQL(", ").join(tables), condition, batch.where)
    return Batch(sql.SQL("r.tableoid = free.part AND r.ctid = free.place"), batch.pace, using=free)
