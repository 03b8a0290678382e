"""How a database is now: whether it answers, how big it is, which server it is on. Always told within a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from storage.databases.probing import Probes, bounded_session
from storage.databases.profile import DatabaseProfile
from storage.errors import StorageError, say
from storage.postgres.connection import Connection, describe, explain

DEADLINE = 0.8
"""Seconds that a caller waits."""
PROBE_SECONDS = 4
"""Seconds after which a probe is given up; whoever asks meanwhile is told that the server does not answer."""
FRESH_SECONDS = 2.0
SLOW_FRESH_SECONDS = 60.0
"""How long the answer of a server that took longer than the deadline is shown."""

NOT_KNOWN = "N/A"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    available: bool
    address: str
    """host:port"""
    dbname: str
    size_bytes: int | None = None
    size_pretty: str = ""
    """As pg_size_pretty says it; '' when not known."""
    table_count: int | None = None
    """Tables as people count them: a partitioned one is one."""
    version: str = ""
    """As SHOW server_version has it."""
    error: StorageError | None = None


def to_api(status: DatabaseStatus) -> dict[str, Any]:
    """The six fields that claude-code-hub's admin page reads, and `error` when there is one."""
    fields: dict[str, Any] = {
        "isAvailable": status.available,
        "containerName": status.address,
        "databaseName": status.dbname,
        "databaseSize": status.size_pretty or NOT_KNOWN,
        "tableCount": status.table_count or 0,
        "postgresVersion": status.version or NOT_KNOWN,
    }
    return fields | ({"error": str(status.error.cause)} if status.error else {})


@dataclass(slots=True)
class _Known:
    """What is remembered of one database: the last whole answer, and what the probe under way has found so far."""

    answer: DatabaseStatus | None = None
    answered_at: float = 0.0
    took: float = 0.0
    asked_at: float = 0.0
    so_far: DatabaseStatus | None = None


class DatabaseStatuses:
    """One probe at a time for each database; whoever asks meanwhile shares its answer."""

    def __init__(
        self,
        *,
        before: Callable[[Connection], Connection] = lambda connection: connection,
        deadline: float = DEADLINE,
        probe_seconds: int = PROBE_SECONDS,
        workers: int = 8,
    ) -> None:
        """`before` is called in the caller's thread, and says where to ask: it may start the server first."""
        self._before, self._deadline, self._probe_seconds = before, deadline, probe_seconds
        self._probes: Probes[DatabaseStatus] = Probes(workers=workers)
        self._known: dict[Hashable, _Known] = {}
        self._lock = threading.Lock()

    def of(self, profile: DatabaseProfile) -> DatabaseStatus:
        return self.of_all([profile])[0]

    def of_all(self, profiles: Sequence[DatabaseProfile]) -> list[DatabaseStatus]:
        """The statuses in the same order; all together within the deadline."""
        profiles = [profile.with_(connection=self._before(profile.connection)) for profile in profiles]
        deadline = time.monotonic() + self._deadline
        asked = [self._ask(profile) for profile in profiles]
        return [
            self._read(profile, answer, deadline) for profile, answer in zip(profiles, asked, strict=True)
        ]  # fmt: skip

    def _ask(self, profile: DatabaseProfile) -> Future[DatabaseStatus] | DatabaseStatus:
        key = (profile.name, profile.connection)
        with self._lock:
            known = self._known.get(key)
            if known is None:
                # An older connection of the same name is of no use to anybody.
                for other in [other for other in self._known if isinstance(other, tuple) and other[0] == profile.name]:
                    del self._known[other]
                known = self._known[key] = _Known()
            if known.answer and time.monotonic() - known.answered_at < FRESH_SECONDS:
                return known.answer
        return self._probes.ask(key, lambda: self._probe(profile.connection, known))

    def _read(
        self, profile: DatabaseProfile, asked: Future[DatabaseStatus] | DatabaseStatus, deadline: float
    ) -> DatabaseStatus:
        if isinstance(asked, DatabaseStatus):
            return asked
        try:
            return asked.result(max(0.0, deadline - time.monotonic()))
        except NoAnswer:
            return self._without_answer(profile)

    def _without_answer(self, profile: DatabaseProfile) -> DatabaseStatus:
        """The server is slow or silent: what it has said so far; else what it said lately, being slow; else silent."""
        with self._lock:
            known = self._known.get((profile.name, profile.connection), _Known())
        if known.so_far is not None:
            return known.so_far
        age = time.monotonic() - known.answered_at
        if known.answer and known.took > self._deadline and age < SLOW_FRESH_SECONDS:
            return known.answer
        return _unavailable(profile.connection, explain(profile.connection, "timeout"))

    def _probe(self, connection: Connection, known: _Known) -> DatabaseStatus:
        started = time.monotonic()

        def so_far(status: DatabaseStatus) -> None:
            known.so_far = status if known.answer is None else _with_sizes_of(known.answer, status)

        try:
            answer = read_status(connection, seconds=self._probe_seconds, so_far=so_far)
        except StorageError as error:
            answer = _unavailable(connection, error)
        known.took, known.answered_at = time.monotonic() - started, time.monotonic()
        known.answer, known.so_far = answer, None
        return answer


def _with_sizes_of(last: DatabaseStatus, now: DatabaseStatus) -> DatabaseStatus:
    return replace(now, size_bytes=last.size_bytes, size_pretty=last.size_pretty, table_count=last.table_count)


def read_status(
    connection: Connection, *, seconds: int, so_far: Callable[[DatabaseStatus], None] = lambda status: None
) -> DatabaseStatus:
    """Ask the server. `so_far` gets what is known before the size, which takes its time with many files."""
    with bounded_session(connection, application="pghaven: status", seconds=seconds) as session:
        try:
            version = session.execute("SHOW server_version").fetchone()
            assert version is not None
            status = DatabaseStatus(
                available=True, address=connection.address, dbname=connection.dbname, version=str(version[0])
            )
            so_far(status)
            facts = session.execute(_FACTS).fetchone()
            assert facts is not None
        except psycopg.OperationalError as error:
            raise explain(connection, "timeout") from error
        except psycopg.Error as error:
            raise describe(error, doing=say("The server did not say how big the database is.")) from error
    return replace(status, size_bytes=facts[0], size_pretty=str(facts[1]), table_count=facts[2])


_FACTS = """
SELECT size, pg_catalog.pg_size_pretty(size), (
    SELECT count(*)
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE class.relkind IN ('r', 'p') AND NOT class.relispartition AND class.relpersistence <> 't'
        AND namespace.nspname <> 'information_schema' AND namespace.nspname !~ '^pg_'
)
FROM pg_catalog.pg_database_size(pg_catalog.current_database()) AS size
"""


def _unavailable(connection: Connection, error: StorageError) -> DatabaseStatus:
    return DatabaseStatus(
        available=False,
        address=connection.address,
        dbname=connection.dbname,
        error=error,
    )
