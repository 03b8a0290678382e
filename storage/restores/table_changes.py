"""What a restore would change, table by table: the rows now and in the backup. Pure."""

from __future__ import annotations

from storage.backups.record import BackupRecord
from storage.restores.facts import ServerFacts
from storage.restores.plan import TableChange
from storage.restores.request import Mode, RestoreRequest
from storage.restores.selection import Selection


def changes(backup: BackupRecord, facts: ServerFacts) -> tuple[TableChange, ...]:
    """Every table that is in the backup or in the target, the largest change first."""
    now = facts.rows or {}
    found = []
    uncounted = frozenset(backup.brought.tables if backup.brought else ())
    for name in backup.tables.keys() | now.keys() | uncounted:
        kept, present = backup.tables.get(name), now.get(name)
        found.append(
            TableChange(
                name=name,
                now=present.rows if present else None,
                exact=present.exact if present else True,
                backup=kept.rows if kept else None,
                left_out=kept.left_out if kept else False,
                uncounted=name in uncounted,
            )
        )
    return tuple(sorted(found, key=lambda change: (-_size(change), change.name)))


def of_tables(found: tuple[TableChange, ...], chosen: Selection, request: RestoreRequest) -> tuple[TableChange, ...]:
    """For a restore of rows, the chosen tables alone."""
    if request.mode is not Mode.TABLES:
        return found
    return tuple(change for change in found if change.name in chosen.expected.tables)


def _size(change: TableChange) -> int:
    if not change.differs:
        return -1
    return abs((change.backup or 0) - (change.now or 0))
