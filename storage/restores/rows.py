"""Rows of chosen tables, put in place of those that a database has: everything in one transaction, or nothing.

pg_restore writes the rows of the archive as text, and they go through our own session: what is there is emptied, loaded
and compared with the manifest before the one commit. No statement of the archive is carried out but its COPYs into the
chosen tables. Readers of these tables wait meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from storage.backups import fingerprint, manifest
from storage.backups.record import BackupRecord, TableFacts
from storage.errors import Conflict, Damaged, Denied, StorageError, say
from storage.postgres.archive import Archive
from storage.postgres.programs import Installation
from storage.postgres.quoting import full_name
from storage.postgres.snapshot import Session
from storage.restores import archived_rows
from storage.restores.archived_rows import Source
from storage.restores.compare import differences

_LOCK_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsRequest:
    """What is to be put where; `tables` are schema.table."""

    path: Path
    archive: Archive
    backup: BackupRecord
    tables: Sequence[str]
    installation: Installation
    folder: Path
    """The job's staging folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    tables: int
    rows: int
    before: Mapping[str, int]
    """Rows that each table had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsFacts:
    """What a plan has to know of the database whose rows are to be replaced."""

    tables: frozenset[str]
    not_owned: tuple[str, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    """(constraint, its table), where one end is among the chosen tables and the other is not."""


def look(session: Session, tables: Sequence[str]) -> RowsFacts:
    """Read the facts about the chosen tables."""
    manifest.prepare(session)
    found = manifest.read_tables(session)
    present = frozenset(table.full_name for table in found)
    plain = [f"{table.schema}.{table.name}" for table in found if table.full_name in tables]
    not_owned = session.execute(_NOT_OWNED, (plain,)).fetchall()
    across = session.execute(_ACROSS, {"tables": plain}).fetchall()
    return RowsFacts(
        tables=present,
        not_owned=tuple(name for (name,) in not_owned),
        references=tuple((constraint, table) for constraint, table in across),
    )


def replace(
    session: Session,
    request: RowsRequest,
    *,
    watch: Callable[[str, int], None],
    before_commit: Callable[[str], None],
) -> Replaced:
    """Do it. `watch` is called with the table and the bytes so far, and may raise; `before_commit` gets the id of the
    transaction, by which it is known afterwards whether it was committed.

    Raises Conflict for what keeps the rows from fitting, Damaged when they are not those of the manifest.
    """
    manifest.prepare(session)
    session.execute("SELECT set_config('lock_timeout', %s, false)", (str(_LOCK_MS),))
    try:
        with session.transaction():
            present = {table.full_name: table for table in manifest.read_tables(session)}
            chosen = [present[name] for name in request.tables]
            plain = [f"{table.schema}.{table.name}" for table in chosen]
            names = [sql.Identifier(table.schema, table.name) for table in chosen]
            for name in names:
                session.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(name))
            before = {table.full_name: _count(session, name) for table, name in zip(chosen, names, strict=True)}
            references = session.execute(_REFERENCES, {"tables": plain}).fetchall()
            for table, constraint, _, _ in references:
                session.execute(
                    sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.SQL(table), sql.Identifier(constraint))
                )
            triggers = session.execute(_TRIGGERS, (plain,)).fetchall()
            for table, trigger, _ in triggers:
                session.execute(
                    sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(sql.SQL(table), sql.Identifier(trigger))
                )
            for name in names:
                session.execute(sql.SQL("TRUNCATE ONLY {}").format(name))
            _load(session, request, watch)
            for table, trigger, enabled in triggers:
                session.execute(
                    sql.SQL("ALTER TABLE {} ENABLE {} TRIGGER {}").format(
                        sql.SQL(table), sql.SQL(_ENABLED[enabled]), sql.Identifier(trigger)
                    )
                )
            for table, constraint, definition, comment in references:
                watch(table, 0)
                name = sql.Identifier(constraint)
                session.execute(
                    sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(sql.SQL(table), name, sql.SQL(definition))
                )
                if comment is not None:
                    session.execute(
                        sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, sql.SQL(table), comment)
                    )
            _raise_sequences(session, plain)
            rows = _compare(session, request, chosen)
            row = session.execute("SELECT pg_catalog.pg_current_xact_id()::text").fetchone()
            before_commit(str((row or ("",))[0]))
    except psycopg.Error as error:
        raise explained(error) from error
    return Replaced(tables=len(chosen), rows=rows, before=before)


def committed(session: Session, transaction: str) -> bool | None:
    """Whether a transaction was committed; None when it is too long ago to be known."""
    row = session.execute("SELECT pg_catalog.pg_xact_status(%s::pg_catalog.xid8)", (transaction,)).fetchone()
    status = row[0] if row else None
    return None if status is None else status == "committed"


def explained(error: psycopg.Error) -> StorageError:
    """The refusal behind an error of the server."""
    diagnostic = error.diag
    table = full_name(diagnostic.schema_name or "public", diagnostic.table_name or "?")
    words = str(error)
    match error:
        case psycopg.errors.ForeignKeyViolation():
            return Conflict(
                say("Rows of %(table)s would refer to rows that are not there: %(name)s.",
                    table=table, name=diagnostic.constraint_name or ""),
                advice=say("Choose the tables that they refer to as well. The words of PostgreSQL name one row."),
                words=words,
            )  # fmt: skip
        case psycopg.errors.LockNotAvailable():
            return Conflict(
                say("Somebody holds a lock on one of the tables."),
                advice=say("End the transactions that use it, then start again."),
                words=words,
            )
        case psycopg.errors.InsufficientPrivilege():
            return Denied(
                say("Rows can only be replaced by the owner of the tables."),
                advice=say("The words of PostgreSQL name the table. Connect as its owner, or as a superuser."),
                words=words,
            )
        case psycopg.errors.UndefinedColumn():
            return Conflict(
                say("A table has other columns than in the backup."),
                advice=say("Restore into a new database, and take the rows from there."),
                words=words,
            )
        case psycopg.errors.IntegrityError():
            return Conflict(
                say("The rows do not fit the rules of %(table)s: %(name)s.",
                    table=table, name=diagnostic.constraint_name or diagnostic.column_name or ""),
                advice=say("The rules are newer than the backup. Restore into a new database, and take the rows from "
                           "there."),
                words=words,
            )  # fmt: skip
    return StorageError(
        say("The rows could not be put in place."), advice=say("The words of PostgreSQL say more."), words=words
    )


def _load(session: Session, request: RowsRequest, watch: Callable[[str, int], None]) -> None:
    """Carry the rows from pg_restore into the tables, one after the other, in the order of the archive."""
    wanted = [
        entry
        for entry in request.archive.entries
        if entry.kind == "TABLE DATA" and full_name(entry.schema, entry.name) in request.tables
    ]
    for entry in wanted:
        source = Source(
            entry=entry, path=request.path, installation=request.installation, chosen=request.folder / "rows"
        )
        _copy_one(session, source, partial(watch, full_name(entry.schema, entry.name)))


def _copy_one(session: Session, source: Source, watch: Callable[[int], None]) -> None:
    read = 0
    with archived_rows.opened(source, watch=lambda: watch(read)) as rows:
        table = sql.Identifier(source.entry.schema, source.entry.name)
        with archived_rows.copying(session, table, rows) as copy:
            for piece, _ in rows.pieces:
                copy.write(piece)
                read += len(piece)


def _count(session: Session, name: sql.Identifier) -> int:
    row = session.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(name)).fetchone()
    return int((row or (0,))[0])


def _raise_sequences(session: Session, tables: Sequence[str]) -> None:
    """Let the sequences of these tables go on after the highest number. Never back: what was given out stays so."""
    for sequence, table, column in session.execute(_SEQUENCES, (list(tables),)).fetchall():
        session.execute(
            sql.SQL(
                "SELECT pg_catalog.setval({name}, m.highest) FROM (SELECT max({column}) AS highest FROM ONLY {table}) m"
                ", {sequence} s WHERE m.highest > s.last_value"
            ).format(
                name=sql.Literal(sequence),
                column=sql.Identifier(column),
                table=sql.SQL(table),  # format('%I.%I') of the server
                sequence=sql.SQL(sequence),
            )
        )


def _compare(session: Session, request: RowsRequest, chosen: Sequence[manifest.Table]) -> int:
    """The rows that are there now, which have to be those of the manifest. Raises Damaged when they are not.

    Their content is compared where the schema is the one of the backup; with other columns it has another digest.
    """
    same = fingerprint.read(session) == request.backup.schema_fingerprint
    expected, found = {}, {}
    for table in chosen:
        facts = request.backup.tables[table.full_name]
        digests = same and facts.digest is not None
        expected[table.full_name] = facts if digests else TableFacts(rows=facts.rows, digest=None)
        counted = manifest.count(session, table, digests=digests)
        found[table.full_name] = counted if digests else TableFacts(rows=counted.rows, digest=None)
    if different := list(differences(expected, found)):
        raise Damaged(
            say("After loading, %(table)s is not what the backup has.", table=different[0].table),
            advice=say("A trigger, a rule or a newer default may have changed rows. Restore into a new database."),
        )
    return sum(facts.rows for facts in found.values())


_ENABLED = {"O": "", "R": "REPLICA", "A": "ALWAYS"}

# The server quotes every name by itself. Constraints of partitions come and go with those of their parent.
_REFERENCES = """
SELECT c.conrelid::pg_catalog.regclass::text, c.conname::text, pg_catalog.pg_get_constraintdef(c.oid),
       pg_catalog.obj_description(c.oid, 'pg_constraint')
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class f ON f.oid = c.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = c.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0
  AND (fn.nspname || '.' || f.relname = ANY (%(tables)s) OR tn.nspname || '.' || t.relname = ANY (%(tables)s))
ORDER BY 1, 2
"""

_TRIGGERS = """
SELECT t.tgrelid::pg_catalog.regclass::text, t.tgname::text, t.tgenabled::text
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND n.nspname || '.' || c.relname = ANY (%s)
ORDER BY 1, 2
"""

_SEQUENCES = """
SELECT pg_catalog.format('%%I.%%I', sn.nspname, s.relname), pg_catalog.format('%%I.%%I', n.nspname, c.relname),
       a.attname::text
FROM pg_catalog.pg_class s JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.oid
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
JOIN pg_catalog.pg_class c ON c.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S' AND n.nspname || '.' || c.relname = ANY (%s)
"""

_NOT_OWNED = """
SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY (%s) AND c.relkind = 'r' AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
ORDER BY 1
"""

_ACROSS = """
SELECT c.conname::text, fn.nspname || '.' || f.relname
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class f ON f.oid = c.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = c.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0
  AND (fn.nspname || '.' || f.relname = ANY (%(tables)s)) <> (tn.nspname || '.' || t.relname = ANY (%(tables)s))
ORDER BY 2, 1
"""
