"""What is known of a backup's copies at destinations. Values only; `copying` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from storage.clock import from_text, to_text

FIRST_PAUSE = timedelta(minutes=2)
LONGEST_PAUSE = timedelta(hours=6)
RECORD = ".json"
"""What is added to a copy's key for the record of its backup, which lies beside it."""


class CopyState(StrEnum):
    COMPLETE = "complete"
    FAILED = "failed"
    """The last try failed; it is tried again."""
    DAMAGED = "damaged"
    """What lies there is not what was written; it is written anew."""
    DELETED = "deleted"
    """Older than the destination keeps its copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One copy of one archive. SHA-256 and bytes are those of what lies there, encrypted or not."""

    destination: str
    state: CopyState
    key: str = ""
    bytes: int = 0
    sha256: str = ""
    encrypted: bool = False
    at: datetime | None = None
    """When it was written, or last tried."""
    checked_at: datetime | None = None
    """When it was last read in full and found equal."""
    tries: int = 0
    """Failed tries in a row."""
    error: Mapping[str, Any] | None = None
    """`StorageError.to_json` of the last failed try."""

    def with_(self, **changes: Any) -> Copy:
        return replace(self, **changes)

    @property
    def again_at(self) -> datetime | None:
        """When it is made anew, because it did not come off or is no longer what was written; else None."""
        if self.state not in (CopyState.FAILED, CopyState.DAMAGED) or self.at is None:
            return None
        return self.at + pause(self.tries)

    def to_json(self) -> dict[str, Any]:
        return {
            "destination": self.destination,
            "state": self.state.value,
            "key": self.key,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "encrypted": self.encrypted,
            "at": to_text(self.at),
            "checked_at": to_text(self.checked_at),
            "tries": self.tries,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Copy:
        values = dict(data)
        values |= {
            "state": CopyState(data["state"]),
            "at": from_text(data["at"]),
            "checked_at": from_text(data["checked_at"]),
        }
        return cls(**values)


def pause(tries: int) -> timedelta:
    """How long after the last of `tries` failed ones the next is made."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(tries - 1, 20)) if tries else timedelta(0)


def due_again(copy: Copy, now: datetime) -> bool:
    """Whether a copy is to be made anew."""
    return copy.again_at is not None and now >= copy.again_at
