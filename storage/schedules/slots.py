"""What became of every moment of a schedule: its slots, one file for each day of a database, in UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from storage.clock import from_required_text, from_text, to_text
from storage.errors import InvalidRecord, NotFound, say
from storage.jsonfiles import Records


class SlotState(StrEnum):
    RUN = "run"
    """A backup was asked for; its job says how it ended."""
    MISSED = "missed"
    """pghaven did not run then, and did not make up for it."""
    SKIPPED = "skipped"
    """The one before was still running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    at: datetime
    """The moment of the schedule, in UTC: its name."""
    state: SlotState
    decided_at: datetime
    job_id: str = ""
    """The backup's job; of a skipped slot the one that was still running. '' for a moment between claim and asking."""
    caught_up: bool = False
    """It ran later than it should, because pghaven did not run then."""
    running_since: datetime | None = None
    """Of a skipped slot: since when the one before had been running."""

    def with_(self, **changes: Any) -> Slot:
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        return {
            "at": to_text(self.at),
            "state": self.state.value,
            "decided_at": to_text(self.decided_at),
            "job_id": self.job_id,
            "caught_up": self.caught_up,
            "running_since": to_text(self.running_since),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Slot:
        return cls(
            at=from_required_text(data["at"]),
            state=SlotState(data["state"]),
            decided_at=from_required_text(data["decided_at"]),
            job_id=data["job_id"],
            caught_up=data["caught_up"],
            running_since=from_text(data["running_since"]),
        )


@dataclass(frozen=True, slots=True)
class _Day:
    day: str
    slots: Mapping[datetime, Slot]

    def to_json(self) -> dict[str, Any]:
        return {"format": 1, "day": self.day, "slots": [self.slots[at].to_json() for at in sorted(self.slots)]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> _Day:
        match data["format"]:
            case 1:
                slots = [Slot.from_json(slot) for slot in data["slots"]]
                return cls(data["day"], {slot.at: slot for slot in slots})
            case newer:
                raise InvalidRecord(say("The schedule's format %(format)s is newer than this program.", format=newer))


class Slots:
    """The slots of one database. Whoever writes holds the lock of the schedules."""

    def __init__(self, folder: Path) -> None:
        self._days: Records[_Day] = Records(
            folder, decode=_Day.from_json, encode=_Day.to_json, identify=lambda day: day.day
        )

    def save(self, slots: Iterable[Slot]) -> None:
        """Keep them durably, each in the place of what was known of the same moment."""
        changed: dict[str, list[Slot]] = {}
        for slot in slots:
            changed.setdefault(_day_of(slot.at), []).append(slot)
        for name, those in changed.items():
            self._days.save(_Day(name, {**self._day(name).slots, **{slot.at: slot for slot in those}}))

    def between(self, first: datetime, last: datetime) -> dict[datetime, Slot]:
        """Those from `first` to `last`, both included, by their moments."""
        found: dict[datetime, Slot] = {}
        days = (last.astimezone(UTC).date() - first.astimezone(UTC).date()).days
        for back in range(days + 1):
            day = self._day(_day_of(first + timedelta(days=back)))
            found |= {at: slot for at, slot in day.slots.items() if first <= at <= last}
        return found

    def newest(self, count: int, *, now: datetime) -> list[Slot]:
        """The last ones, newest first. Those of a clock that was wrong once are left out."""
        found: list[Slot] = []
        for day in reversed(self._days.all()):
            found += [day.slots[at] for at in sorted(day.slots, reverse=True) if at <= now]
            if len(found) >= count:
                break
        return found[:count]

    def _day(self, name: str) -> _Day:
        try:
            return self._days.get(name)
        except NotFound:
            return _Day(name, {})
        except InvalidRecord:
            self._days.all()  # puts it aside; what was decided is not decided again
            return _Day(name, {})


def _day_of(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
