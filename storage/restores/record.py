"""What is known of one restore: its record is the journal from which a crash is mended, so it is written first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from storage.clock import from_required_text, from_text, to_text
from storage.errors import InvalidRecord, say
from storage.restores.request import Mode


class RestoreState(StrEnum):
    RUNNING = "running"
    SWAPPING = "swapping"
    """Compared and good; the names are being changed."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        return self not in (RestoreState.RUNNING, RestoreState.SWAPPING)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRecord:
    """One line of the list of restores."""

    restore_id: str
    backup_id: str
    database: str
    """The registered name of the database whose backup and server it is."""
    mode: Mode
    target: str
    """The database's name on its server."""
    state: RestoreState = RestoreState.RUNNING
    beside: str = ""
    """The database that is being made; '' once it has its real name or is gone for certain."""
    beside_oid: int | None = None
    target_oid: int | None = None
    """The one that is replaced; None for a new database."""
    target_allowed: bool = True
    """Whether the replaced database took connections before the swap."""
    kept_as: str = ""
    """The name of the replaced database, from the swap on."""
    started_at: datetime
    ended_at: datetime | None = None
    job_id: str = ""
    by: str = ""
    tables_compared: int = 0
    rows_compared: int = 0
    """Rows that were counted after the load, as `tables_compared` are tables."""
    tables_equal: int = 0
    manifest: bool = True
    """Whether there was one to compare with: an uploaded archive has none, and its tables were only counted."""
    loader: str = ""
    """The role without special rights that loaded it; from the swap on only where it was kept as the owner."""
    owners_kept: bool = True
    grants_kept: bool = True
    downtime_ms: float | None = None
    """How long nobody could connect to the target."""
    error: Mapping[str, Any] | None = None
    """`StorageError.to_json` when it failed, was cancelled or interrupted."""
    on: str = ""
    """The registered database on whose server it was done, where that is another one than the backup's."""
    snapshot_id: str = ""
    """The backup that was taken of the target just before."""
    tables: tuple[str, ...] = ()
    """For TABLES: those whose rows were replaced."""
    transaction: str = ""
    """For TABLES and MERGE: its id on the server, by which it is known afterwards whether it was committed."""
    merged: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For MERGE: what came of every table of the archive (`Merged.to_json`), by schema.table."""
    undoes: str = ""
    """The restore that this one undid, or was to undo."""
    undone_by: str = ""
    """The restore that undid this one."""
    kept_dropped_at: datetime | None = None
    """When the database that was kept was dropped."""

    @property
    def unsettled(self) -> bool:
        """Whether something may be left on the server that has to be looked at."""
        return not self.state.ended or bool(self.beside)

    @property
    def server(self) -> str:
        """The registered database on whose server it was done."""
        return self.on or self.database

    @property
    def keeps(self) -> bool:
        """Whether the database of before is still there under `kept_as`, as far as pghaven knows."""
        ended_well = self.state is RestoreState.COMPLETED
        return ended_well and bool(self.kept_as) and not self.undone_by and self.kept_dropped_at is None

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None

    def with_(self, **changes: Any) -> RestoreRecord:
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "id": self.restore_id,
            "backup_id": self.backup_id,
            "database": self.database,
            "mode": self.mode.value,
            "target": self.target,
            "state": self.state.value,
            "beside": self.beside,
            "beside_oid": self.beside_oid,
            "target_oid": self.target_oid,
            "target_allowed": self.target_allowed,
            "kept_as": self.kept_as,
            "started_at": to_text(self.started_at),
            "ended_at": to_text(self.ended_at),
            "job_id": self.job_id,
            "by": self.by,
            "tables_compared": self.tables_compared,
            "tables_equal": self.tables_equal,
            "rows_compared": self.rows_compared,
            "manifest": self.manifest,
            "loader": self.loader,
            "owners_kept": self.owners_kept,
            "grants_kept": self.grants_kept,
            "downtime_ms": self.downtime_ms,
            "error": self.error,
            "on": self.on,
            "snapshot_id": self.snapshot_id,
            "tables": list(self.tables),
            "transaction": self.transaction,
            "merged": dict(self.merged),
            "undoes": self.undoes,
            "undone_by": self.undone_by,
            "kept_dropped_at": to_text(self.kept_dropped_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RestoreRecord:
        match data["format"]:
            case 1:
                return cls(
                    restore_id=data["id"],
                    backup_id=data["backup_id"],
                    database=data["database"],
                    mode=Mode(data["mode"]),
                    target=data["target"],
                    state=RestoreState(data["state"]),
                    beside=data["beside"],
                    beside_oid=data["beside_oid"],
                    target_oid=data["target_oid"],
                    target_allowed=data["target_allowed"],
                    kept_as=data["kept_as"],
                    started_at=from_required_text(data["started_at"]),
                    ended_at=from_text(data["ended_at"]),
                    job_id=data["job_id"],
                    by=data["by"],
                    tables_compared=data["tables_compared"],
                    tables_equal=data["tables_equal"],
                    rows_compared=data["rows_compared"],
                    # These two were not in the first records.
                    manifest=data.get("manifest", True),
                    loader=data.get("loader", ""),
                    owners_kept=data["owners_kept"],
                    grants_kept=data["grants_kept"],
                    downtime_ms=data["downtime_ms"],
                    error=data["error"],
                    on=data.get("on", ""),
                    snapshot_id=data.get("snapshot_id", ""),
                    tables=tuple(data.get("tables", ())),
                    transaction=data.get("transaction", ""),
                    merged=data.get("merged", {}),
                    undoes=data.get("undoes", ""),
                    undone_by=data.get("undone_by", ""),
                    kept_dropped_at=from_text(data.get("kept_dropped_at")),
                )
            case newer:
                raise InvalidRecord(say("The restore's format %(format)s is newer than this program.", format=newer))
