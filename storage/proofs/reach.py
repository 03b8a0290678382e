"""How far a proof can go: what of an archive an ordinary role can make on the scratch server. Decides only.

A scratch server is not the server of the backup. What it does not have, and what only a superuser may create, is passed
over together with everything that depends on it, and is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from storage.backups.record import BackupRecord
from storage.errors import Message, say
from storage.postgres.archive import Archive, Entry
from storage.postgres.quoting import full_name
from storage.restores.facts import Extension, ServerFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    left_out: frozenset[int] = frozenset()
    """Dump ids of the entries that are passed over."""
    missing: tuple[Message, ...] = ()
    """What the scratch server cannot take, each thing once."""
    without: tuple[str, ...] = ()
    """schema.table of the manifest that are not made because of that."""


def reach(archive: Archive, backup: BackupRecord, facts: ServerFacts) -> Reach:
    """What an ordinary role can make of an archive on the server of `facts`."""
    reasons = {
        entry.dump_id: reason
        for entry in archive.entries
        if (reason := _out_of_reach(entry, facts.extensions, facts.roles)) is not None
    }
    left_out = with_dependents(archive.entries, reasons.keys())
    tables = {
        full_name(entry.schema, entry.name)
        for entry in archive.entries
        if entry.kind == "TABLE" and entry.dump_id in left_out
    }
    missing = {str(reason): reason for reason in reasons.values()}
    return Reach(
        left_out=left_out,
        missing=tuple(missing.values()),
        without=tuple(sorted(tables & backup.tables.keys())),
    )


def with_dependents(entries: Iterable[Entry], first: Iterable[int]) -> frozenset[int]:
    """These entries, and all that depend on them, directly or not."""
    left_out = set(first)
    rest = [entry for entry in entries if entry.depends_on]
    while True:
        found = {entry.dump_id for entry in rest if not left_out.isdisjoint(entry.depends_on)} - left_out
        if not found:
            return frozenset(left_out)
        left_out |= found


def _out_of_reach(entry: Entry, extensions: Mapping[str, Extension], roles: frozenset[str]) -> Message | None:
    match entry.kind:
        case "EXTENSION" if entry.name != "plpgsql":
            present = extensions.get(entry.name)
            if present is None:
                return say("extension %(name)s, which is not installed there", name=entry.name)
            if present.superuser and not present.trusted:
                return say("extension %(name)s, which only a superuser may create", name=entry.name)
        case "POLICY":
            if strangers := [role for role in _policy_roles(entry.definition) if role not in roles]:
                return say("row security policy %(name)s, for a role %(role)s", name=entry.name, role=strangers[0])
    return _for_superusers(entry)


def _for_superusers(entry: Entry) -> Message | None:
    """What PostgreSQL lets nobody but a superuser create, whatever the server has."""
    match entry.kind:
        case "EVENT TRIGGER":
            return say("event trigger %(name)s, which only a superuser may create", name=entry.name)
        case "FOREIGN DATA WRAPPER":
            return say("foreign-data wrapper %(name)s, which only a superuser may create", name=entry.name)
        case "ACCESS METHOD":
            return say("access method %(name)s, which only a superuser may create", name=entry.name)
        case "OPERATOR CLASS" | "OPERATOR FAMILY":
            return say("operator class %(name)s, which only a superuser may create", name=entry.name)
        case "TEXT SEARCH PARSER" | "TEXT SEARCH TEMPLATE":
            return say("text search parser %(name)s, which only a superuser may create", name=entry.name)
        case "PUBLICATION" if _ALL_TABLES.search(entry.definition):
            return say("publication %(name)s, which only a superuser may create", name=entry.name)
        case "FUNCTION" if _IN_C.search(entry.definition):
            return say("function %(name)s in C, which only a superuser may create", name=entry.name)
        case "TYPE" if _BASE_TYPE.search(entry.definition):
            return say("type %(name)s, which only a superuser may create", name=entry.name)
    return None


def _policy_roles(definition: str) -> list[str]:
    """The roles that a policy is for; none where it is for everybody."""
    found = _POLICY_TO.search(definition)
    if found is None:
        return []
    names = [(quoted or plain).replace('""', '"') for quoted, plain in _ROLE.findall(found[1])]
    return [name for name in names if name.upper() not in ("PUBLIC", "CURRENT_USER", "CURRENT_ROLE", "SESSION_USER")]


# As pg_dump writes them (pg_dump.c: dumpPolicy, dumpPublication, dumpFunc, dumpBaseType).
_POLICY_TO = re.compile(r"^CREATE POLICY [^;(]*? ON [^;(]*? TO ([^(;]+?)(?: USING | WITH CHECK |;)", re.DOTALL)
_ROLE = re.compile(r'"((?:[^"]|"")+)"|([^\s,"]+)')
_ALL_TABLES = re.compile(r" FOR (?:ALL TABLES|TABLES IN SCHEMA)")
_IN_C = re.compile(r"^\s+LANGUAGE (?:c|internal)\b", re.MULTILINE)
_BASE_TYPE = re.compile(r"^\s+INPUT = ", re.MULTILINE)
