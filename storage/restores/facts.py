"""What a plan has to know of the server: read with one connection beside the target, and one to count its rows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from storage.backups import manifest
from storage.errors import StorageError, Unavailable, Unreachable, say
from storage.postgres import timeouts
from storage.postgres.connection import Connection, connect, describe
from storage.postgres.snapshot import Session
from storage.postgres.watchdog import Watchdog, patiently

Answer = TypeVar("Answer")
Watch = Callable[[], None]

APPLICATION = "pghaven restore"
COUNTING_SECONDS = 5.0
"""How long rows are counted exactly for a plan; what is left after that is taken from the planner's statistics."""
LOOK_SECONDS = 10.0
"""How long a page waits for the server's answers."""
_SILENCE = 2.0
_MAINTENANCE = ("postgres", "template1")
_TOGETHER = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Who is connected to the target, by program and role."""

    application: str
    user: str
    count: int
    may_end: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "application": self.application,
            "user": self.user,
            "count": self.count,
            "may_end": self.may_end,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """The database that is to be replaced."""

    oid: int
    owner: str
    encoding: str
    collate: str
    ctype: str
    locale_provider: str = "c"
    locale: str = ""
    rules: str = ""
    tablespace: str = ""
    """'' for the server's own: naming that one would take a right that few roles have."""
    allows_connections: bool = True
    is_template: bool = False
    size: int = 0
    may_own: bool = True
    """Whether our role is its owner, or a member of the owner, or a superuser."""
    sessions: tuple[Sessions, ...] = ()
    prepared: int = 0
    """Prepared transactions, which keep a database from being renamed."""
    slots: tuple[str, ...] = ()
    """Logical replication slots, which stay with the database that is replaced."""
    forbidden_settings: tuple[str, ...] = ()
    """Settings that it has for itself, and that our role may give to no database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsNow:
    rows: int
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    trusted: bool
    superuser: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The server as the plan finds it."""

    version: str
    major: int
    role: str
    superuser: bool = False
    create_databases: bool = False
    in_recovery: bool = False
    databases: tuple[str, ...] = ()
    roles: frozenset[str] = frozenset()
    acts_as: frozenset[str] = frozenset()
    """The roles that ours may give things to."""
    extensions: Mapping[str, Extension] = field(default_factory=dict)
    collations: frozenset[str] = frozenset()
    """Locale names of the operating system that the server knows, in their plain spelling (`plain_locale`)."""
    free_bytes: int | None = None
    """None where the server's disk cannot be seen from here."""
    target: TargetFacts | None = None
    rows: Mapping[str, RowsNow] | None = None
    """schema.table of the database as it is now; None when it could not be counted."""


@contextmanager
def maintenance(connection: Connection, *, avoid: str, application: str = APPLICATION) -> Iterator[Session]:
    """A session on the same server in another database than `avoid`, from which that one can be renamed."""
    candidates = [name for name in (*_MAINTENANCE, connection.dbname) if name != avoid]
    error: StorageError | None = None
    for name in candidates:
        try:
            opened = connect(connection.to(name), application=application)
            session = opened.__enter__()
        except Unreachable as refused:
            # Only what concerns this one database is worth another try.
            if refused.kind not in ("database", "forbidden"):
                raise
            error = error or refused
            continue
        try:
            patiently(session, partial(_make_plain, session), watch=partial(Watchdog(LOOK_SECONDS).look, "opening"))
            yield session
        finally:
            session.close()
        return
    assert error is not None
    raise error


_PLAIN = {"search_path": "", "lock_timeout": "0", "default_transaction_read_only": "off"}


def _make_plain(session: Session) -> None:
    timeouts.lift(session)
    for name, value in _PLAIN.items():
        session.execute("SELECT set_config(%s, %s, false)", (name, value))


def databases(connection: Connection, *, watch: Watch) -> tuple[str, ...]:
    """The names that are taken on the server. `watch` is called meanwhile, and may raise."""
    return _ask(connection, _databases, avoid="", watch=watch)


def oids(connection: Connection, *, watch: Watch) -> dict[int, str]:
    """The databases of the server by their oid, which they keep under every name."""
    query = "SELECT oid::bigint, datname::text FROM pg_catalog.pg_database"
    return _ask(connection, lambda session: dict(session.execute(query).fetchall()), avoid="", watch=watch)


def read(
    connection: Connection,
    *,
    target: str,
    counted: str,
    counting_seconds: float = COUNTING_SECONDS,
    watch: Watch,
) -> ServerFacts:
    """All facts about the server and the database `target`, if it is there; rows are counted in `counted`.

    `watch` is called while the server is asked, and may raise.
    """
    found = _ask(connection, lambda session: _read(session, connection, target), avoid=target, watch=watch)
    if counting_seconds > 0 and counted in found.databases:
        with suppress(Unavailable, psycopg.Error):
            found = replace(found, rows=count_rows(connection.to(counted), seconds=counting_seconds))
    return found


def _ask(connection: Connection, question: Callable[[Session], Answer], *, avoid: str, watch: Watch) -> Answer:
    try:
        with maintenance(connection, avoid=avoid) as session:
            return patiently(session, lambda: question(session), watch=watch)
    except psycopg.Error as error:
        raise describe(error, doing=say("The server did not say what a restore has to know of it.")) from error


def _read(session: Session, connection: Connection, target: str) -> ServerFacts:
    row = session.execute(_SERVER).fetchone()
    assert row is not None
    number, version, role, superuser, create_databases, in_recovery = row
    found = _target(session, target)
    ability = "SET" if number >= 160000 else "MEMBER"
    roles = session.execute(_ROLES, (ability,)).fetchall()
    return ServerFacts(
        version=version,
        major=number // 10000,
        role=role,
        superuser=superuser,
        create_databases=create_databases,
        in_recovery=in_recovery,
        databases=_databases(session),
        roles=frozenset(name for name, _ in roles),
        acts_as=frozenset(name for name, may in roles if may),
        extensions={
            name: Extension(trusted=trusted, superuser=needs_superuser)
            for name, trusted, needs_superuser in session.execute(_EXTENSIONS)
        },
        collations=frozenset(plain_locale(name) for (name,) in session.execute(_COLLATIONS)),
        free_bytes=_free_bytes(connection, session, found.tablespace if found else ""),
        target=found,
    )


def _databases(session: Session) -> tuple[str, ...]:
    return tuple(name for (name,) in session.execute("SELECT datname::text FROM pg_catalog.pg_database"))


def on_this_machine(connection: Connection) -> bool:
    """Whether the server looks local; a forwarded port does too."""
    return connection.host.startswith("/") or connection.host in ("localhost", "127.0.0.1", "::1")


def plain_locale(name: str) -> str:
    """en_US.UTF-8 and en_US.utf8 are the same locale."""
    return name.lower().replace("-", "")


def count_rows(connection: Connection, *, seconds: float) -> dict[str, RowsNow]:
    """Rows of every table: exact as far as the time goes, the small tables first, then estimated."""
    ends = time.monotonic() + seconds
    with connect(connection, application=APPLICATION) as session:
        # The server itself ends what takes too long; one that has gone silent does not.
        watch = partial(Watchdog(seconds + _SILENCE).look, "counting")
        return patiently(session, lambda: _count_until(session, ends), watch=watch)


def _count_until(session: Session, ends: float) -> dict[str, RowsNow]:
    manifest.prepare(session)
    # Even the size of a table waits for whoever has locked it.
    _limit(session, milliseconds=int((ends - time.monotonic()) * 1000))
    tables = [table for table in manifest.read_tables(session) if table.readable][::-1]
    counted: dict[str, RowsNow] = {}
    for start in range(0, len(tables), _TOGETHER):
        some = tables[start : start + _TOGETHER]
        try:
            counts = _count_together(session, some, milliseconds=int((ends - time.monotonic()) * 1000))
            counted |= {table.full_name: RowsNow(rows=counts[n], exact=True) for n, table in enumerate(some)}
        except psycopg.Error:  # out of time, or row security
            counted |= {table.full_name: RowsNow(rows=table.rows_about, exact=False) for table in some}
    return counted


def _limit(session: Session, *, milliseconds: int) -> None:
    if milliseconds < 10:
        raise psycopg.errors.QueryCanceled
    session.execute("SELECT set_config('statement_timeout', %s, false)", (str(milliseconds),))


def _count_together(session: Session, tables: Sequence[manifest.Table], *, milliseconds: int) -> dict[int, int]:
    _limit(session, milliseconds=milliseconds)
    counts = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {number}, count(*) FROM ONLY {table}").format(
            number=sql.Literal(number), table=sql.Identifier(table.schema, table.name)
        )
        for number, table in enumerate(tables)
    )
    return dict(session.execute(counts).fetchall())


def _target(session: Session, name: str) -> TargetFacts | None:
    row = session.execute(_TARGET, {"name": name}).fetchone()
    if row is None:
        return None
    (oid, owner, encoding, collate, ctype, provider, locale, rules, tablespace, allows, template, may_own) = row
    sizes = session.execute(_SIZE, (oid,)).fetchone()
    sessions = session.execute(_SESSIONS, (oid,)).fetchall()
    prepared = session.execute("SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = %s", (name,))
    slots = session.execute("SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE datoid = %s", (oid,))
    return TargetFacts(
        oid=oid,
        owner=owner,
        encoding=encoding,
        collate=collate,
        ctype=ctype,
        locale_provider=provider,
        locale=locale or "",
        rules=rules or "",
        tablespace=tablespace,
        allows_connections=allows,
        is_template=template,
        may_own=may_own,
        size=(sizes or (0,))[0] or 0,
        sessions=tuple(
            Sessions(application=application, user=user, count=count, may_end=may_end)
            for application, user, count, may_end in sessions
        ),
        prepared=(prepared.fetchone() or (0,))[0],
        slots=tuple(slot for (slot,) in slots),
        forbidden_settings=_forbidden_settings(session, oid),
    )


def _forbidden_settings(session: Session, oid: int) -> tuple[str, ...]:
    # From 15 on a single setting can be granted.
    granted = "pg_catalog.has_parameter_privilege(p.name, 'SET')" if session.info.server_version >= 150000 else "false"
    query = sql.SQL(_FORBIDDEN_SETTINGS).format(granted=sql.SQL(granted))
    return tuple(name for (name,) in session.execute(query, (oid,)))


def _free_bytes(connection: Connection, session: Session, tablespace: str) -> int | None:
    """Free space of the server's disk, or of the tablespace's, where it is on this machine and can be seen."""
    if not on_this_machine(connection):
        return None
    try:
        row = session.execute("SELECT current_setting('data_directory')").fetchone()
        folder = Path(row[0] if row else "")
        # A forwarded port also looks local; then the folder is somebody else's, or not there.
        started = session.execute("SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time())::int8").fetchone()
        if not started or abs((folder / "postmaster.pid").stat().st_ctime - started[0]) > 60:
            return None
        if tablespace:
            row = session.execute(_LOCATION, (tablespace,)).fetchone()
            folder = Path(row[0] if row else "")
        disk = os.statvfs(folder)
    except (psycopg.Error, OSError):
        return None
    return disk.f_bavail * disk.f_frsize


_SERVER = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'), r.rolname::text, r.rolsuper,
       r.rolcreatedb, pg_catalog.pg_is_in_recovery()
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""

_ROLES = "SELECT rolname::text, pg_catalog.pg_has_role(oid, %s) FROM pg_catalog.pg_roles"

_EXTENSIONS = """
SELECT e.name::text, coalesce(v.trusted, false), coalesce(v.superuser, true)
FROM pg_catalog.pg_available_extensions e
LEFT JOIN pg_catalog.pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
"""

_COLLATIONS = """
SELECT DISTINCT collcollate::text FROM pg_catalog.pg_collation WHERE collprovider = 'c' AND collcollate IS NOT NULL
UNION SELECT datcollate::text FROM pg_catalog.pg_database
"""

# The locale's columns have other names in 14, 15 to 16, and 17 on; as JSON one query reads them all.
_TARGET = """
SELECT d.oid::bigint, pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_encoding_to_char(d.encoding)::text,
       d.datcollate::text, d.datctype::text, coalesce(j.d ->> 'datlocprovider', 'c'),
       coalesce(j.d ->> 'datlocale', j.d ->> 'daticulocale'), j.d ->> 'daticurules',
       CASE WHEN d.dattablespace <> z.dattablespace THEN t.spcname::text ELSE '' END, d.datallowconn,
       d.datistemplate, pg_catalog.pg_has_role(d.datdba, 'USAGE')
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
JOIN pg_catalog.pg_database z ON z.datname = 'template0'
CROSS JOIN LATERAL (SELECT to_jsonb(d) AS d) j
WHERE d.datname = %(name)s
"""

_LOCATION = "SELECT pg_catalog.pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace WHERE spcname = %s"

_SIZE = """
SELECT CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT') THEN pg_catalog.pg_database_size(oid) END
FROM pg_catalog.pg_database WHERE oid = %s
"""

_FORBIDDEN_SETTINGS = """
SELECT DISTINCT p.name
FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting)
JOIN pg_catalog.pg_settings p ON lower(p.name) = lower(split_part(c.setting, '=', 1))
JOIN pg_catalog.pg_roles me ON me.rolname = current_user
WHERE s.setdatabase = %s AND p.context LIKE 'superuser%%' AND NOT me.rolsuper AND NOT {granted} ORDER BY 1
"""

_SESSIONS = """
SELECT coalesce(nullif(a.application_name, ''), '?')::text, coalesce(a.usename, '?')::text, count(*)::int,
       bool_and(me.rolsuper OR pg_catalog.pg_has_role(a.usesysid, 'USAGE')
                OR (pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') AND NOT coalesce(u.rolsuper, true)))
FROM pg_catalog.pg_stat_activity a
LEFT JOIN pg_catalog.pg_roles u ON u.oid = a.usesysid
JOIN pg_catalog.pg_roles me ON me.rolname = current_user
WHERE a.datid = %s AND a.usesysid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""
