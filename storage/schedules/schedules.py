"""The schedules of all databases: looked at, changed, paused. Every registered database has one, without being asked.

When they are due and what is done about it, `due` and `scheduler` say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from storage.clock import Clock
from storage.errors import Invalid, InvalidRecord, NotFound, say
from storage.jsonfiles import Records
from storage.locks.filelocks import FileLocks
from storage.schedules import cron, pings
from storage.schedules.schedule import Schedule
from storage.schedules.slots import Slot, Slots, SlotState

logger = logging.getLogger(__name__)

LEAST_PATIENCE = timedelta(hours=48)
"""Also of a schedule of every hour: one night in which pghaven did not run worries nobody."""
GRACE = timedelta(hours=25)
"""A night of it may be an hour longer than a day."""

Registered = Callable[[], Mapping[str, datetime | None]]
"""The names of the registered databases, and since when each has been there; None where that is not known."""


class Schedules:
    def __init__(self, folder: Path, *, locks: FileLocks, clock: Clock, zone: str, registered: Registered) -> None:
        """`zone` is that of the schedules that are made without asking."""
        self._folder, self._locks, self._clock, self._zone = folder, locks, clock, zone
        self.registered = registered
        self._records: Records[Schedule] = Records(
            folder,
            decode=Schedule.from_json,
            encode=Schedule.to_json,
            identify=lambda schedule: schedule.database,
            on_damaged=_say_damaged,
        )
        self._slots: dict[str, Slots] = {}

    def all(self) -> list[Schedule]:
        """Of the registered databases, in their order."""
        return [self._of(name) for name in self.registered()]

    def of(self, database: str) -> Schedule:
        """Raises NotFound when there is no such database."""
        if database not in self.registered():
            raise NotFound(say("There is no database “%(name)s” here.", name=database[:80]))
        return self._of(database)

    def make_missing(self) -> None:
        """Give a schedule to every database that has none."""
        for name in self.registered():
            if not self._records.path(name).exists():
                with self.changing():
                    if not self._records.path(name).exists():
                        self._records.save(self._default(name))

    def change(
        self, database: str, *, expression: str, zone: str = "", ping_url: str | None = None, by: str
    ) -> Schedule:
        """When it is backed up from now on; without a zone or a ping address the present one stays. Raises Invalid."""
        expression = cron.checked_expression(expression)
        ping_url = pings.checked_url(ping_url) if ping_url is not None else None
        with self.changing():
            present = self.of(database)
            now = self._clock()
            changed = present.with_(
                expression=expression,
                zone=cron.checked_zone(zone) if zone else present.zone,
                ping_url=present.ping_url if ping_url is None else ping_url,
                counts_from=now,
                decided_until=now,
                changed_by=by,
            )
            self._records.save(changed)
        return changed

    def pause(self, database: str, until: datetime, *, by: str) -> Schedule:
        """Have nothing run before `until`. Raises Invalid when that has passed."""
        with self.changing():
            if until <= self._clock():
                raise Invalid(say("The end of the pause has passed already."), advice=say("Choose a later day."))
            paused = self.of(database).with_(paused_until=until, changed_by=by)
            self._records.save(paused)
        return paused

    def resume(self, database: str, *, by: str) -> Schedule:
        """End a pause. What would have come during it is not made up for."""
        with self.changing():
            present, now = self.of(database), self._clock()
            if not present.paused(now):
                return present
            resumed = present.with_(paused_until=None, counts_from=now, decided_until=now, changed_by=by)
            self._records.save(resumed)
        return resumed

    def slots(self, database: str) -> Slots:
        """What became of its moments so far."""
        if database not in self._slots:
            self._records.path(database)  # raises NotFound for what cannot be part of a path
            self._slots[database] = Slots(self._folder / "slots" / database)
        return self._slots[database]

    def without_a_run(self, database: str, *, days: int = 31) -> list[Slot]:
        """The slots of the last days that were missed or skipped, oldest first: what a strip of days draws."""
        if not (self._folder / "slots" / database).is_dir():
            return []
        now = self._clock()
        slots = self.slots(database).between(now - timedelta(days=days), now)
        return [slots[at] for at in sorted(slots) if slots[at].state is not SlotState.RUN]

    def next_run(self, database: str) -> cron.Run | None:
        return next(iter(self.of(database).runs(self._clock(), count=1)), None)

    def late_after(self, database: str) -> timedelta:
        """How old its newest good backup may become: the longest wait of its schedule, and a night of grace."""
        schedule = self.of(database)
        wait = cron.longest_wait(schedule.expression, schedule.zone, after=self._clock())
        return max(LEAST_PATIENCE, wait + GRACE)

    def save(self, schedule: Schedule) -> None:
        """Keep how far it was decided. Only while `changing` is held."""
        self._records.save(schedule)

    def changing(self) -> AbstractContextManager[None]:
        """Hold what keeps two processes from deciding the same moment."""
        return self._locks.hold("schedules", holder="a change of the schedules", wait=True)

    def _of(self, database: str) -> Schedule:
        try:
            return self._records.get(database)
        except NotFound:
            return self._default(database)
        except InvalidRecord:
            self._records.all()  # puts it aside
            return self._default(database)

    def _default(self, database: str) -> Schedule:
        now = self._clock()
        return Schedule(database=database, zone=self._zone, counts_from=now, decided_until=now)


def _say_damaged(path: Path, error: InvalidRecord) -> None:
    logger.error("a schedule could not be read, was put aside in quarantine, and is the usual one now: %s", error)


def read_until(text: str, zone: str) -> datetime:
    """The end of a pause as it is typed: a day, meaning its beginning, or a day and a time, in the schedule's zone."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Invalid(
            say("“%(text)s” is not a day.", text=text[:40]), advice=say("Write it as 2026-12-24, or 2026-12-24T18:00.")
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Invalid(say("“%(text)s” is not a day.", text=text[:40])) from None
