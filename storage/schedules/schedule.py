"""The schedule of one database: when it is backed up by itself. Records are facts: they are replaced, never edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from storage.clock import from_required_text, from_text, to_text
from storage.errors import Invalid, InvalidRecord, say
from storage.schedules import cron


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    database: str
    """The registered name."""
    expression: str = cron.DEFAULT
    """Cron's five fields; `cron` reads them."""
    zone: str = "UTC"
    counts_from: datetime
    """Moments before it are nobody's: the schedule was made, changed or resumed then."""
    decided_until: datetime
    """What is to be done was decided for every moment up to this one."""
    paused_until: datetime | None = None
    ping_url: str = ""
    """What is asked for when a scheduled backup begins and ends; '' for nothing."""
    changed_by: str = ""
    """'' as long as it is the one that pghaven made by itself."""

    def with_(self, **changes: Any) -> Schedule:
        return replace(self, **changes)

    @property
    def pause_ended(self) -> datetime | None:
        """The last moment of the pause: a slot at its very end runs."""
        return None if self.paused_until is None else self.paused_until - timedelta(microseconds=1)

    def paused(self, now: datetime) -> bool:
        return self.paused_until is not None and now < self.paused_until

    def runs(self, now: datetime, count: int = 5) -> tuple[cron.Run, ...]:
        """The next runs; those of a paused schedule come after its pause."""
        after = self.pause_ended if self.pause_ended is not None and self.paused(now) else now
        return cron.runs(self.expression, self.zone, after=after, count=count)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "database": self.database,
            "cron": self.expression,
            "zone": self.zone,
            "counts_from": to_text(self.counts_from),
            "decided_until": to_text(self.decided_until),
            "paused_until": to_text(self.paused_until),
            "ping_url": self.ping_url,
            "changed_by": self.changed_by,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schedule:
        match data["format"]:
            case 1:
                try:
                    expression, zone = cron.checked_expression(data["cron"]), cron.checked_zone(data["zone"])
                except Invalid as error:
                    raise InvalidRecord(error.cause) from error
                return cls(
                    database=data["database"],
                    expression=expression,
                    zone=zone,
                    counts_from=from_required_text(data["counts_from"]),
                    decided_until=from_required_text(data["decided_until"]),
                    paused_until=from_text(data["paused_until"]),
                    ping_url=data.get("ping_url", ""),
                    changed_by=data["changed_by"],
                )
            case newer:
                raise InvalidRecord(say("The schedule's format %(format)s is newer than this program.", format=newer))
