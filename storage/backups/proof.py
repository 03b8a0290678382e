"""What came of proving a backup: kept in its record. How it is proven, `storage.proofs` knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from storage.clock import from_required_text, from_text, to_text
from storage.errors import Message


class Outcome(StrEnum):
    """How far a proof went."""

    WHOLE = "whole"
    """Everything was restored, and every table is equal to the manifest."""
    PART = "part"
    """What the scratch server could take was restored and is equal; `missing` names the rest."""
    FAILED = "failed"
    """It did not restore, or what came out is not what the manifest says."""
    UNTRIED = "untried"
    """The scratch server or its programs were not fit for it: nothing is said of the archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One restore into a throw-away database, compared with the manifest."""

    at: datetime
    """When it ended."""
    outcome: Outcome
    seconds: float
    server_version: str = ""
    """Of the server that it was restored on."""
    program: str = ""
    """For example pg_restore 18.1."""
    tables: int = 0
    """How many tables were compared, and were equal where the proof is good."""
    rows: int = 0
    missing: tuple[Message, ...] = ()
    """What the scratch server could not take, for example: extension vector."""
    without: tuple[str, ...] = ()
    """schema.table of what could not be compared because of that."""
    same_schema: bool | None = None
    """Whether the schema's fingerprint was equal, too; None where it cannot be."""
    indexes_on_empty: int = 0
    """How many indexes were made on emptied tables, after the comparison (`storage.proofs.lightly`)."""
    certificate: str = ""
    """SHA-256 of the certificate (`storage.proofs.certificate`); '' without one."""
    job_id: str = ""
    by: str = ""
    reason: Mapping[str, Any] | None = None
    """`StorageError.to_json` where it failed or could not be tried."""
    tried_at: datetime | None = None
    """When a later proof could not be tried; this one still holds."""

    @property
    def good(self) -> bool:
        """Whether the backup is proven, whole or in part."""
        return self.outcome in (Outcome.WHOLE, Outcome.PART)

    @property
    def last_tried(self) -> datetime:
        return self.tried_at or self.at

    def to_json(self) -> dict[str, Any]:
        return {
            "at": to_text(self.at),
            "outcome": self.outcome.value,
            "good": self.good,
            "seconds": self.seconds,
            "server_version": self.server_version,
            "program": self.program,
            "tables": self.tables,
            "rows": self.rows,
            "missing": [message.to_json() for message in self.missing],
            "without": list(self.without),
            "same_schema": self.same_schema,
            "indexes_on_empty": self.indexes_on_empty,
            "certificate": self.certificate,
            "job_id": self.job_id,
            "by": self.by,
            "reason": self.reason,
            "tried_at": to_text(self.tried_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proof:
        return cls(
            at=from_required_text(data["at"]),
            outcome=Outcome(data["outcome"]),
            seconds=data["seconds"],
            server_version=data["server_version"],
            program=data["program"],
            tables=data["tables"],
            rows=data["rows"],
            missing=tuple(Message.from_json(message) for message in data["missing"]),
            without=tuple(data["without"]),
            same_schema=data["same_schema"],
            indexes_on_empty=data.get("indexes_on_empty", 0),
            certificate=data["certificate"],
            job_id=data["job_id"],
            by=data["by"],
            reason=data["reason"],
            tried_at=from_text(data["tried_at"]),
        )
