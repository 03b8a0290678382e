"""What is told: the events that an alert may be about, and the alert itself. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from storage.clock import from_required_text, to_text
from storage.errors import InvalidRecord, Message, say


class Event(StrEnum):
    """What a target can be bound to, in the order in which the page lists it; and the test, which needs no binding."""

    FAILED = "failed"
    RECOVERED = "recovered"
    LATE = "late"
    NOT_PROVEN = "not_proven"
    DISK = "disk"
    DROPPED = "dropped"
    RESTORED = "restored"
    LETTER = "letter"
    TEST = "test"


RULES: Mapping[Event, Message] = {
    Event.FAILED: say("Something failed: a backup, a restore, a proof, a copy"),
    Event.RECOVERED: say("Fixed: what was wrong is well again"),
    Event.LATE: say("A backup is late or was missed"),
    Event.NOT_PROVEN: say("A database was not proven for too long"),
    Event.DISK: say("The disk is nearly full"),
    Event.DROPPED: say("A backup is suddenly much smaller, or a table lost most of its rows"),
    Event.RESTORED: say("A restore is done"),
    Event.LETTER: say("The weekly letter, also when all is well"),
}
"""The rules as pages and the terminal say them. What is not in this table cannot be switched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing to tell. A fact of its sentences whose name ends in _at is a time, as `clock.to_text` has it."""

    event: Event
    at: datetime
    title: Message
    lines: tuple[Message, ...] = ()
    database: str = ""
    words: str = ""
    """PostgreSQL's own words, or a program's."""

    def to_json(self) -> dict[str, Any]:
        return {
            "event": self.event.value,
            "at": to_text(self.at),
            "title": self.title.to_json(),
            "lines": [line.to_json() for line in self.lines],
            "database": self.database,
            "words": self.words,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Alert:
        return cls(
            event=Event(data["event"]),
            at=from_required_text(data["at"]),
            title=Message.from_json(data["title"]),
            lines=tuple(Message.from_json(line) for line in data["lines"]),
            database=data["database"],
            words=data["words"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on something is worth an alert."""

    not_proven_days: int = 14
    disk_free_percent: int = 10
    drop_percent: int = 50
    """By how much a backup or a table must have shrunk since the backup before."""

    def to_json(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Limits:
        return cls(**{name: int(data[name]) for name in cls.__slots__ if name in data})


def checked_format(data: Mapping[str, Any]) -> None:
    if data["format"] != 1:
        raise InvalidRecord(say("The alerts' format %(format)s is newer than this program.", format=data["format"]))
