"""Asks for the backups that are due, each once: a slot is claimed on disk before its job is asked for.

Whatever happens between the two, a crash or a full disk, the claim is found at the next look and the job asked for
then. `Asking` has to recognise a slot that it has been asked for before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.clock import Clock
from storage.crashpoints import crashpoint
from storage.errors import StorageError
from storage.schedules.due import begins, due
from storage.schedules.schedule import Schedule
from storage.schedules.schedules import Schedules
from storage.schedules.slots import Slot, SlotState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of asking for a slot's backup."""

    job_id: str
    busy_since: datetime | None = None
    """The backup of the slot before is still running, since then; nothing was asked for."""


Asking = Callable[[str, datetime], Asked]
"""Ask for the backup of a database that fills a slot. Raises StorageError when it cannot be asked for now."""


class Scheduler:
    def __init__(self, schedules: Schedules, *, ask: Asking, clock: Clock, window: timedelta) -> None:
        """`window`: how late a slot may run that came while pghaven did not run."""
        self._schedules, self._ask, self._clock, self._window = schedules, ask, clock, window
        self._refused: dict[str, str] = {}

    def look(self) -> None:
        """Have done what is due now. What fails for one database keeps no other from its backup."""
        self._schedules.make_missing()
        for name, added_at in self._schedules.registered().items():
            try:
                self._look_at(name, added_at)
            except Exception:
                logger.exception("the schedule of %s could not be looked at", name)

    def asked_again(self, name: str, at: datetime, job_id: str) -> None:
        """Remember that another job fills a slot now."""
        with self._schedules.changing():
            slots = self._schedules.slots(name)
            slots.save(slot.with_(job_id=job_id) for slot in slots.between(at, at).values())

    def _look_at(self, name: str, added_at: datetime | None) -> None:
        if not self._may_be_due(self._schedules.of(name), added_at):
            return
        with self._schedules.changing():
            # Read again: another process may have decided meanwhile.
            schedule, now = self._schedules.of(name), self._clock()
            slots = self._schedules.slots(name)
            known = slots.between(begins(schedule, now, added_at=added_at), now)
            decision = due(schedule, known, now=now, window=self._window, added_at=added_at)
            if decision.nothing:
                if now < schedule.decided_until:
                    self._schedules.save(schedule.with_(decided_until=now))
                return
            slots.save([*decision.missed, *([decision.run] if decision.run else [])])
            if decision.missed:
                logger.warning("schedule of %s: %s slots were missed", name, len(decision.missed))
            if decision.run is not None:
                crashpoint("slot:claimed")
                if (ended := self._run(name, decision.run)) is None:
                    return
                crashpoint("slot:asked")
                slots.save([ended])
            self._schedules.save(schedule.with_(decided_until=decision.looked_until))

    def _may_be_due(self, schedule: Schedule, added_at: datetime | None) -> bool:
        now = self._clock()
        if now < schedule.decided_until:
            return True
        return not due(schedule, {}, now=now, window=self._window, added_at=added_at).nothing

    def _run(self, name: str, slot: Slot) -> Slot | None:
        """The slot as it is after asking; None when it has to be asked for again."""
        try:
            asked = self._ask(name, slot.at)
        except StorageError as error:
            if self._refused.get(name) != str(error):
                logger.error("the scheduled backup of %s could not be asked for: %s", name, error)
            self._refused[name] = str(error)
            return None
        self._refused.pop(name, None)
        if asked.busy_since is None:
            return slot.with_(job_id=asked.job_id)
        logger.warning("schedule of %s: a slot is skipped, job %s is still running", name, asked.job_id)
        return slot.with_(state=SlotState.SKIPPED, job_id=asked.job_id, running_since=asked.busy_since, caught_up=False)
