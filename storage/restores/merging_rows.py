"""Carrying out a merge: everything in one transaction of the target, or nothing of it.

The rows of the archive are copied from the database beside into temporary tables first, while everybody goes on reading
and writing; only then do writers of these tables wait, and each table gets its missing rows in one statement. Triggers
of the tables do not work meanwhile, as in every restore: what they once wrote is in the archive as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from storage.backups import manifest
from storage.errors import Message
from storage.postgres.archive import Entry
from storage.postgres.snapshot import Session
from storage.restores import creating, merging, merging_facts, merging_sequences
from storage.restores.creating import Creation
from storage.restores.merging import How, Merge, TableMerge
from storage.restores.merging_copy import Copying, columns_of, rows_of
from storage.restores.merging_facts import MergeTable, Reference

_LOCK_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """What the decision is made from, besides the two databases."""

    entries: Sequence[Entry]
    """The schema of the database beside, as our own pg_dump says it."""
    trusted: bool
    """Whether the archive is ours: what it defines may be run."""
    owners: bool
    """Whether new tables get the owners that they have in the archive."""
    grants: bool
    without: Collection[str]
    """Tables that come without their rows: schema.table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What came of one table of the archive."""

    inserted: int
    left_alone: int
    """Rows of the archive whose key is there already."""
    clashing: int = 0
    """Of these, rows with a key that is missing, which clash with another unique key."""
    created: bool = False
    why: Message | None = None
    """Why the whole table was left alone."""
    dropped: tuple[str, ...] = ()
    """Columns of the archive that the target does not have."""

    def to_json(self) -> dict[str, Any]:
        """What is as always is left out."""
        more = {
            "clashing": self.clashing,
            "created": self.created,
            "why": self.why.to_json() if self.why else None,
            "dropped": list(self.dropped),
        }
        return {"inserted": self.inserted, "left_alone": self.left_alone} | {
            name: value for name, value in more.items() if value
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who is told what happens; each may raise."""

    rows: Callable[[str, int], None]
    """A table, and rows copied so far in all."""
    log: Callable[[str], None]
    before_commit: Callable[[str], None]
    """The id of the transaction, by which it is known afterwards whether it was committed."""


def merge(target: Session, beside: Session, request: MergeRequest, watch: Watch) -> dict[str, Merged]:
    """Do it; what came of every table, by schema.table. Raises psycopg.Error, and then nothing was changed."""
    for session in (target, beside):
        manifest.prepare(session)
    for name, value in (("lock_timeout", str(_LOCK_MS)), ("check_function_bodies", "off")):
        target.execute("SELECT set_config(%s, %s, false)", (name, value))
    with target.transaction():
        theirs = merging_facts.read_tables(beside)
        creation, plan = _decide(target, beside, theirs, request, watch)
        done = {
            name: Merged(inserted=0, left_alone=_count(beside, theirs[name]), why=why)
            for name, why in plan.left.items()
        }
        # The target's own functions, in its CHECKs for instance, find what they find for everybody.
        target.execute("RESET search_path")
        owner = merging_facts.read_owner(target)
        _make(target, creation.before, request, owner=owner)
        copying = Copying(target, beside, watch.rows)
        for table in plan.tables:
            copying.copy(table)
        done |= _insert_all(target, plan, copying)
        _make(target, creation.after, request, owner=owner)
        for table in plan.tables:
            merging_sequences.advance(target, table.table)
        row = target.execute("SELECT pg_catalog.pg_current_xact_id()::text").fetchone()
        watch.before_commit(str((row or ("",))[0]))
    return done


def _decide(
    target: Session, beside: Session, theirs: Mapping[str, MergeTable], request: MergeRequest, watch: Watch
) -> tuple[Creation, Merge]:
    ours = merging_facts.read_tables(target)
    creation = creating.decide(
        request.entries,
        present=merging_facts.read_present(target),
        trusted=request.trusted,
        suspect=() if request.trusted else merging_facts.read_suspect(beside, theirs.keys()),
        grants=request.grants,
    )
    for name, why in creation.refused.items():
        watch.log(f"{name} is not created: {why}")
    for entry in creation.left_out:
        watch.log(f"{entry.kind.lower()} {entry.name} is left out: the archive was not made here")
    keyless = [table for name, table in ours.items() if name in theirs and not table.key]
    plan = merging.decide(
        theirs=theirs,
        ours=ours,
        created=creation.tables,
        refused=creation.refused,
        empty=[table.full_name for table in keyless if _is_empty(target, table)],
        references=merging_facts.read_references(target),
        without=request.without,
    )
    return creation, plan


def _count(session: Session, table: MergeTable) -> int:
    row = session.execute(sql.SQL("SELECT count(*) FROM {}").format(rows_of(table))).fetchone()
    return int((row or (0,))[0])


def _is_empty(session: Session, table: MergeTable) -> bool:
    row = session.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(rows_of(table))).fetchone()
    return row is not None and not row[0]


def _make(session: Session, entries: Iterable[Entry], request: MergeRequest, *, owner: str) -> None:
    """Carry out definitions, each made from a catalogue by our own pg_dump, and give what they make its owner."""
    for entry in entries:
        session.execute(entry.definition.encode())
        owned = _OWNED.get(entry.kind)
        if owned is None or "IDENTITY" in entry.definition:
            continue
        name, _, arguments = entry.name.partition("(") if entry.kind == "FUNCTION" else (entry.name, "", "")
        names = (name,) if entry.kind == "SCHEMA" else (entry.schema, name)
        session.execute(
            sql.SQL("ALTER {} {}{} OWNER TO {}").format(
                sql.SQL(owned),
                sql.Identifier(*names),
                sql.SQL(f"({arguments}" if arguments else ""),  # as pg_dump writes them
                sql.Identifier(entry.owner if request.owners and entry.owner else owner),
            )
        )


def _insert_all(session: Session, plan: Merge, copying: Copying) -> dict[str, Merged]:
    """Every table's missing rows, in the order of the plan. Whoever wants to write to these tables waits from here."""
    present = [one for one in plan.tables if one.how is not How.CREATE]
    names = [sql.Identifier(one.table.schema, one.table.name) for one in present]
    for name in names:
        session.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(name))
    for reference in plan.deferred:
        _alter_constraint(session, reference, "DEFERRABLE INITIALLY DEFERRED")
    triggers = session.execute(
        _TRIGGERS, ([one.table.schema for one in present], [one.table.name for one in present])
    ).fetchall()
    for table, trigger, _ in triggers:
        _alter_trigger(session, table, trigger, "DISABLE")
    done = {}
    for one in plan.tables:
        staged, rows = copying.staged[one.table.full_name]
        done[one.table.full_name] = (
            Merged(inserted=rows, left_alone=0, created=True)
            if one.how is How.CREATE
            else _insert(session, one, staged, rows=rows)
        )
    # Everything is looked at now, and no later: a table with checks that wait cannot be altered.
    session.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for reference in plan.deferred:
        was = "DEFERRABLE INITIALLY " + ("DEFERRED" if reference.deferred else "IMMEDIATE")
        _alter_constraint(session, reference, was if reference.deferrable else "NOT DEFERRABLE")
    for table, trigger, enabled in triggers:
        _alter_trigger(session, table, trigger, _ENABLED[enabled])
    return done


def _insert(session: Session, merge: TableMerge, staged: sql.Identifier, *, rows: int) -> Merged:
    table = merge.table
    name, columns = sql.Identifier(table.schema, table.name), columns_of(merge.columns)
    missing = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} s").format(
        name, columns, columns, staged
    )
    if merge.how is How.FILL:
        missing += sql.SQL(" WHERE NOT EXISTS (SELECT FROM {})").format(rows_of(table))
    elif table.deferrable:
        missing += sql.SQL(" WHERE NOT EXISTS (SELECT FROM {} t WHERE {})").format(rows_of(table), _same_key(table))
    if not table.deferrable:
        missing += sql.SQL(" ON CONFLICT DO NOTHING")
    inserted = session.execute(missing).rowcount
    clashing = 0
    if inserted < rows and merge.how is How.KEY and table.other_keys:
        row = session.execute(
            sql.SQL("SELECT count(*) FROM {} s WHERE NOT EXISTS (SELECT FROM {} t WHERE {})").format(
                staged, rows_of(table), _same_key(table)
            )
        ).fetchone()
        clashing = int((row or (0,))[0])
    return Merged(inserted=inserted, left_alone=rows - inserted, clashing=clashing, dropped=merge.dropped)


def _alter_constraint(session: Session, reference: Reference, how: LiteralString) -> None:
    session.execute(
        sql.SQL("ALTER TABLE {} ALTER CONSTRAINT {} {}").format(
            sql.SQL(reference.on), sql.Identifier(reference.constraint), sql.SQL(how)
        )
    )


def _alter_trigger(session: Session, table: str, trigger: str, how: LiteralString) -> None:
    session.execute(
        sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(sql.SQL(table), sql.SQL(how), sql.Identifier(trigger))
    )


def _same_key(table: MergeTable) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("t.{} = s.{}").format(sql.Identifier(column), sql.Identifier(column)) for column in table.key
    )


_OWNED = {"TABLE": "TABLE", "SEQUENCE": "SEQUENCE", "TYPE": "TYPE", "DOMAIN": "DOMAIN", "SCHEMA": "SCHEMA",
          "FUNCTION": "FUNCTION"}  # fmt: skip
_ENABLED: dict[str, LiteralString] = {"O": "ENABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}

# The server quotes every name by itself. Bit 2 is INSERT.
_TRIGGERS = b"""
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), t.tgname::text, t.tgenabled::text
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 4 <> 0
  AND (n.nspname::text, c.relname::text) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
ORDER BY 1, 2
"""
