"""Indexes that a proof makes on emptied tables, after the rows were compared: making them over the rows would take
longer than everything else, and says nothing of the backup.

Such an index is no key, and is made of built-in parts alone. The server of the backup kept it over the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

import psycopg
from psycopg import sql

from storage.backups import fingerprint, manifest
from storage.errors import say
from storage.jobs.context import JobContext
from storage.postgres.archive import Entry
from storage.postgres.connection import connect, describe
from storage.postgres.snapshot import Session
from storage.postgres.watchdog import patiently
from storage.proofs.reach import with_dependents
from storage.restores.load import LoadRequest, load
from storage.restores.progress import RestoreProgress


def deferred(entries: Iterable[Entry]) -> frozenset[int]:
    """The dump ids of these indexes, and of what belongs to them. Pure."""
    entries = tuple(entries)
    return with_dependents(entries, {entry.dump_id for entry in entries if is_light(entry)})


def is_light(entry: Entry) -> bool:
    """Whether an entry is an index without UNIQUE of which everything is of PostgreSQL's own.

    pg_dump reads definitions with an empty search_path: what is not in pg_catalog has its schema written before it.
    """
    if entry.kind != "INDEX" or (found := _INDEX.match(entry.definition)) is None:
        return False
    return _QUALIFIED.search(_LITERAL.sub("''", found[1])) is None


_NAME = r'(?:"(?:[^"]|"")+"|[^\s".(]+)'
_INDEX = re.compile(
    rf"CREATE INDEX {_NAME} ON (?:ONLY )?{_NAME}\.{_NAME} USING (?:btree|hash|gin|gist|spgist|brin) (.*)", re.DOTALL
)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_QUALIFIED = re.compile(r'["\w]\.["A-Za-z_]|OPERATOR\(')


def count(entries: Iterable[Entry], later: Collection[int]) -> int:
    """How many indexes are among the entries that were put off."""
    return sum(entry.kind == "INDEX" and entry.dump_id in later for entry in entries)


def make(
    request: LoadRequest,
    later: frozenset[int],
    progress: RestoreProgress,
    context: JobContext,
    *,
    watch: Callable[[], None],
) -> str:
    """Make what was put off, in the database that everything else was loaded into; returns its schema's fingerprint.

    Raises StorageError where something could not be made.
    """
    archive = request.archive
    put_off = tuple(entry for entry in archive.entries if entry.dump_id in later)
    others = frozenset(entry.dump_id for entry in archive.entries) - later
    doing = say("The remaining indexes could not be made.")
    try:
        with connect(request.connection, application=request.application) as session:
            try:
                patiently(session, lambda: _empty_tables(session), watch=watch)
            except psycopg.errors.Error as error:
                if session.closed:
                    raise
                # Over the rows it takes longer, and proves no less.
                context.log(f"the tables could not be emptied: {error}")
        load(replace(request, archive=replace(archive, entries=put_off), left_out=others), progress, context)
        with connect(request.connection, application=request.application) as session:
            schema = patiently(session, lambda: _schema(session), watch=watch)
    except psycopg.Error as error:
        raise describe(error, doing=doing) from error
    context.log(f"{count(put_off, later)} indexes of built-in parts were made on emptied tables")
    return schema


def _empty_tables(session: Session) -> None:
    """Empty every table that is ours, without its triggers: all of them, or none."""
    with session.transaction():
        tables = [
            (sql.Identifier(schema, name), has_triggers)
            for schema, name, has_triggers in session.execute(_TABLES).fetchall()
        ]
        for table, has_triggers in tables:
            if has_triggers:
                session.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(table))
        if tables:
            names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(table) for table, _ in tables)
            session.execute(sql.SQL("TRUNCATE {}").format(names))


def _schema(session: Session) -> str:
    manifest.prepare(session)
    return fingerprint.read(session)


_TABLES = """
SELECT n.nspname::text, c.relname::text,
       EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
"""
