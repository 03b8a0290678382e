"""Testing a connection: one plain answer within a few seconds, whatever is wrong with it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass

import psycopg

from storage.databases.probing import Probes, bounded_session
from storage.errors import Message, Unreachable, say
from storage.postgres import programs, tools
from storage.postgres.connection import Connection, explain
from storage.postgres.programs import Installation
from storage.postgres.quoting import quoted

SECONDS = 5
OLDEST_MAJOR = 14
"""Before it, digests are not proven to mean the same on both sides of a restore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTest:
    kind: str
    """ok, newer, or one of `storage.postgres.connection.TROUBLES`."""
    message: Message
    advice: Message | None = None
    words: str = ""
    """PostgreSQL's own."""
    server_version: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.kind == "ok"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server that let us in has said."""

    version: str
    """As SHOW server_version has it."""
    tables: int = 0
    readable: int = 0
    """How many of the tables our role may read."""


class Tester:
    """Tries connections on threads of its own, so that nothing a server or a name server does holds the caller."""

    def __init__(
        self,
        installations: Callable[[], Sequence[Installation]],
        *,
        before: Callable[[Connection], Connection] = lambda connection: connection,
        seconds: int = SECONDS,
    ) -> None:
        """`before` is called in the caller's thread, and says what is tried: it may start the server first."""
        self._installations, self._before, self._seconds = installations, before, seconds
        self._probes: Probes[Seen] = Probes(workers=4)

    def __call__(self, connection: Connection) -> ConnectionTest:
        connection = self._before(connection)
        started = time.monotonic()

        def taken() -> float:
            return round(time.monotonic() - started, 3)

        try:
            seen = self._probes.ask(connection, lambda: look(connection, self._seconds)).result(self._seconds + 0.5)
        except Unreachable as error:
            return ConnectionTest(
                kind=error.kind, message=error.cause, advice=error.advice, words=error.words, seconds=taken()
            )
        except NoAnswer:
            silent = explain(connection, "timeout")
            return ConnectionTest(kind=silent.kind, message=silent.cause, advice=silent.advice, seconds=taken())
        return judge(connection, seen, self._installations(), seconds=taken())


def judge(
    connection: Connection, seen: Seen, installations: Sequence[Installation], *, seconds: float = 0.0
) -> ConnectionTest:
    """What to say of a server that let us in: whether our programs can dump it, and our role may read all of it."""
    version = seen.version
    major = int(re.split(r"\D", version, maxsplit=1)[0])
    program = programs.for_dump(installations, major)
    if program is None:
        newest = max((one.major for one in installations), default=None)
        return ConnectionTest(
            kind="newer",
            message=say("The server is PostgreSQL %(version)s; the newest programs here are %(newest)s.",
                        version=version, newest=newest)
            if newest
            else say("The server is PostgreSQL %(version)s; there are no programs here to back it up.",
                     version=version),
            advice=say("Run: pghaven tools install %(major)s", major=major)
            if major in tools.releases()
            else say("Install PostgreSQL %(major)s from its own packages, and name its folder in PG_BIN_DIRS.",
                     major=major),
            server_version=version,
            seconds=seconds,
        )  # fmt: skip
    return ConnectionTest(
        kind="ok",
        message=say("%(database)s on %(address)s answers: PostgreSQL %(version)s.",
                    database=connection.dbname, address=connection.address, version=version),
        advice=_reservation(connection, seen, major, program),
        server_version=version,
        seconds=seconds,
    )  # fmt: skip


def _reservation(connection: Connection, seen: Seen, major: int, program: Installation) -> Message | None:
    if major < OLDEST_MAJOR:
        return say("PostgreSQL before %(oldest)s is not tested with pghaven.", oldest=OLDEST_MAJOR)
    if seen.readable < seen.tables:
        return say(
            "A backup would be refused: %(user)s may read %(readable)s of %(tables)s tables. "
            "Grant it on the server: GRANT pg_read_all_data TO %(role)s;",
            user=connection.user, readable=seen.readable, tables=seen.tables, role=quoted(connection.user),
        )  # fmt: skip
    if major < programs.FIRST_WITH_TRANSACTION_TIMEOUT <= program.major:
        return say(
            "Backups made by pg_dump %(client)s could not be restored into this server, which is older. "
            "Run: pghaven tools install 16",
            client=program.major,
        )
    return None


def look(connection: Connection, seconds: int) -> Seen:
    """Ask the server. Raises Unreachable."""
    with bounded_session(connection, application="pghaven: test", seconds=seconds) as session:
        try:
            row = session.execute(_LOOK).fetchone()
        except psycopg.OperationalError as error:
            raise explain(connection, "timeout") from error
    assert row is not None
    return Seen(str(row[0]), row[1], row[2])


_LOOK = """
SELECT pg_catalog.current_setting('server_version'), count(*),
       count(*) FILTER (WHERE pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                          AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence IN ('p', 'u')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
"""
