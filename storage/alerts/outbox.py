"""What is to be told, on disk until it is: one record for each alert, with how far each of its deliveries is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from storage.alerts.model import Alert, checked_format
from storage.clock import from_text, to_text
from storage.errors import Message, StorageError
from storage.identifiers import new_id
from storage.jsonfiles import Records

BACK_OFF = tuple(
    timedelta(seconds=seconds) for seconds in (20, 60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 8 * 3600)
)
"""How long after each failed attempt the next one is made. After the last, about a day later, it is given up."""
MOST_KEPT = 100
MOST_WAITING = 500


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One alert on its way to one target."""

    target_id: str
    target: str
    """The target's name at that time."""
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    last_at: datetime | None = None
    next_at: datetime | None = None
    reason: Message | None = None
    advice: Message | None = None
    words: str = ""
    left: tuple[str, ...] = ()
    """Of several recipients, those whom the last attempt did not reach; empty means all."""

    def delivered(self, now: datetime) -> Delivery:
        return Delivery(
            target_id=self.target_id,
            target=self.target,
            state=DeliveryState.DELIVERED,
            attempts=self.attempts + 1,
            last_at=now,
        )

    def refused(self, error: StorageError, now: datetime, *, again: bool = True) -> Delivery:
        more = again and self.attempts < len(BACK_OFF)
        return replace(
            self,
            state=DeliveryState.WAITING if more else DeliveryState.FAILED,
            attempts=self.attempts + 1,
            last_at=now,
            next_at=now + BACK_OFF[self.attempts] if more else None,
            reason=error.cause,
            advice=error.advice,
            words=error.words,
            left=getattr(error, "left", ()) or self.left,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "target_id": self.target_id,
            "target": self.target,
            "state": self.state.value,
            "attempts": self.attempts,
            "last_at": to_text(self.last_at),
            "next_at": to_text(self.next_at),
            "reason": self.reason.to_json() if self.reason else None,
            "advice": self.advice.to_json() if self.advice else None,
            "words": self.words,
            "left": list(self.left),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Delivery:
        return cls(
            target_id=data["target_id"],
            target=data["target"],
            state=DeliveryState(data["state"]),
            attempts=data["attempts"],
            last_at=from_text(data["last_at"]),
            next_at=from_text(data["next_at"]),
            reason=Message.from_json(data["reason"]) if data["reason"] else None,
            advice=Message.from_json(data["advice"]) if data["advice"] else None,
            words=data["words"],
            left=tuple(data.get("left", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An alert and its deliveries; None as long as nobody has looked whom it is for."""

    entry_id: str
    alert: Alert
    deliveries: tuple[Delivery, ...] | None = None

    @property
    def done(self) -> bool:
        return self.deliveries is not None and all(one.state is not DeliveryState.WAITING for one in self.deliveries)

    def with_delivery(self, delivery: Delivery) -> Entry:
        assert self.deliveries is not None, "an entry that nobody has addressed"
        return replace(
            self,
            deliveries=tuple(delivery if one.target_id == delivery.target_id else one for one in self.deliveries),
        )

    def to_json(self) -> dict[str, Any]:
        deliveries = None if self.deliveries is None else [delivery.to_json() for delivery in self.deliveries]
        return {"format": 1, "id": self.entry_id, "alert": self.alert.to_json(), "deliveries": deliveries}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Entry:
        checked_format(data)
        deliveries = data["deliveries"]
        return cls(
            entry_id=data["id"],
            alert=Alert.from_json(data["alert"]),
            deliveries=None if deliveries is None else tuple(Delivery.from_json(one) for one in deliveries),
        )


def _records(folder: Path) -> Records[Entry]:
    return Records(folder, decode=Entry.from_json, encode=Entry.to_json, identify=lambda entry: entry.entry_id)


class Outbox:
    """`outbox` holds what is on its way, `sent` the newest of what is done."""

    def __init__(self, folder: Path) -> None:
        self._waiting, self._sent = _records(folder / "outbox"), _records(folder / "sent")

    def put(self, alerts: Iterable[Alert]) -> None:
        """Raises OSError when even the reserve has no room."""
        for alert in alerts:
            self._waiting.save(Entry(entry_id=new_id(alert.at), alert=alert))
        # Where no web process ever runs, nobody takes them away.
        for old in self._waiting.all()[:-MOST_WAITING]:
            self._waiting.delete(old.entry_id)

    def waiting(self) -> list[Entry]:
        """Oldest first."""
        return self._waiting.all()

    def save(self, entry: Entry) -> None:
        """Keep how far an entry is; one that is done leaves the outbox."""
        if not entry.done:
            self._waiting.save(entry)
            return
        if entry.deliveries:
            self._sent.save(entry)
        self._waiting.delete(entry.entry_id)
        for old in self._sent.all()[:-MOST_KEPT]:
            self._sent.delete(old.entry_id)

    def newest_first(self) -> list[Entry]:
        """What is on its way and what is done, each once."""
        found = {entry.entry_id: entry for entry in (*self._waiting.all(), *self._sent.all())}
        return [found[entry_id] for entry_id in sorted(found, reverse=True)]
