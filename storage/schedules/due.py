"""What is due: which moments of a schedule have come, and what each of them is now. Decides only, from facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.schedules import cron
from storage.schedules.schedule import Schedule
from storage.schedules.slots import Slot, SlotState

ON_TIME = timedelta(minutes=2)
"""What runs within it is not called late."""
REMEMBERED = timedelta(days=31)
"""How far back moments are noted that passed while pghaven did not run: as far as the strip shows."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be written down, and the one slot that is to be run, which is among it."""

    missed: tuple[Slot, ...] = ()
    run: Slot | None = None
    looked_until: datetime | None = None
    """The newest moment that was looked at."""

    @property
    def nothing(self) -> bool:
        return self.looked_until is None


def begins(schedule: Schedule, now: datetime, *, added_at: datetime | None = None) -> datetime:
    """The moment after which slots are looked at.

    A moment after `now` was written by a clock that went wrong, and counts for nothing: a clock that was set back
    would otherwise end the backups until it had caught up.
    """
    floors = (schedule.counts_from, schedule.pause_ended, added_at, now - REMEMBERED)
    known = [moment for moment in floors if moment is not None and moment <= now]
    return max([min(schedule.decided_until, now), *known])


def due(
    schedule: Schedule,
    known: Mapping[datetime, Slot],
    *,
    now: datetime,
    window: timedelta,
    added_at: datetime | None = None,
) -> Due:
    """Decide the moments up to `now`, of which `known` are the slots that are there already.

    The newest one runs, late if need be, as long as it is no older than `window`; those before it were missed. A slot
    for which a job was asked for is never decided again.
    """
    if schedule.paused(now):
        return Due()
    come = []
    for at in cron.moments(schedule.expression, schedule.zone, after=begins(schedule, now, added_at=added_at)):
        if at > now:
            break
        come.append(at)
    if not come:
        return Due()
    open_ones = [at for at in come if not _settled(known.get(at), now)]
    newest = come[-1]
    run = None
    if open_ones and open_ones[-1] == newest and now - newest <= window:
        claimed = known.get(newest)
        late = now - newest > ON_TIME
        run = Slot(
            at=newest,
            state=SlotState.RUN,
            decided_at=now,
            caught_up=claimed.caught_up if claimed and claimed.state is SlotState.RUN else late,
        )
    missed = tuple(
        Slot(at=at, state=SlotState.MISSED, decided_at=now) for at in open_ones if run is None or at != run.at
    )
    return Due(missed, run, newest)


def _settled(slot: Slot | None, now: datetime) -> bool:
    if slot is None:
        return False
    if slot.state is SlotState.RUN:
        return slot.job_id != ""
    return slot.decided_at <= now
