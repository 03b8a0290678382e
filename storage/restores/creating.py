"""Which definitions of an archive make the tables that a database lacks, and which tables cannot be made. Pure.

A table is made with what it is made of: its schema, types and sequences where they are missing too, then its defaults,
and after its rows its keys, indexes and references. Of an archive that is not ours nothing is made that could run
something: no functions, triggers, rules and policies, and no table whose own expressions call more than PostgreSQL's
harmless functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from storage.errors import Message, say
from storage.postgres.archive import Entry
from storage.postgres.quoting import full_name
from storage.restores.merging_facts import Present
from storage.restores.progress import table_of

_PARTS = frozenset(
    {"SEQUENCE", "SEQUENCE OWNED BY", "DEFAULT", "TABLE ATTACH", "CONSTRAINT", "CHECK CONSTRAINT", "INDEX",
     "INDEX ATTACH", "FK CONSTRAINT", "ROW SECURITY"}
)  # fmt: skip
"""What belongs to a table and does nothing by itself."""
_MORE_PARTS = frozenset({"TRIGGER", "RULE", "POLICY", "STATISTICS", "COMMENT", "ACL"})
_NEEDS = frozenset({"SCHEMA", "TYPE", "SEQUENCE"})
_MORE_NEEDS = frozenset({"DOMAIN", "SHELL TYPE", "FUNCTION", "COLLATION", "AGGREGATE", "OPERATOR", "OPERATOR CLASS"})
_BY_DEFINITION = frozenset({"DEFAULT", "CONSTRAINT", "INDEX", "FK CONSTRAINT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """What is to be carried out, in this order."""

    before: tuple[Entry, ...]
    """Before there are rows."""
    after: tuple[Entry, ...]
    tables: frozenset[str]
    """Those that are made: schema.table."""
    refused: Mapping[str, Message]
    """Missing tables that are not made, and why."""
    left_out: tuple[Entry, ...]
    """Triggers and the like of the tables that are made, left out because the archive is not ours."""


def decide(
    entries: Iterable[Entry],
    *,
    present: Present,
    trusted: bool,
    suspect: Collection[str] = (),
    grants: bool = True,
) -> Creation:
    """`entries` are those of a dump that our own pg_dump made of the database beside; `suspect` are tables whose
    expressions an untrusted archive may not bring along."""
    return _Deciding(tuple(entries), present, trusted, suspect, grants).decide()


class _Deciding:
    def __init__(
        self,
        entries: tuple[Entry, ...],
        present: Present,
        trusted: bool,
        suspect: Collection[str],
        grants: bool,
    ) -> None:
        self._entries, self._present, self._trusted = entries, present, trusted
        self._by_id = {entry.dump_id: entry for entry in entries}
        self._needs = _NEEDS | (_MORE_NEEDS if trusted else frozenset())
        self._parts = _PARTS | (_MORE_PARTS if trusted else frozenset())
        if not grants:
            self._parts -= {"ACL"}
        self._missing = {
            full_name(entry.schema, entry.name): entry
            for entry in entries
            if entry.kind == "TABLE" and not present.has("TABLE", entry.schema, entry.name)
        }
        self._refused: dict[str, Message] = {}
        if not trusted:
            for name in self._missing.keys() & frozenset(suspect):
                self._refused[name] = say("Its definition calls functions, and the archive was not made here.")

    def decide(self) -> Creation:
        wanted: set[int] = set()
        while True:
            made = self._missing.keys() - self._refused.keys()
            refused, wanted = len(self._refused), set()
            for entry in self._entries:
                name = self._table_of(entry)
                if name in made and (entry.kind == "TABLE" or entry.kind in self._parts):
                    self._take(entry, name, wanted)
            if len(self._refused) == refused:
                break
        chosen = [entry for entry in self._entries if entry.dump_id in wanted]
        return Creation(
            before=tuple(entry for entry in chosen if entry.section == "pre-data"),
            after=tuple(entry for entry in chosen if entry.section != "pre-data"),
            tables=frozenset(made),
            refused=self._refused,
            left_out=tuple(
                entry
                for entry in self._entries
                if not self._trusted and entry.kind in ("TRIGGER", "RULE", "POLICY") and self._table_of(entry) in made
            ),
        )

    def _table_of(self, entry: Entry) -> str:
        """schema.table that an entry is, or is a part of; '' for anything else."""
        if entry.kind == "TABLE":
            return full_name(entry.schema, entry.name)
        if entry.kind in _BY_DEFINITION:
            return table_of(entry)
        needed = (self._by_id.get(dump_id) for dump_id in entry.depends_on)
        return next((self._table_of(one) for one in needed if one and one.kind in ("TABLE", "SEQUENCE")), "")

    def _take(self, entry: Entry, table: str, wanted: set[int]) -> None:
        """Take an entry of `table` with everything that it needs; what cannot be had refuses the table."""
        if entry.kind in ("SEQUENCE", "SEQUENCE OWNED BY") and self._has(entry) and "IDENTITY" not in entry.definition:
            return
        wanted.add(entry.dump_id)
        for needed in filter(None, (self._by_id.get(dump_id) for dump_id in entry.depends_on)):
            if self._has(needed):
                if entry.kind == "TABLE ATTACH":
                    self._refused[table] = say("It is a partition of a table that is there.")
            elif needed.kind == "TABLE":
                if full_name(needed.schema, needed.name) in self._refused:
                    self._refused[table] = say("It needs %(name)s, which is not created.", name=needed.name)
            elif needed.dump_id in wanted or needed.kind in self._parts - self._needs:
                continue
            elif needed.kind in self._needs and (self._trusted or needed.kind != "TYPE" or _is_enum(needed)):
                self._take(needed, table, wanted)
            else:
                self._refused[table] = say("It needs %(name)s, which is not there.", name=needed.name)

    def _has(self, entry: Entry) -> bool:
        return self._present.has(entry.kind, entry.schema, entry.name)


def _is_enum(entry: Entry) -> bool:
    return entry.definition.startswith("CREATE TYPE ") and " AS ENUM (" in entry.definition
