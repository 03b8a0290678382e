"""Loading the rows of one table with several sessions at once.

pg_restore loads each table with one session. Where one table holds most of a database, as a log does, everything waits
for that session while the other processors have nothing to do. Here the table's rows go to several sessions in turn.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import psycopg
from psycopg import sql

from storage.backups.record import TableFacts
from storage.errors import ProgramFailed
from storage.postgres.archive import Entry
from storage.postgres.connection import Connection, connect
from storage.postgres.quoting import full_name
from storage.postgres.snapshot import Session, hang_up
from storage.restores import archived_rows
from storage.restores.archived_rows import ArchivedRows, Source

LEAST_BYTES = 64 * 2**20
"""A smaller table is loaded before more sessions are worth their starting."""
_WAITING = 4
"""Pieces, of at most a MiB, that may wait for each session."""
_LOOK_EVERY = 0.1
_PATIENCE = 15.0


def dominating(entries: Iterable[Entry], tables: Mapping[str, TableFacts], *, jobs: int) -> Entry | None:
    """The rows of the table that is larger than a fair share of `jobs` sessions, if there is one and it is worth it."""
    data = [
        (tables[name].bytes, entry)
        for entry in entries
        if entry.kind == "TABLE DATA" and (name := full_name(entry.schema, entry.name)) in tables
    ]
    if not data:
        return None
    size, largest = max(data, key=lambda pair: pair[0])
    if size < LEAST_BYTES or size * jobs <= sum(size for size, _ in data):
        return None
    # A name that is not UTF-8 could not be read as it is written.
    return None if "\ufffd" in largest.schema + largest.name else largest


class ParallelCopy:
    """`sessions` sessions that load rows, as long as the block lasts; leaving it early ends them.

    Each commits by itself: this is for a database that nobody uses yet, and that is thrown away when anything fails.
    `options` are settings in PGOPTIONS' form; `on_rows` is called with the number of rows sent so far.
    """

    def __init__(
        self,
        source: Source,
        connection: Connection,
        *,
        sessions: int,
        application: str,
        options: str,
        on_rows: Callable[[int], None],
    ) -> None:
        self._source, self._on_rows = source, on_rows
        self._connect = partial(connect, connection, application=application, options=options)
        self._rows: ArchivedRows | None = None
        self._queues: list[queue.Queue[bytes | None]] = [queue.Queue(maxsize=_WAITING) for _ in range(sessions)]
        self._begun, self._stopped = threading.Event(), threading.Event()
        self._errors: list[BaseException] = []
        self._sessions: list[Session] = []
        self._sent, self._lock = 0, threading.Lock()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name="loading rows", daemon=True)
            for work in (self._read, *(partial(self._load, waiting) for waiting in self._queues))
        ]

    def __enter__(self) -> ParallelCopy:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        # One that is still connecting has no session to hang up on; connecting is given up after 10 seconds.
        ends = time.monotonic() + _PATIENCE
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < ends:
            for session in list(self._sessions):
                hang_up(session)
            for thread in self._threads:
                thread.join(_LOOK_EVERY)

    def check(self) -> None:
        """Raise what ended one of the sessions, or pg_restore."""
        if self._errors:
            raise self._errors[0]

    def wait(self, watch: Callable[[], None]) -> None:
        """Until every row is there; `watch` is called ten times a second and may raise."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_LOOK_EVERY)
                watch()
        self.check()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _Stopped:
            return
        except psycopg.Error as error:
            # In pg_restore's words, whose errors have their names already.
            self._fail(ProgramFailed("pg_restore", 1, tuple(f"ERROR:  {error}".splitlines())))
        except BaseException as error:  # raised where the job looks next
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        # What comes after the first is its consequence.
        if not self._stopped.is_set():
            self._errors.append(error)
        self._stopped.set()

    def _look(self) -> None:
        if self._stopped.is_set():
            raise _Stopped

    def _read(self) -> None:
        with archived_rows.opened(self._source, watch=self._look) as rows:
            self._rows = rows
            self._begun.set()
            mine = self._queues[0]
            for piece, row_ends in rows.pieces:
                self._put(mine, piece)
                if row_ends:
                    mine = min(self._queues, key=queue.Queue.qsize)
        for waiting in self._queues:
            self._put(waiting, None)

    def _put(self, waiting: queue.Queue[bytes | None], piece: bytes | None) -> None:
        while True:
            self._look()
            try:
                return waiting.put(piece, timeout=_LOOK_EVERY)
            except queue.Full:
                continue

    def _load(self, waiting: queue.Queue[bytes | None]) -> None:
        while not self._begun.wait(_LOOK_EVERY):
            self._look()
        assert self._rows is not None
        table = sql.Identifier(self._source.entry.schema, self._source.entry.name)
        with self._connect() as session:
            self._sessions.append(session)
            session.execute("SELECT set_config('search_path', '', false)")
            with archived_rows.copying(session, table, self._rows) as copy:
                while (piece := self._next(waiting)) is not None:
                    copy.write(piece)
                    self._count(piece.count(b"\n"))

    def _next(self, waiting: queue.Queue[bytes | None]) -> bytes | None:
        while True:
            self._look()
            try:
                return waiting.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                continue

    def _count(self, rows: int) -> None:
        with self._lock:
            self._sent += rows
            self._on_rows(self._sent)


class _Stopped(Exception): ...
