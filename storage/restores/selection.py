"""What of an archive is restored: all of it, all but the rows of log tables, or no rows at all.

By the archive's table of contents (pg_restore's --use-list): it has no option that leaves out the rows of a table.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from storage.backups import digest
from storage.backups.record import BackupRecord, TableFacts
from storage.postgres.archive import Archive, Entry
from storage.postgres.quoting import full_name
from storage.restores.request import Mode, Part, RestoreRequest

_LARGE_OBJECTS = frozenset({"BLOB", "BLOBS", "BLOB METADATA", "BLOB COMMENTS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A part of an archive, and the backup as it would be had it been taken like that."""

    left_out: frozenset[int]
    """Dump ids of the entries that are passed over."""
    expected: BackupRecord
    entries: tuple[Entry, ...]
    """Those that are restored."""
    without: tuple[str, ...]
    """Tables that come without their rows."""


def of(request: RestoreRequest, *, backup: BackupRecord, archive: Archive, logs: Collection[str]) -> Selection:
    """`logs` are the log tables among those of the backup (schema.table)."""
    if request.mode is Mode.TABLES:
        chosen = frozenset(with_rows(request, backup=backup, archive=archive))
        without = frozenset[str]()
        left_out = frozenset(
            entry.dump_id
            for entry in archive.entries
            if entry.kind != "TABLE DATA" or full_name(entry.schema, entry.name) not in chosen
        )
        source = backup.source
        backup = backup.with_(tables={name: facts for name, facts in backup.tables.items() if name in chosen})
    elif request.part is Part.SCHEMA:
        without = frozenset(backup.tables)
        left_out = frozenset(entry.dump_id for entry in archive.entries if _holds_data(entry))
        source = replace(backup.source, large_objects=0)
    else:
        without = frozenset(logs) & frozenset(table_names(backup)) if request.no_logs else frozenset()
        left_out = frozenset(
            entry.dump_id
            for entry in archive.entries
            if entry.kind == "TABLE DATA" and full_name(entry.schema, entry.name) in without
        )
        source = backup.source
    return Selection(
        left_out=left_out,
        expected=backup.with_(
            source=source,
            tables={name: _empty(facts) if name in without else facts for name, facts in backup.tables.items()},
        ),
        entries=tuple(entry for entry in archive.entries if entry.dump_id not in left_out),
        without=tuple(sorted(without)),
    )


def table_names(backup: BackupRecord) -> Collection[str]:
    """schema.table of those in the backup; an uploaded archive has no manifest, and says them itself."""
    return backup.tables.keys() or (backup.brought.tables if backup.brought else ())


def with_rows(request: RestoreRequest, *, backup: BackupRecord, archive: Archive) -> tuple[str, ...]:
    """The tables whose rows are to be replaced: those that were chosen, or all that have rows in the archive."""
    in_archive = {full_name(entry.schema, entry.name) for entry in archive.entries if entry.kind == "TABLE DATA"}
    return tuple(sorted(request.tables or (name for name in in_archive if name in backup.tables)))


def _holds_data(entry: Entry) -> bool:
    of_large_object = entry.kind in ("ACL", "COMMENT", "SECURITY LABEL") and entry.name.startswith("LARGE OBJECT")
    return entry.section == "data" or entry.kind in _LARGE_OBJECTS or of_large_object


def _empty(facts: TableFacts) -> TableFacts:
    return replace(facts, rows=0, digest=digest.EMPTY if facts.digest is not None else None, left_out=True)
