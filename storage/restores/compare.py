"""Comparing a restored database with the manifest, table by table, and giving each its statistics on the way."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql

from storage.backups import fingerprint, manifest
from storage.backups.record import BackupRecord, TableFacts
from storage.errors import Damaged, Message, StorageError, say
from storage.postgres.connection import Connection, connect, describe
from storage.postgres.snapshot import Session, hang_up


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

    def refuse_differences(self) -> None:
        """Raise Damaged naming the first table that is not equal."""
        if not self.differences:
            return
        first = self.differences[0]
        raise Damaged(
            _sentence(first),
            advice=say("%(count)s of %(tables)s tables are not equal to the backup. The restored copy was dropped.",
                       count=len(self.differences), tables=self.tables),
            words="\n".join(str(_sentence(difference)) for difference in self.differences[:50]),
        )  # fmt: skip


def compare(
    connection: Connection,
    backup: BackupRecord,
    *,
    jobs: int,
    application: str,
    watch: Callable[[], None],
    on_table: Callable[[str], None] = lambda table: None,
) -> Comparison:
    """Count every table as the manifest did, and ANALYZE it; `jobs` tables at a time, the largest first."""
    digests = any(facts.digest is not None for facts in backup.tables.values())
    with connect(connection, application=application) as session:
        manifest.prepare(session)
        tables = manifest.read_tables(session)
        same_schema = not backup.schema_fingerprint or fingerprint.read(session) == backup.schema_fingerprint
    found = _Counting(connection, tables, digests=digests, application=application, on_table=on_table)
    found.run(jobs, watch)
    return Comparison(
        tables=len(backup.tables),
        rows=sum(facts.rows for facts in found.facts.values()),
        same_schema=same_schema,
        differences=tuple(differences(backup.tables, found.facts)),
        without_statistics=found.without_statistics,
    )


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
        tables: tuple[manifest.Table, ...],
        *,
        digests: bool,
        application: str,
        on_table: Callable[[str], None],
    ) -> None:
        self._connection, self._digests, self._application = connection, digests, application
        self._on_table = on_table
        self._waiting: queue.SimpleQueue[manifest.Table] = queue.SimpleQueue()
        for table in tables:
            self._waiting.put(table)
        self._sessions: list[Session] = []
        self._errors: list[StorageError] = []
        self._stopped = threading.Event()
        self.facts: dict[str, TableFacts] = {}
        self.without_statistics: dict[str, str] = {}

    def run(self, jobs: int, watch: Callable[[], None]) -> None:
        threads = [threading.Thread(target=self._work, name="comparing", daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                threads[0].join(0.05)
                for thread in threads:
                    thread.join(0.02)
                watch()
        finally:
            self._stopped.set()
            for thread in threads:
                while thread.is_alive():
                    for session in list(self._sessions):
                        hang_up(session)
                    thread.join(1)
        if self._errors:
            raise self._errors[0]
        with connect(self._connection, application=self._application) as session:
            manifest.prepare(session)
            for schema, name in session.execute(_OTHERS).fetchall():
                self._analyze(session, schema, name)

    def _work(self) -> None:
        try:
            with connect(self._connection, application=self._application) as session:
                self._sessions.append(session)
                manifest.prepare(session)
                self._count(session)
        except StorageError as error:
            self._fail(error)
        except psycopg.Error as error:
            self._fail(describe(error, doing=say("The restored data could not be compared with the backup.")))

    def _count(self, session: Session) -> None:
        while not self._stopped.is_set():
            with suppress(queue.Empty):
                table = self._waiting.get_nowait()
                self.facts[table.full_name] = manifest.count(session, table, digests=self._digests)
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
            self.without_statistics[f"{schema}.{name}"] = str(error)
        session.execute("SELECT set_config('search_path', '', false)")

    def _fail(self, error: StorageError) -> None:
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
