"""Before a take: what the server, the role and the disk say, and whether a dump can succeed. Decides before it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from storage.backups.manifest import Table
from storage.backups.record import SourceFacts
from storage.errors import Denied, StorageError, Unavailable, say, say_count
from storage.postgres.programs import Installation, for_dump
from storage.postgres.quoting import full_name, quoted

Session = psycopg.Connection[tuple[Any, ...]]
Choose = Callable[[Sequence[Installation], int], Installation | None]


def read_source(session: Session) -> SourceFacts:
    """What a restore will have to know of the server and the database."""
    row = session.execute(_SOURCE).fetchone()
    assert row is not None
    version, number, database, size, owner, encoding, collate, ctype, provider, locale, large_objects = row
    return SourceFacts(
        server_version=version,
        server_major=number // 10000,
        database=database,
        size=size,
        owner=owner,
        encoding=encoding,
        collate=collate,
        ctype=ctype,
        locale_provider=provider,
        locale=locale or "",
        extensions=tuple(session.execute(_EXTENSIONS).fetchall()),
        roles=tuple(name for (name,) in session.execute(_ROLES)),
        large_objects=large_objects,
    )


def choose_program(
    installations: Sequence[Installation], server_major: int, *, choose: Choose = for_dump
) -> Installation:
    """The pg_dump for a server, chosen by a rule of `programs`. Raises Unavailable when there is none."""
    chosen = choose(installations, server_major)
    if chosen is None:
        majors = sorted({one.major for one in installations})
        have = ", ".join(str(major) for major in majors) if majors else say("none")
        raise Unavailable(
            say(
                "The server is PostgreSQL %(server)s; pg_dump of that version is needed, here is %(have)s.",
                server=server_major,
                have=have,
            ),
            advice=say("Install it with: pghaven tools install %(major)s", major=server_major),
        )
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What pg_dump reads besides the rows of tables, and our role may not."""

    names: tuple[str, ...] = ()
    """Sequences and partitioned tables."""
    large_object: int | None = None
    """One of them, if there are any."""


def read_closed(session: Session) -> Closed:
    large_object = session.execute(_CLOSED_LARGE_OBJECT).fetchone()
    return Closed(
        names=tuple(full_name(schema, name) for schema, name in session.execute(_CLOSED)),
        large_object=large_object[0] if large_object else None,
    )


def check_rights(tables: Sequence[Table], closed: Closed, *, role: str) -> None:
    """Refuse a dump that would stop half-way, or that would not hold every row. Raises Denied naming the table."""
    unreadable = [table.full_name for table in tables if not table.readable]
    if unreadable:
        raise Denied(
            say_count(
                "%(role)s may not read %(count)s table, %(table)s.",
                "%(role)s may not read %(count)s tables, for example %(table)s.",
                count=len(unreadable),
                role=role,
                table=unreadable[0],
            ),
            advice=say("Grant it on the server: GRANT pg_read_all_data TO %(role)s;", role=quoted(role)),
        )
    if closed.names:
        raise Denied(
            say("%(role)s may not read %(name)s.", role=role, name=closed.names[0]),
            advice=say("Grant it on the server: GRANT pg_read_all_data TO %(role)s;", role=quoted(role)),
        )
    if closed.large_object is not None:
        raise Denied(
            say("%(role)s may not read the large object %(number)s.", role=role, number=closed.large_object),
            advice=say(
                "Grant it on the server: GRANT SELECT ON LARGE OBJECT %(number)s TO %(role)s; "
                "or take backups as its owner.",
                number=closed.large_object,
                role=quoted(role),
            ),
        )
    hidden = [table.full_name for table in tables if table.rows_hidden]
    if hidden:
        raise Denied(
            say(
                "Row security hides rows of %(table)s from %(role)s; a backup without them would not be whole.",
                table=hidden[0],
                role=role,
            ),
            advice=say(
                "As a superuser, on the server: ALTER ROLE %(role)s BYPASSRLS; or GRANT the owner of %(table)s to it.",
                role=quoted(role),
                table=hidden[0],
            ),
        )


def space_needed(*, database_size: int, last_archive: int | None, reserve: int) -> int:
    """Bytes that should be free before a dump: a fifth more than last time, or half the database the first time."""
    return int(last_archive * 1.2 if last_archive else database_size * 0.5) + reserve


def check_space(folder: Path, needed: int) -> int:
    """The free bytes of a folder's disk. Raises Unavailable when fewer than needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise disk_full(folder, free=free, needed=needed)
    return free


def disk_full(folder: Path, *, free: int, needed: int) -> StorageError:
    return Unavailable(
        say(
            "The disk of %(folder)s is full: about %(needed_bytes)s are needed, %(free_bytes)s are free.",
            folder=str(folder),
            needed_bytes=needed,
            free_bytes=free,
        ),
        advice=say(
            "Make room, or point BACKUP_STORAGE_PATH at a larger disk. SPACE_RESERVE_MB says how much has to stay free."
        ),
    )


_SOURCE = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int, d.datname::text,
       pg_catalog.pg_database_size(d.oid), pg_catalog.pg_get_userbyid(d.datdba)::text,
       pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text,
       coalesce(j.d ->> 'datlocprovider', 'c'), coalesce(j.d ->> 'datlocale', j.d ->> 'daticulocale'),
       (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata)
FROM pg_catalog.pg_database d CROSS JOIN LATERAL (SELECT to_jsonb(d) AS d) j
WHERE d.datname = current_database()
"""
# The locale's columns have other names in 14, 15 to 16, and 17 on; as JSON one query reads them all.

_CLOSED = """
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('S', 'p') AND c.relpersistence IN ('p', 'u')
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
           AND CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
               ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""

# pg_read_all_data does not reach large objects, and a function that tells the right to one is there from 18 on only.
_CLOSED_LARGE_OBJECT = """
SELECT m.oid::bigint FROM pg_catalog.pg_largeobject_metadata m
WHERE NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
  AND NOT current_setting('lo_compat_privileges')::boolean AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a
                  WHERE a.privilege_type = 'SELECT'
                    AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
LIMIT 1
"""

_EXTENSIONS = """
SELECT extname::text, extversion FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY extname
"""

_ROLES = """
SELECT r.rolname::text
FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
  AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
UNION
SELECT pg_catalog.pg_get_userbyid(c.relowner)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY 1
"""
# The second half is for the role that initdb made: the catalogue keeps no dependency on it.
