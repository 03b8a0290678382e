"""What changed in each table since the backup before. Compares two manifests; reads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from storage.backups.record import BackupRecord, TableFacts


class ChangeKind(StrEnum):
    UNKNOWN = "unknown"
    """There is nothing to compare with: no earlier backup, or its rows were left out of one of the two."""
    SAME = "same"
    ROWS = "rows"
    """More or fewer rows."""
    CONTENT = "content"
    """As many rows as before, and other content."""
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    name: str
    kind: ChangeKind
    rows: int = 0
    difference: int | None = None
    """Rows now less rows before; None where that is not known."""
    bytes: int = 0
    digest: str | None = None
    left_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All tables of a backup, the largest first; tables that are gone come last."""

    tables: tuple[TableChange, ...]
    before: BackupRecord | None
    rows: int
    bytes: int
    difference: int | None
    """Of all rows; None when the two cannot be compared as a whole."""


def changes(record: BackupRecord, before: BackupRecord | None) -> Changes:
    """Compare with the complete backup before it, or with nothing."""
    earlier = before.tables if before else {}
    present = [_change(name, table, earlier.get(name), before) for name, table in record.tables.items()]
    gone = [
        TableChange(name=name, kind=ChangeKind.GONE, difference=None if table.left_out else -table.rows)
        for name, table in earlier.items()
        if name not in record.tables
    ]
    comparable = before is not None and record.no_logs == before.no_logs
    return Changes(
        tables=(*sorted(present, key=lambda table: (-table.bytes, -table.rows, table.name)),
                *sorted(gone, key=lambda table: table.name)),
        before=before,
        rows=record.rows,
        bytes=sum(table.bytes for table in record.tables.values()),
        difference=record.rows - before.rows if before and comparable else None,
    )  # fmt: skip


def _change(name: str, table: TableFacts, earlier: TableFacts | None, before: BackupRecord | None) -> TableChange:
    kind, difference = _kind(table, earlier, before)
    return TableChange(
        name=name,
        kind=kind,
        rows=table.rows,
        difference=difference,
        bytes=table.bytes,
        digest=table.digest,
        left_out=table.left_out,
    )


def _kind(table: TableFacts, earlier: TableFacts | None, before: BackupRecord | None) -> tuple[ChangeKind, int | None]:
    if before is None or table.left_out or (earlier and earlier.left_out):
        return ChangeKind.UNKNOWN, None
    if earlier is None:
        return ChangeKind.NEW, table.rows
    if table.rows != earlier.rows:
        return ChangeKind.ROWS, table.rows - earlier.rows
    if table.digest is not None and earlier.digest is not None and table.digest != earlier.digest:
        return ChangeKind.CONTENT, 0
    return ChangeKind.SAME, 0
