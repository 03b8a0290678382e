"""Functions that a load calls and that may find nothing: pg_restore works with an empty search_path, table after table.

A generated column, a CHECK, an index or a materialised view may call a function that names tables without their schema
(the load stops), or that reads a table which is not loaded yet (the value is lost in silence). Where an archive has
such calls, it is loaded section by section: for the length of the load these functions get a search_path, the tables
whose generated columns call them are loaded last, and their values are made again until they settle. Whether that
worked is decided by the comparison with the manifest alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from storage.backups import manifest
from storage.backups.record import TableFacts
from storage.postgres.archive import Entry
from storage.postgres.snapshot import Session

_CALLERS = ("TABLE", "DEFAULT", "DOMAIN", "CONSTRAINT", "CHECK CONSTRAINT", "INDEX", "MATERIALIZED VIEW", "VIEW")
_MOST_PASSES = 6


def functions_called(entries: Iterable[Entry]) -> frozenset[str]:
    """schema.name of the archive's own functions that a load may call. Cheap: by their names in the definitions."""
    entries = tuple(entries)
    functions = {(entry.schema, entry.name.partition("(")[0]) for entry in entries if entry.kind == "FUNCTION"}
    if not functions:
        return frozenset()
    texts = "\n".join(entry.definition for entry in entries if entry.kind in _CALLERS)
    return frozenset(f"{schema}.{name}" for schema, name in functions if _called(schema, name, texts))


def _called(schema: str, name: str, texts: str) -> bool:
    return re.search(rf'(?<![\w"])"?{re.escape(schema)}"?\."?{re.escape(name)}"?\(', texts) is not None


@dataclass(frozen=True, slots=True)
class Amended:
    """What was changed for the load and has to be taken back: functions by oid."""

    functions: tuple[int, ...]
    tables: frozenset[str]
    """schema.table of tables with generated columns that call such functions."""


def amend(session: Session, called: frozenset[str]) -> Amended:
    """Give the functions a search_path: their own schema first, then all others. Between pre-data and data."""
    functions = session.execute(_FUNCTIONS, (sorted(called),)).fetchall()
    schemas = [name for (name,) in session.execute(_SCHEMAS)]
    amended = []
    for oid, signature, schema in functions:
        path = [schema, *(["public"] if "public" in schemas and schema != "public" else [])]
        path += [name for name in schemas if name not in path]
        statement = sql.SQL("ALTER FUNCTION {} SET search_path TO {}").format(
            sql.SQL(signature), sql.SQL(", ").join(map(sql.Literal, path))
        )
        try:
            session.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            continue  # the comparison will tell
        amended.append(oid)
    tables = frozenset(name for (name,) in session.execute(_TABLES))
    return Amended(tuple(amended), tables)


def take_back(session: Session, amended: Amended) -> None:
    """Leave the functions as they are in the archive."""
    for oid in amended.functions:
        row = session.execute("SELECT %s::oid::pg_catalog.regprocedure::text", (oid,)).fetchone()
        if row is not None:
            session.execute(sql.SQL("ALTER FUNCTION {} RESET search_path").format(sql.SQL(row[0])))


def regenerate(
    session: Session, amended: Amended, expected: Mapping[str, TableFacts], *, log: Callable[[str], None]
) -> None:
    """Make generated values again until they are those of the manifest, or change no more.

    Between data and post-data: no trigger, rule or foreign key is there yet.
    """
    manifest.prepare(session)
    tables = [table for table in manifest.read_tables(session) if table.full_name in amended.tables]
    for _ in range(min(len(tables) + 1, _MOST_PASSES)):
        changed = False
        for table in tables:
            before = manifest.count(session, table)
            wanted = expected.get(table.full_name)
            if wanted is not None and wanted.digest == before.digest:
                continue
            _update(session, table)
            after = manifest.count(session, table)
            changed |= after.digest != before.digest
            log(f"generated columns of {table.full_name} were made again: {before.rows} rows")
        if not changed:
            return


def _update(session: Session, table: manifest.Table) -> None:
    """Write every row over itself. The trigger makes PostgreSQL compute all generated columns, not only those whose
    base columns were set (ExecComputeStoredGenerated)."""
    row = session.execute(_A_COLUMN, (table.oid,)).fetchone()
    if row is None:
        return
    name, column = sql.Identifier(table.schema, table.name), sql.Identifier(row[0])
    with session.transaction():
        session.execute(_TRIGGER_FUNCTION)
        session.execute(
            sql.SQL(
                "CREATE TRIGGER pghaven_again BEFORE UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION pg_temp.pghaven_again()"
            ).format(name)
        )
        session.execute(sql.SQL("UPDATE ONLY {} SET {} = {}").format(name, column, column))
        session.execute(sql.SQL("DROP TRIGGER pghaven_again ON {}").format(name))
    # The rows were written twice; their first versions are room for new ones now.
    session.execute(sql.SQL("VACUUM {}").format(name))


_TRIGGER_FUNCTION = """
CREATE OR REPLACE FUNCTION pg_temp.pghaven_again() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
"""

_FUNCTIONS = """
SELECT p.oid::bigint, p.oid::pg_catalog.regprocedure::text, n.nspname::text
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname || '.' || p.proname = ANY (%s) AND l.lanname NOT IN ('c', 'internal') AND p.prokind = 'f'
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c(setting) WHERE c.setting LIKE 'search_path=%%')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1
"""

_SCHEMAS = """
SELECT nspname::text FROM pg_catalog.pg_namespace
WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_%' ORDER BY 1
"""

# Up to 14 the column depends on the function, from 15 on its expression does.
_TABLES = """
SELECT DISTINCT n.nspname::text || '.' || c.relname::text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
JOIN pg_catalog.pg_depend d
  ON (d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid)
  OR (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum)
JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.refobjid
WHERE a.attgenerated = 's' AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
"""

_A_COLUMN = """
SELECT attname::text FROM pg_catalog.pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'
ORDER BY attlen < 0, attnum LIMIT 1
"""
