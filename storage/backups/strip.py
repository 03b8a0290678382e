"""One cell a day: how the backups of a database went, the worst result of the day first. Decides only; pages draw it.

A backup belongs to the day on which it was started, in the instance's zone; so one that runs over midnight, or through
a night in which the clocks change, has one day and keeps it. A cell looks at its own day only: what the past shows
does not change because of what came after, but for a file that was found damaged or missing since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from storage.backups.record import BackupRecord, BackupState
from storage.jobs.model import Job, JobKind
from storage.schedules.slots import Slot, SlotState


class DayState(StrEnum):
    """From the least to the worst; running is shown over all of them."""

    BEFORE = "before"
    """Before the first backup of the database was tried."""
    NOTHING = "nothing"
    """No backup was started on this day, though there had been some before."""
    TRASHED = "trashed"
    """The backups of this day were good, and are in the trash or erased since."""
    COMPLETE = "complete"
    WARNING = "warning"
    """Look at it: one failed and a good one followed, or one was cancelled or interrupted and none followed; or a
    moment of the schedule was missed beside good ones."""
    MISSED = "missed"
    """A moment of the schedule passed while pghaven did not run, and nothing else was taken on this day."""
    FAILED = "failed"
    DAMAGED = "damaged"
    """A backup of this day is no longer what was written, or no longer there."""
    RUNNING = "running"


_STOPPED = (BackupState.CANCELLED, BackupState.INTERRUPTED)
_GOOD_THEN = (BackupState.COMPLETE, BackupState.TRASHED, BackupState.ERASED)
_GONE_BAD = (BackupState.DAMAGED, BackupState.MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One day, with what its label says; or several days, beginning with `day`, where one could not be told apart."""

    day: date
    days: int = 1
    state: DayState
    counts: Mapping[BackupState, int] = field(default_factory=dict)
    bytes: int | None = None
    """Of the day's newest good backup, as is `seconds`."""
    seconds: float | None = None
    backup_id: str = ""
    """The one backup that the cell may open: the day's only one. '' when there are none or several."""
    job_id: str = ""
    """The take that is running."""
    missed: int = 0
    """Moments of the schedule that passed while pghaven did not run."""
    skipped: int = 0
    """Moments of the schedule at which the backup before was still running."""

    @property
    def last_day(self) -> date:
        return self.day + timedelta(days=self.days - 1)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def last_days(today: date, days: int) -> list[date]:
    """`days` dates, oldest first, the last of them today."""
    return [today - timedelta(days=back) for back in range(days - 1, -1, -1)]


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day, in UTC."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def strip(
    records: Iterable[BackupRecord],
    jobs: Iterable[Job] = (),
    slots: Iterable[Slot] = (),
    *,
    today: date,
    zone: ZoneInfo,
    days: int = 30,
) -> tuple[Cell, ...]:
    """The cells of one database, oldest first. `records` are all it has: the oldest says where its history begins.
    `slots` are the moments of its schedule that were missed or skipped."""
    shown = last_days(today, days)
    slots = tuple(slots)
    # An hour more than needed: where the clocks change at midnight a day may begin twice. day_of decides.
    horizon = start_of(shown[0], zone) - timedelta(hours=1)
    by_day: dict[date, list[BackupRecord]] = {}
    first: datetime | None = None
    for record in records:
        if not record.ours:
            continue
        first = record.started_at if first is None else min(first, record.started_at)
        if record.started_at >= horizon:
            by_day.setdefault(day_of(record.started_at, zone), []).append(record)
    running = {
        day_of(job.started_at or job.requested_at, zone): job.job_id
        for job in jobs
        if job.kind is JobKind.TAKE and not job.ended
    }
    missed, skipped = _by_day(slots, SlotState.MISSED, zone), _by_day(slots, SlotState.SKIPPED, zone)
    beginning = day_of(first, zone) if first else min(running, default=None)
    return tuple(
        _with_slots(
            _cell(day, by_day.get(day, []), job_id=running.get(day, ""), before=beginning is None or day < beginning),
            missed=missed[day],
            skipped=skipped[day],
        )
        for day in shown
    )


def _by_day(slots: Iterable[Slot], state: SlotState, zone: ZoneInfo) -> Counter[date]:
    return Counter(day_of(slot.at, zone) for slot in slots if slot.state is state)


def _with_slots(cell: Cell, *, missed: int, skipped: int) -> Cell:
    if not missed and not skipped:
        return cell
    state = cell.state
    if missed and state in (DayState.NOTHING, DayState.BEFORE):
        state = DayState.MISSED
    elif missed and state in (DayState.COMPLETE, DayState.TRASHED):
        state = DayState.WARNING
    return replace(cell, state=state, missed=missed, skipped=skipped)


def worst(states: Iterable[DayState]) -> DayState:
    """The state that a day of several databases, or several days, is shown with."""
    order = list(DayState)
    return max(states, key=order.index, default=DayState.BEFORE)


def _cell(day: date, records: list[BackupRecord], *, job_id: str, before: bool) -> Cell:
    if not records and not job_id:  # most days of a year, where a database is young
        return Cell(day=day, state=DayState.BEFORE if before else DayState.NOTHING)
    newest_first = sorted(records, key=lambda record: record.started_at, reverse=True)
    good = next((record for record in newest_first if record.good), None)
    running = next((record for record in newest_first if record.state is BackupState.TAKING), None)
    counts: dict[BackupState, int] = {}  # a Counter takes three times as long, and a year has many days
    for record in records:
        counts[record.state] = counts.get(record.state, 0) + 1
    return Cell(
        day=day,
        state=_state(newest_first, running=bool(job_id or running)),
        counts=counts,
        bytes=good.bytes if good else None,
        seconds=good.seconds if good else None,
        backup_id=records[0].backup_id if len(records) == 1 else "",
        job_id=job_id or (running.job_id if running else ""),
    )


def _state(newest_first: list[BackupRecord], *, running: bool) -> DayState:
    if running:
        return DayState.RUNNING
    if not newest_first:
        return DayState.NOTHING
    states = [BackupState.TRASHED if record.let_go else record.state for record in newest_first]
    if any(state in _GONE_BAD for state in states):
        return DayState.DAMAGED
    # What came after the newest good one was not made good again on this day.
    after_good = states[: next((place for place, state in enumerate(states) if state in _GOOD_THEN), len(states))]
    if BackupState.FAILED in after_good:
        return DayState.FAILED
    if BackupState.FAILED in states or any(state in _STOPPED for state in after_good):
        return DayState.WARNING
    return DayState.COMPLETE if BackupState.COMPLETE in states else DayState.TRASHED
