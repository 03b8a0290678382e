"""Functions that a load calls and that may find nothing: pg_restore works with an empty search_path, table after table.

A generated column, a CHECK, an index or a materialised view may call a function that names tables without their schema
(the load stops), or that reads a table which is not loaded yet (the value is lost in silence). Where an archive has
such calls, it is loaded section by section: for the length of the load these functions get a search_path, the tables
whose generated columns call them are loaded last, and their values are made again until they settle. Whether that
worked is decided by the comparison with the manifest alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from storage.backups import manifest
from storage.backups.record import TableFacts
from storage.postgres.archive import Entry
from storage.postgres.quoting import full_name
from storage.postgres.snapshot import Session

_CALLERS = ("TABLE", "DEFAULT", "DOMAIN", "CONSTRAINT", "CHECK CONSTRAINT", "INDEX", "MATERIALIZED VIEW", "VIEW")
_MOST_PASSES = 6
MARK = "pghaven_load"
"""The first name of a search_path that was set here; there is no schema of that name."""


Function = tuple[str, str]
"""Schema and name."""


def functions_called(entries: Iterable[Entry]) -> frozenset[Function]:
    """The archive's own functions that a load may call. Cheap: by their names in the definitions."""
    entries = tuple(entries)
    functions = {_function(entry) for entry in entries if entry.kind == "FUNCTION"}
    if not functions:
        return frozenset()
    texts = "\n".join(entry.definition for entry in entries if entry.kind in _CALLERS)
    called = {function for function in functions if _calls(texts, function)}
    return frozenset(functions if called else ())


def chunks(entries: Sequence[Entry], called: frozenset[Function]) -> Iterator[list[int]]:
    """The entries of the pre-data section, cut before whatever calls a function that was not amended yet.

    Already CREATE TABLE looks into a function that is written in SQL, to inline it.
    """
    chunk: list[int] = []
    fresh: set[Function] = set()
    for entry in entries:
        if entry.section in ("data", "post-data"):
            fresh_calls = False
        else:
            fresh_calls = entry.kind in _CALLERS and any(_calls(entry.definition, function) for function in fresh)
        # Only before an entry with a section: grants and comments belong to the entry before them.
        if fresh_calls and entry.section:
            yield chunk
            chunk, fresh = [], set()
        chunk.append(entry.dump_id)
        if entry.kind == "FUNCTION" and (function := _function(entry)) in called:
            fresh.add(function)
    yield chunk


def _function(entry: Entry) -> Function:
    return entry.schema, entry.name.partition("(")[0]


def _calls(text: str, function: Function) -> bool:
    schema, name = (re.escape(part.replace('"', '""')) for part in function)
    return re.search(rf'(?<![\w"])"?{schema}"?\."?{name}"?\(', text) is not None


@dataclass(frozen=True, slots=True)
class Amended:
    """What was changed for the load."""

    functions: int
    """How many functions have a search_path for the length of the load."""
    tables: frozenset[str]
    """schema.table of tables with generated columns that call functions."""
    checked: frozenset[str]
    """schema.table of tables with a CHECK that calls functions, which may want other tables to be loaded before."""


def amend(session: Session, called: frozenset[Function]) -> Amended:
    """Give the functions that are there a search_path: their own schema first, then all others. May be called again."""
    functions = session.execute(_FUNCTIONS, _arrays(called)).fetchall()
    schemas = [name for (name,) in session.execute(_SCHEMAS)]
    amended = 0
    for signature, schema in functions:
        path = [MARK, schema, *(["public"] if "public" in schemas and schema != "public" else [])]
        path += [name for name in schemas if name not in path]
        statement = sql.SQL("ALTER FUNCTION {} SET search_path TO {}").format(
            sql.SQL(signature), sql.SQL(", ").join(map(sql.Literal, path))
        )
        try:
            session.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            continue  # the comparison will tell
        amended += 1
    return Amended(
        functions=amended,
        tables=frozenset(full_name(schema, name) for schema, name in session.execute(_TABLES)),
        checked=frozenset(full_name(schema, name) for schema, name in session.execute(_CHECKED)),
    )


def _arrays(functions: Iterable[Function]) -> tuple[list[str], list[str]]:
    pairs = sorted(functions)
    return [schema for schema, _ in pairs], [name for _, name in pairs]


def take_back(session: Session, called: frozenset[Function]) -> None:
    """Leave the functions as they are in the archive."""
    for (signature,) in session.execute(_AMENDED, (*_arrays(called), f"search_path={MARK}, %")).fetchall():
        session.execute(sql.SQL("ALTER FUNCTION {} RESET search_path").format(sql.SQL(signature)))


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
SELECT p.oid::pg_catalog.regprocedure::text, n.nspname::text
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE (n.nspname::text, p.proname::text) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
  AND l.lanname NOT IN ('c', 'internal') AND p.prokind = 'f'
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c(setting) WHERE c.setting LIKE 'search_path=%%'
                  AND c.setting NOT LIKE 'search_path=pghaven\\_load,%%')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1
"""

_AMENDED = """
SELECT p.oid::pg_catalog.regprocedure::text
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE (n.nspname::text, p.proname::text) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
  AND EXISTS (SELECT FROM unnest(p.proconfig) AS c(setting) WHERE c.setting LIKE %s)
"""

_SCHEMAS = """
SELECT nspname::text FROM pg_catalog.pg_namespace
WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_%' ORDER BY 1
"""

# Up to 14 the column depends on the function, from 15 on its expression does.
_TABLES = """
SELECT DISTINCT n.nspname::text, c.relname::text
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

_CHECKED = """
SELECT DISTINCT n.nspname::text, c.relname::text
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid
JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.refobjid
WHERE k.contype = 'c' AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
"""

_A_COLUMN = """
SELECT attname::text FROM pg_catalog.pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'
ORDER BY attlen < 0, attnum LIMIT 1
"""
