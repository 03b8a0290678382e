"""How long the rows of each log table are kept by themselves, and when the next night comes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from storage import jsonfiles
from storage.clock import Clock, from_required_text, from_text, to_text
from storage.errors import Invalid, InvalidRecord, NotFound, say
from storage.identifiers import checked_name
from storage.jsonfiles import Records
from storage.logs.cleanup.request import MOST_DAYS

logger = logging.getLogger(__name__)

NIGHTLY = time(4, 30)
"""In the zone of the instance: after the backups of the night, so that the newest has what goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRetention:
    database: str
    days: Mapping[str, int] = field(default_factory=dict)
    """By table, as the map names it; a table that is not here is kept for ever."""
    archive: str | None = None
    """The destination where rows are archived first, "" for the data folder; None: they are not archived."""
    changed_at: datetime | None = None
    changed_by: str = ""

    def checked(self) -> LogRetention:
        """The rule itself. Raises Invalid for days that cannot be."""
        for table, days in self.days.items():
            if not 1 <= days <= MOST_DAYS:
                raise Invalid(
                    say("The rows of %(table)s can be kept from 1 to %(most)s days.", table=table, most=MOST_DAYS)
                )
        return self

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "database": self.database,
            "days": dict(self.days),
            "archive": self.archive,
            "changed_at": to_text(self.changed_at),
            "changed_by": self.changed_by,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LogRetention:
        match data["format"]:
            case 1:
                return cls(
                    database=data["database"],
                    days={str(table): int(days) for table, days in data["days"].items()},
                    archive=data["archive"],
                    changed_at=from_text(data["changed_at"]),
                    changed_by=data["changed_by"],
                ).checked()
            case newer:
                raise InvalidRecord(say("The rule's format %(format)s is newer than this program.", format=newer))


class LogRetentions:
    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._clock = clock
        self._records: Records[LogRetention] = Records(
            folder, decode=LogRetention.from_json, encode=LogRetention.to_json, identify=lambda rule: rule.database
        )

    def of(self, database: str) -> LogRetention:
        """The rule of a database; without one, nothing is deleted by itself."""
        try:
            return self._records.get(checked_name(database))
        except NotFound:
            return LogRetention(database=database)

    def change(self, database: str, days: Mapping[str, int], *, archive: str | None, by: str) -> LogRetention:
        """Keep the rows of these tables for so many days, and of others for ever. Raises Invalid."""
        rule = replace(
            self.of(database), days=dict(days), archive=archive, changed_at=self._clock(), changed_by=by
        ).checked()
        self._records.save(rule)
        return rule


class Nights:
    """Remembers the last nightly run, and knows the next."""

    def __init__(self, ran: Path, *, clock: Clock, zone: ZoneInfo) -> None:
        self._ran, self._clock, self._zone = ran, clock, zone

    def due(self) -> bool:
        """Whether a night has come that was not worked on; it is noted. The first look only begins to count."""
        now, last = self._clock(), self._last()
        if last is not None and now < self._after(last):
            return False
        jsonfiles.write(self._ran, {"format": 1, "at": to_text(now)})
        return last is not None

    def next(self) -> datetime:
        now = self._clock()
        return max(now, self._after(self._last() or now))

    def _after(self, moment: datetime) -> datetime:
        local = moment.astimezone(self._zone)
        night = datetime.combine(local.date(), NIGHTLY, tzinfo=self._zone)
        if night.astimezone(moment.tzinfo) <= moment:
            night = datetime.combine(local.date() + timedelta(days=1), NIGHTLY, tzinfo=self._zone)
        return night.astimezone(moment.tzinfo)

    def _last(self) -> datetime | None:
        try:
            return from_required_text(jsonfiles.read(self._ran)["at"])
        except FileNotFoundError:
            return None
        except (InvalidRecord, KeyError, TypeError, ValueError) as error:
            logger.warning("when logs were cleaned up last cannot be read: %s", error)
            return None
