"""Deletes batch after batch, each in a short transaction of its own, and stands in nobody's way.

Each waits for a lock for a moment only; rows that somebody else holds are then left out, and come at the end.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from storage.crashpoints import crashpoint
from storage.errors import Unreachable
from storage.logs.cleanup import statistics
from storage.logs.cleanup.batches import Batch, Shape
from storage.logs.cleanup.statistics import Daily
from storage.logs.cleanup.target import LogTarget
from storage.postgres.connection import Connection, connect
from storage.postgres.snapshot import Session

APPLICATION = "pghaven log cleanup"
LOCK_WAIT_MS = 40
"""How long a batch may wait for rows that somebody else holds: meanwhile it holds those that it has deleted."""
WORKERS = 2
"""Batches under way at a time: adding up what goes costs about as much as deleting it."""
BATCH_SECONDS = 5
"""After which the server ends a batch that hangs for another reason."""
LOG_SECONDS = 2.0
"""How long a batch waits at most for the disk to take what the ones before it have written."""
_LOG_IS_BEHIND = """
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn())
       > pg_size_bytes(current_setting('wal_buffers')) / 2
"""

_SETTINGS = (
    f"-c TimeZone=UTC -c DateStyle=ISO -c lock_timeout={LOCK_WAIT_MS}ms -c statement_timeout={BATCH_SECONDS}s"
    # A batch that a crash of the server takes back is deleted again by the next run, its sums with it.
    " -c synchronous_commit=off"
    # The planner's numbers are those of before the run; what it plans once is as good for every batch.
    " -c plan_cache_mode=force_generic_plan"
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
def workers(connection: Connection, instead: Session) -> Iterator[Sequence[Session]]:
    """Sessions to delete with at the same time; `instead` alone where the server has no more of them to give."""
    with ExitStack() as opened:
        try:
            sessions = [opened.enter_context(session_for(connection)) for _ in range(WORKERS)]
        except Unreachable:
            sessions = [instead]
        yield sessions


@contextmanager
def session_for(connection: Connection) -> Iterator[Session]:
    """A session whose statements are short, and planned for few rows."""
    with connect(connection, application=APPLICATION, options=_SETTINGS) as session:
        yield session


def delete_all(
    sessions: Sequence[Session],
    target: LogTarget,
    condition: sql.Composable,
    batches: Iterator[Batch],
    tally: Tally,
    *,
    daily: Daily | None,
    after_each: Callable[[], None],
) -> None:
    """Carry the batches out, as many at a time as there are sessions; `after_each` is called between them, and may
    raise to end it there. However it ends, the tally has all that is gone."""
    free: queue.SimpleQueue[tuple[Session, _Statements]] = queue.SimpleQueue()
    for part, session in enumerate(sessions):
        free.put((session, _Statements(target, condition, daily, part)))

    def work(batch: Batch) -> _Done:
        session, statements = free.get()
        try:
            return _carry_out(session, batch, statements)
        finally:
            free.put((session, statements))

    with ThreadPoolExecutor(len(sessions), thread_name_prefix="cleanup") as threads:
        running: set[Future[_Done]] = set()
        try:
            for batch in batches:
                running.add(threads.submit(work, batch))
                if len(running) > len(sessions):  # one waits, so that nobody waits for the next
                    _collect(running, tally, after_each)
            while running:
                _collect(running, tally, after_each)
        except BaseException:
            for future in running:
                future.cancel()
            _add_up(wait(running).done, tally)
            raise


@dataclass(frozen=True, slots=True)
class _Done:
    """What one batch did."""

    rows: int
    soft_deleted: int
    seconds: float
    in_the_way: bool


def _collect(running: set[Future[_Done]], tally: Tally, after_each: Callable[[], None]) -> None:
    """Wait for one or more to end, and take them out of those that run."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    running.difference_update(done)
    _add_up(done, tally)
    for future in done:
        future.result()  # raises what ended it
    crashpoint("cleanup:batch")
    after_each()


def _add_up(ended: Iterable[Future[_Done]], tally: Tally) -> None:
    for future in ended:
        if future.cancelled() or future.exception() is not None:
            continue
        done = future.result()
        tally.rows += done.rows
        tally.soft_deleted += done.soft_deleted
        tally.batches += 1
        tally.in_the_way += done.in_the_way
        tally.longest = max(tally.longest, done.seconds)


def _carry_out(session: Session, batch: Batch, statements: _Statements) -> _Done:
    let_the_log_be_written(session)
    started = time.perf_counter()
    in_the_way = False
    try:
        row = _delete(session, batch, statements)
    except psycopg.errors.LockNotAvailable:
        in_the_way, started = True, time.perf_counter()
        with session.transaction():
            # It waits for no row any more; what else it may have to wait for is over soon, or BATCH_SECONDS end it.
            session.execute("SET LOCAL lock_timeout = 0")
            row = _ask(session, statements.of_free(batch), batch)
    took = time.perf_counter() - started
    batch.pace.took(took)
    return _Done(row[0], row[1], took, in_the_way)


def let_the_log_be_written(session: Session) -> None:
    """Wait while much of the server's log is still in memory, LOG_SECONDS at most. A batch that finds no room for its
    own has to wait for the disk, and everybody who wants its rows waits with it; here nobody does."""
    ends = time.monotonic() + LOG_SECONDS
    while time.monotonic() < ends:
        try:
            row = session.execute(_LOG_IS_BEHIND, prepare=True).fetchone()
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported):
            return  # a server that does not tell everybody, or has no such log
        if row is None or not row[0]:
            return
        time.sleep(0.001)


def _delete(session: Session, batch: Batch, statements: _Statements) -> tuple[int, int]:
    quick = statements.quick(batch)
    if quick is None:
        return _ask(session, statements.of(batch), batch)
    session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    try:
        with session.transaction():
            added_up = _ask(session, quick.adding_up, batch)
            # Where nothing lies in this state, nothing is looked for twice.
            gone = _ask(session, quick.deleting, batch)[0] if added_up[0] else 0
            if gone == added_up[0]:
                return added_up
            raise psycopg.Rollback
    except psycopg.errors.SerializationFailure:
        # Somebody changed a row meanwhile.
        pass
    finally:
        session.isolation_level = None
    # What goes is counted as it goes; also where a trigger or a policy keeps some.
    return _ask(session, statements.of(batch), batch)


def _ask(session: Session, statement: bytes, batch: Batch) -> tuple[int, int]:
    with psycopg.RawCursor(session) as cursor:
        cursor.execute(statement, batch.values, prepare=True)
        row = cursor.fetchone() if cursor.description else (cursor.rowcount, 0)
    assert row is not None
    return int(row[0]), int(row[1])


@dataclass(frozen=True, slots=True)
class _Quick:
    """Two statements for a transaction that sees one state throughout: to add up what lies there, and to delete it.
    Adding up what was deleted, in one statement with deleting it, takes half as long again."""

    adding_up: bytes
    deleting: bytes


class _Statements:
    """The statements of one worker, each written once and planned once: most batches differ in two values."""

    def __init__(self, target: LogTarget, condition: sql.Composable, daily: Daily | None, part: int) -> None:
        self._target, self._condition, self._daily, self._part = target, condition, daily, part
        self._written: dict[tuple[Shape, bool], bytes] = {}
        self._quick: dict[Shape, _Quick] = {}

    def quick(self, batch: Batch) -> _Quick | None:
        """None where nothing is added up."""
        if self._daily is None or batch.shape.using is not None:
            return None
        if batch.shape not in self._quick:
            self._quick[batch.shape] = _Quick(
                _as_sent(_adding_up(self._target, self._condition, batch.shape, self._daily, self._part)),
                _as_sent(_deleting(self._target, self._condition, batch.shape)),
            )
        return self._quick[batch.shape]

    def of(self, batch: Batch) -> bytes:
        return self._write(batch.shape, free_only=False)

    def of_free(self, batch: Batch) -> bytes:
        """The same without the rows that somebody holds."""
        return self._write(batch.shape, free_only=True)

    def _write(self, shape: Shape, *, free_only: bool) -> bytes:
        key = (shape, free_only)
        if key not in self._written:
            chosen = _free(self._target, self._condition, shape) if free_only else shape
            statement = _statement(self._target, self._condition, chosen, self._daily, self._part)
            self._written[key] = _as_sent(statement)
        return self._written[key]


def _as_sent(statement: sql.Composed) -> bytes:
    return statement.as_string(None).encode()


def _statement(
    target: LogTarget, condition: sql.Composable, shape: Shape, daily: Daily | None, part: int
) -> sql.Composed:
    """One statement deletes the rows, adds them up and counts them: all of it happens or none."""
    delete = _deleting(target, condition, shape)
    if daily is None and target.soft_delete_column is None:
        return delete
    if daily is None:
        return sql.SQL(
            "WITH gone AS ({} RETURNING {} AS soft) SELECT count(*), count(*) FILTER (WHERE soft) FROM gone"
        ).format(delete, target.soft_deleted)
    return sql.SQL("WITH gone AS ({delete} RETURNING {values}), {groups}, kept AS ({kept}) {totals}").format(
        delete=delete,
        values=daily.returned(),
        groups=daily.groups(sql.Identifier("gone")),
        kept=daily.add(part=part),
        totals=statistics.TOTALS,
    )


def _adding_up(target: LogTarget, condition: sql.Composable, shape: Shape, daily: Daily, part: int) -> sql.Composed:
    """Adds up the rows as they lie there, and counts them."""
    going = sql.SQL("(SELECT {} FROM {} AS r WHERE ({}) AND {}) AS going").format(
        daily.returned(), target.name, condition, shape.where
    )
    return sql.SQL("WITH {groups}, kept AS ({kept}) {totals}").format(
        groups=daily.groups(going), kept=daily.add(part=part), totals=statistics.TOTALS
    )


def _deleting(target: LogTarget, condition: sql.Composable, shape: Shape) -> sql.Composed:
    """Nothing is asked of a row but that it goes: the server counts them by itself, in three quarters of the time."""
    others = sql.SQL("USING {} ").format(shape.using) if shape.using else sql.SQL("")
    return sql.SQL("DELETE FROM {} AS r {}WHERE ({}) AND {}").format(target.name, others, condition, shape.where)


def _free(target: LogTarget, condition: sql.Composable, shape: Shape) -> Shape:
    """The same without the rows that somebody holds."""
    tables = [sql.SQL("{} AS r").format(target.name), *([shape.using] if shape.using else [])]
    free = sql.SQL(
        "(SELECT r.tableoid AS part, r.ctid AS place FROM {} WHERE ({}) AND {} FOR UPDATE OF r SKIP LOCKED) AS free"
    ).format(sql.SQL(", ").join(tables), condition, shape.where)
    return Shape(sql.SQL("r.tableoid = free.part AND r.ctid = free.place"), using=free)
