"""What is known of a backup's copies at destinations. Values only; `copying` makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from storage.clock import from_text, to_text

FIRST_PAUSE = timedelta(minutes=2)
LONGEST_PAUSE = timedelta(hours=6)


class CopyState(StrEnum):
    COMPLETE = "complete"
    FAILED = "failed"
    """The last try failed; it is tried again."""
    DAMAGED = "damaged"
    """What lies there is not what was written."""
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
    return copy.state is CopyState.FAILED and copy.at is not None and now >= copy.at + pause(copy.tries)


@dataclass(frozen=True, slots=True)
class Kept:
    """What decides whether a copy stays at its destination."""

    backup_id: str
    database: str
    taken_at: datetime
    pinned: bool


def expired(copies: Iterable[Kept], *, keep_days: int, now: datetime) -> list[Kept]:
    """The copies of one destination that are older than it keeps them; never the newest of a database, never a pinned
    one, and none where `keep_days` is 0."""
    if not keep_days:
        return []
    newest: dict[str, Kept] = {}
    everything = sorted(copies, key=lambda copy: copy.taken_at)
    for copy in everything:
        newest[copy.database] = copy
    oldest = now - timedelta(days=keep_days)
    return [
        copy for copy in everything if copy.taken_at < oldest and not copy.pinned and newest[copy.database] is not copy
    ]
