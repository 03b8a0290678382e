"""How lines of the audit log hold on to each other: each has its own SHA-256 and that of the line before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from storage.clock import from_required_text, to_text

START = "0" * 64
"""What the first line holds in place of the line before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the audit log."""

    number: int
    at: datetime
    action: str
    actor: str
    subject: str = ""
    origin: str = ""
    """The client's address, or `terminal`; '' for what pghaven did by itself."""
    result: str = "ok"
    facts: Mapping[str, Any] = field(default_factory=dict)
    before: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at": to_text(self.at),
            "action": self.action,
            "actor": self.actor,
            "subject": self.subject,
            "origin": self.origin,
            "result": self.result,
            "facts": dict(self.facts),
            "before": self.before,
            "hash": self.hash,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Event:
        """Raises KeyError, TypeError or ValueError for what is no line of ours."""
        return cls(
            **{
                **data,
                "facts": dict(data["facts"]),
                "number": int(data["number"]),
                "at": from_required_text(data["at"]),
            }
        )


def canonical(data: Mapping[str, Any]) -> bytes:
    """The one way in which these facts can be written."""
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def hash_of(data: Mapping[str, Any]) -> str:
    """The SHA-256 that belongs to a line: over everything in it but the hash itself."""
    return hashlib.sha256(canonical({name: value for name, value in data.items() if name != "hash"})).hexdigest()


def sealed(data: Mapping[str, Any]) -> bytes:
    """The whole line, its hash in it, without its end."""
    return canonical({**data, "hash": hash_of(data)})


def read(line: bytes) -> Event:
    """A line as it was written. Raises ValueError, saying why, for one that was not written so."""
    try:
        data = json.loads(line)
        event = Event.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("it is no event") from error
    if hash_of(data) != event.hash or canonical(data) != line:
        raise ValueError("its SHA-256 is another")
    return event


def glance(line: bytes) -> Event | None:
    """The event of a line, whether it is as it was written or not; None where there is none."""
    try:
        return Event.from_json(json.loads(line))
    except (KeyError, TypeError, ValueError):
        return None
