"""What the rules are told: values that others read from their records. Nothing here knows where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from storage.alerts.model import Event, checked_format
from storage.clock import from_required_text, from_text, to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One backup: its size, and the rows of the tables whose rows are in it."""

    at: datetime
    bytes: int
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a job ended. `kind` and `state` are the words of jobs."""

    kind: str
    database: str
    state: str
    at: datetime
    target: str = ""
    """The database that a restore made or replaced."""
    source: str = ""
    """The database that the restored backup is of."""
    mode: str = ""
    """What a restore did, in the words of its request."""
    backup_at: datetime | None = None
    """When the restored backup was taken, or uploaded."""
    by: str = ""
    uploaded: bool = False
    """The restored archive was uploaded."""
    destination: str = ""
    """Where a copy was to be made, or fetched from."""
    error: Mapping[str, Any] | None = None
    """`StorageError.to_json`"""
    newest_good_at: datetime | None = None
    taken: Taken | None = None
    before: Taken | None = None
    """The good backup of the same sort before the one that was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseLook:
    """How one database stands at the minute's look."""

    name: str
    newest_good_at: datetime | None = None
    late: bool = False
    missed_at: datetime | None = None
    """The newest slot of its schedule for which no backup was taken."""
    damaged: bool = False
    """The newest backup that was taken whole is damaged or missing."""
    proven_at: datetime | None = None
    """When a backup was last restored for proof; what proof is measured from where there was none yet."""
    good: int = 0
    failed: int = 0
    """Backups of the last seven days, for the letter."""
    bytes: int = 0
    """Of all good backups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    at: datetime
    databases: tuple[DatabaseLook, ...] = ()
    disk_free: int | None = None
    disk_total: int | None = None
    audit_faults: int = 0
    """Places at which the audit log is not as it was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that is wrong and was told. It is told again after a day, and once more when it is well again."""

    event: Event
    database: str
    since: datetime
    told_at: datetime
    count: int = 1

    def to_json(self) -> dict[str, Any]:
        return {
            "event": self.event.value,
            "database": self.database,
            "since": to_text(self.since),
            "told_at": to_text(self.told_at),
            "count": self.count,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trouble:
        return cls(
            event=Event(data["event"]),
            database=data["database"],
            since=from_required_text(data["since"]),
            told_at=from_required_text(data["told_at"]),
            count=data["count"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the rules remember from one time to the next."""

    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    letter_at: datetime | None = None
    """When the last weekly letter was due."""

    def with_trouble(self, key: str, trouble: Trouble) -> Standing:
        return replace(self, troubles={**self.troubles, key: trouble})

    def without(self, key: str) -> Standing:
        return replace(self, troubles={known: one for known, one in self.troubles.items() if known != key})

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "troubles": {key: trouble.to_json() for key, trouble in self.troubles.items()},
            "letter_at": to_text(self.letter_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Standing:
        checked_format(data)
        return cls(
            troubles={key: Trouble.from_json(trouble) for key, trouble in data["troubles"].items()},
            letter_at=from_text(data["letter_at"]),
        )
