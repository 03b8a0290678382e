"""Comparing a restored database with the manifest, table by table, and giving each its statistics on the way."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import sql

from storage.backups import fingerprint, manifest
from storage.backups.record import BackupRecord, TableFacts
from storage.errors import Damaged, Message, StorageError, say, say_count
from storage.postgres import timeouts
from storage.postgres.connection import Connection, connect, describe
from storage.postgres.copying import CopyMonitor
from storage.postgres.quoting import full_name
from storage.postgres.snapshot import Session, hang_up
from storage.postgres.watchdog import Watchdog, patiently

Result = TypeVar("Result")

_PATIENCE = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A table that is not what the manifest says; None where it is not there."""

    table: str
    expected: TableFacts | None
    found: TableFacts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    tables: int
    rows: int
    same_schema: bool
    differences: tuple[Difference, ...]
    without_statistics: Mapping[str, str]
    """Tables that could not be analysed, and why."""
    large_objects: tuple[int, int]
    """How many the backup has, and how many are there; the same number twice where the backup does not say."""
    manifest: bool = True
    """Whether there was anything to compare with; without, the tables were only counted."""

    def refuse_differences(self) -> None:
        """Raise Damaged naming the first table that is not equal, or the large objects."""
        if self.differences:
            raise Damaged(
                _sentence(self.differences[0]),
                advice=say_count(
                    "Restore another backup. %(count)s of %(tables)s tables differs; it is named below.",
                    "Restore another backup. %(count)s of %(tables)s tables differ; they are named below.",
                    count=len(self.differences),
                    tables=self.tables,
                ),
                words="\n".join(str(_sentence(difference)) for difference in self.differences[:50]),
            )
        expected, found = self.large_objects
        if expected != found:
            raise Damaged(
                say("There are %(found)s large objects after the restore; the backup has %(expected)s.",
                    found=found, expected=expected),
                advice=say("Restore another backup."),
            )  # fmt: skip


def compare(
    connection: Connection,
    backup: BackupRecord,
    *,
    jobs: int,
    application: str,
    stall_seconds: float,
    watch: Callable[[], None],
    on_table: Callable[[str], None] = lambda table: None,
    analyze: bool = True,
) -> Comparison:
    """Count every table as the manifest did, and ANALYZE it where somebody is going to ask it; `jobs` tables at a time,
    the largest first. A backup that is not ours has no manifest: its tables are counted, and no difference is looked
    for.

    The server sends nothing while it counts a large table: that it is alive is seen on a connection of its own. Raises
    Stalled when nothing was heard for `stall_seconds`.
    """
    watchdog = Watchdog(stall_seconds)
    with CopyMonitor(connection, application=application, on_copying=lambda copying: None) as monitor:
        counting = _Counting(connection, backup.tables, application=application, on_table=on_table, analyze=analyze)

        def look() -> None:
            watch()
            watchdog.look((monitor.answers, len(counting.facts)))

        with connect(connection, application=application, options=timeouts.OPTIONS) as session:
            tables, schema, large_objects = _patiently(session, lambda: _look(session), watch=look)
        counting.run(tables, jobs=jobs, watch=look)
        if analyze:
            with connect(connection, application=application, options=timeouts.OPTIONS) as session:
                _patiently(session, lambda: counting.analyze_others(session), watch=look)
    recorded = backup.source.large_objects if backup.ours and backup.source.server_version else large_objects
    return Comparison(
        tables=len(backup.tables) if backup.ours else len(counting.facts),
        rows=sum(facts.rows for facts in counting.facts.values()),
        same_schema=not backup.schema_fingerprint or schema == backup.schema_fingerprint,
        differences=tuple(differences(backup.tables, counting.facts)) if backup.ours else (),
        manifest=backup.ours,
        without_statistics=counting.without_statistics,
        large_objects=(recorded, large_objects),
    )


def _look(session: Session) -> tuple[tuple[manifest.Table, ...], str, int]:
    manifest.prepare(session)
    row = session.execute("SELECT count(*) FROM pg_catalog.pg_largeobject_metadata").fetchone()
    return manifest.read_tables(session), fingerprint.read(session), row[0] if row else 0


def _patiently(session: Session, work: Callable[[], Result], *, watch: Callable[[], None]) -> Result:
    try:
        return patiently(session, work, watch=watch)
    except psycopg.Error as error:
        raise _could_not(error) from error


def _could_not(error: psycopg.Error) -> StorageError:
    return describe(error, doing=say("The restored data could not be compared with the backup."))


def differences(expected: Mapping[str, TableFacts], found: Mapping[str, TableFacts]) -> list[Difference]:
    """Every table that is not in both, or not equal in rows and, where the manifest has one, digest."""
    different = []
    for table in sorted(expected.keys() | found.keys()):
        one, other = expected.get(table), found.get(table)
        equal = one is not None and other is not None and one.rows == other.rows
        if equal and one is not None and other is not None and one.digest is not None:
            equal = one.digest == other.digest
        if not equal:
            different.append(Difference(table=table, expected=one, found=other))
    return different


class _Counting:
    """Sessions side by side, each taking the next table until none is left or somebody says stop."""

    def __init__(
        self,
        connection: Connection,
        expected: Mapping[str, TableFacts],
        *,
        application: str,
        on_table: Callable[[str], None],
        analyze: bool,
    ) -> None:
        self._connection, self._application, self._on_table = connection, application, on_table
        self._also_analyze = analyze
        self._with_digest = {name for name, facts in expected.items() if facts.digest is not None}
        self._waiting: queue.SimpleQueue[manifest.Table] = queue.SimpleQueue()
        self._sessions: list[Session] = []
        self._errors: list[BaseException] = []
        self._stopped = threading.Event()
        self.facts: dict[str, TableFacts] = {}
        self.without_statistics: dict[str, str] = {}

    def run(self, tables: Iterable[manifest.Table], *, jobs: int, watch: Callable[[], None]) -> None:
        for table in tables:
            self._waiting.put(table)
        threads = [threading.Thread(target=self._work, name="comparing", daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(0.05)
                watch()
        finally:
            self._end(threads)
        if self._errors:
            raise self._errors[0]

    def analyze_others(self, session: Session) -> None:
        manifest.prepare(session)
        for schema, name in session.execute(_OTHERS).fetchall():
            self._analyze(session, schema, name)

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        self._stopped.set()
        # A thread that is still connecting has no session to hang up on; connecting is given up after 10 seconds.
        ends = time.monotonic() + _PATIENCE
        while any(thread.is_alive() for thread in threads) and time.monotonic() < ends:
            for session in list(self._sessions):
                hang_up(session)
            for thread in threads:
                thread.join(0.2)

    def _work(self) -> None:
        try:
            with connect(self._connection, application=self._application, options=timeouts.OPTIONS) as session:
                self._sessions.append(session)
                manifest.prepare(session)
                self._count(session)
        except psycopg.Error as error:
            self._fail(_could_not(error))
        except BaseException as error:  # raised again by the one who waits
            self._fail(error)

    def _count(self, session: Session) -> None:
        while not self._stopped.is_set():
            with suppress(queue.Empty):
                table = self._waiting.get_nowait()
                self.facts[table.full_name] = manifest.count(
                    session, table, digests=table.full_name in self._with_digest
                )
                if self._also_analyze:
                    self._analyze(session, table.schema, table.name)
                self._on_table(table.full_name)
                continue
            return

    def _analyze(self, session: Session, schema: str, name: str) -> None:
        """ANALYZE calls the functions of index expressions, so it gets the search_path of an ordinary session. Where
        it cannot, the table is whole all the same, and the server's autovacuum tries again."""
        try:
            session.execute("RESET search_path")
            session.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, name)))
        except psycopg.Error as error:
            if session.closed or self._stopped.is_set():
                raise
            self.without_statistics[full_name(schema, name)] = str(error)
        session.execute("SELECT set_config('search_path', '', false)")

    def _fail(self, error: BaseException) -> None:
        self._errors.append(error)
        self._stopped.set()


def _sentence(difference: Difference) -> Message:
    expected, found = difference.expected, difference.found
    if found is None:
        return say("The table %(table)s is not there after the restore.", table=difference.table)
    if expected is None:
        return say("The table %(table)s is there after the restore, but not in the backup.", table=difference.table)
    if expected.rows != found.rows:
        return say("%(table)s has %(found)s rows after the restore; the backup has %(expected)s.",
                   table=difference.table, found=found.rows, expected=expected.rows)  # fmt: skip
    return say("The rows of %(table)s are not the ones of the backup: their digests differ.", table=difference.table)


# Partitioned tables and materialised views hold no rows of the manifest, but the planner wants to know them too.
_OTHERS = """
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('p', 'm') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
