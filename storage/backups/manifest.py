"""The manifest: what tables a database has, and for each its rows and digest, counted in one snapshot.

Tables of extensions, foreign tables and materialised views are left to those who fill them; partitions are counted one
by one, their parents hold no rows of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from storage.backups import digest
from storage.backups.record import TableFacts
from storage.postgres import timeouts
from storage.postgres.quoting import full_name

Session = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as the catalogue has it. `bytes` without indexes, `rows_about` from the planner's statistics."""

    oid: int
    schema: str
    name: str
    columns: tuple[digest.Column, ...]
    bytes: int
    rows_about: int
    readable: bool
    """Whether our role may read it, and its schema."""
    rows_hidden: bool
    """Whether row security would hide rows from our role."""
    computed: bool = False
    """Whether generated columns call functions of the database, which a load may make anew with another result."""

    @property
    def full_name(self) -> str:
        return full_name(self.schema, self.name)


def read_tables(session: Session) -> tuple[Table, ...]:
    """Every table whose rows are in an archive, the largest first."""
    rows = session.execute(_TABLES).fetchall()
    return tuple(
        Table(
            oid=oid,
            schema=schema,
            name=name,
            columns=tuple(digest.Column(*column) for column in columns),
            bytes=size,
            rows_about=max(rows_about, 0),
            readable=readable,
            rows_hidden=rows_hidden,
            computed=computed,
        )
        for oid, schema, name, columns, size, rows_about, readable, rows_hidden, computed in rows
    )


def prepare(session: Session) -> None:
    """Make the session print and read everything in the one way the digests are defined for."""
    for name, value in digest.SESSION.items():
        session.execute("SELECT set_config(%s, %s, false)", (name, value))
    # An idle snapshot is our normal state while the dump runs: the server must not end it for that.
    timeouts.lift(session)


def count(session: Session, table: Table, *, digests: bool = True) -> TableFacts:
    """Count one table exactly, in whatever snapshot the session has. The session must be prepared.

    A table with computed values gets its digest in any case: nothing else tells whether a restore made them right.
    """
    digests = digests or table.computed
    row = session.execute(digest.query(table.schema, table.name, table.columns, digests=digests)).fetchone()
    assert row is not None
    return TableFacts(rows=row[0], digest=digest.text(row[1]) if digests else None, bytes=table.bytes)


def left_out(table: Table, *, digests: bool = True) -> TableFacts:
    """The line of a table of which the archive holds only the structure."""
    return TableFacts(
        rows=0, digest=digest.EMPTY if digests or table.computed else None, bytes=table.bytes, left_out=True
    )


def count_all(
    session: Session,
    tables: Sequence[Table],
    *,
    without: Iterable[str] = (),
    digests: bool = True,
    on_table: Callable[[Table, TableFacts], None] = lambda table, facts: None,
) -> dict[str, TableFacts]:
    """The whole manifest, schema.table to facts; `without` are the tables of which only the structure is taken."""
    structure_only = frozenset(without)
    manifest = {}
    for table in tables:
        if table.full_name in structure_only:
            facts = left_out(table, digests=digests)
        else:
            facts = count(session, table, digests=digests)
        manifest[table.full_name] = facts
        on_table(table, facts)
    return manifest


_TABLES = """
WITH RECURSIVE base AS (
    SELECT t.oid AS type, t.oid AS at, t.typtype, t.typbasetype FROM pg_catalog.pg_type t
    UNION ALL
    SELECT base.type, t.oid, t.typtype, t.typbasetype
    FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype
    WHERE base.typtype = 'd'
), known AS (
    SELECT base.type, t.typname::text AS name
    FROM base JOIN pg_catalog.pg_type t ON t.oid = base.at
    WHERE base.typtype <> 'd' AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
), computed AS (
    -- Up to 14 the column depends on the function, from 15 on its expression does.
    SELECT a.attrelid AS relation
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    JOIN pg_catalog.pg_depend d
      ON (d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid)
      OR (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum)
    WHERE a.attgenerated = 's'
      AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
      -- The catalogue keeps no dependency on what initdb made, so these are functions of the database.
      AND d.refobjid >= 16384
)
SELECT c.oid::bigint, n.nspname::text, c.relname::text,
       (SELECT coalesce(json_agg(json_build_array(a.attname, coalesce(k.name, '')) ORDER BY a.attnum), '[]')
        FROM pg_catalog.pg_attribute a LEFT JOIN known k ON k.type = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       pg_catalog.pg_table_size(c.oid),
       c.reltuples::bigint,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
       c.relrowsecurity
       AND NOT (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
       AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')),
       c.oid IN (SELECT relation FROM computed)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence IN ('p', 'u')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY pg_catalog.pg_table_size(c.oid) DESC, n.nspname, c.relname
"""
