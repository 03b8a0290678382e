"""When a schedule comes: its expression read strictly, its moments in a time zone, and what it means in words.

The expressions are cron's five fields, read as Debian's cron does: what is set for a certain time comes once a day,
also in the night in which the clocks change; what is set for every so many minutes or hours follows the real time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from storage.errors import Invalid, Message, say

DEFAULT = "0 2 * * *"
ALIASES: Mapping[str, str] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LONGEST = 200


class Note(StrEnum):
    """What the clocks do to a run."""

    MOVED = "moved"
    """Its time does not exist on that day: the clocks go forward over it, and it comes right afterwards."""
    ONCE = "once"
    """Its time comes twice on that day; it runs the first time only."""
    FIRST = "first"
    """Its time comes twice, and it runs both times: this is the first."""
    SECOND = "second"
    SHIFTED = "shifted"
    """The clocks were changed since the run before it."""


NOTES: Mapping[Note, Message] = {
    Note.MOVED: say("The clocks go forward over its time: it runs right afterwards."),
    Note.ONCE: say("The clocks go back, and its time comes twice: it runs the first time only."),
    Note.FIRST: say("The clocks go back, and this time comes twice: it runs both times, this is the first."),
    Note.SECOND: say("The clocks went back: this is the second run at this time."),
    Note.SHIFTED: say("The clocks were changed since the run before."),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A moment at which a schedule comes: in UTC, and as the clock of its zone shows it."""

    at: datetime
    local: datetime
    note: Note | None = None

    @property
    def offset(self) -> str:
        """UTC+01:00"""
        return "UTC" + self.local.isoformat()[-6:]


def checked_expression(text: str) -> str:
    """The expression with its aliases resolved and single spaces. Raises Invalid for what never comes, too."""
    expression = " ".join(text.split())
    expression = ALIASES.get(expression.lower(), expression)
    advice = say("Write minute, hour, day of the month, month and day of the week, for example 0 2 * * *.")
    if len(text) > LONGEST or len(expression.split()) != 5:
        raise Invalid(say("“%(cron)s” is not a schedule of five fields.", cron=text[:40]), advice=advice)
    try:
        coming = next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise Invalid(
            say("“%(cron)s” is not a schedule: %(reason)s.", cron=expression[:40], reason=str(error)), advice=advice
        ) from None
    if coming is None:
        raise Invalid(say("“%(cron)s” never comes.", cron=expression[:40]), advice=advice)
    return expression


def checked_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(
            say("“%(name)s” is not a time zone; use a name such as Europe/Berlin.", name=name[:80])
        ) from error
    return name


def moments(expression: str, zone: str, *, after: datetime) -> Iterator[datetime]:
    """The moments after `after`, in UTC, each once."""
    last = after
    for local in CronSim(expression, after.astimezone(_zone(zone))):
        # In the hour that comes twice the library begins again at the hour's first pass.
        at = local.astimezone(UTC)
        if at > last:
            yield at
            last = at


def runs(expression: str, zone: str, *, after: datetime, count: int = 5) -> tuple[Run, ...]:
    """The next moments, with what the clocks do to them."""
    found: list[Run] = []
    place = _zone(zone)
    before = after.astimezone(place).utcoffset()
    for at in islice(moments(expression, zone, after=after), count):
        local = at.astimezone(place)
        note = _note(expression, local) or (Note.SHIFTED if local.utcoffset() != before else None)
        found.append(Run(at, local, note))
        before = local.utcoffset()
    return tuple(found)


def in_words(expression: str) -> Message | None:
    """What a simple expression means; None for what has no short words."""
    minute, hour, day, month, weekday = expression.split()
    if month != "*":
        return None
    if _EVERY.fullmatch(minute) and (hour, day, weekday) == ("*", "*", "*"):
        return say("Every %(count)s minutes", count=int(minute[2:]))
    if not minute.isdigit():
        return None
    if (day, weekday) == ("*", "*") and hour == "*":
        return say("Every hour, at minute %(minute)s", minute=int(minute))
    if _EVERY.fullmatch(hour) and (day, weekday) == ("*", "*"):
        return say("Every %(count)s hours, at minute %(minute)s", count=int(hour[2:]), minute=int(minute))
    if not hour.isdigit():
        return None
    return _of_a_day(f"{int(hour):02}:{int(minute):02}", day, weekday)


def explained(expression: str) -> str:
    """What any expression means, in English."""
    return CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)).explain()


_EVERY = re.compile(r"\*/([2-9]|[1-5]\d)", re.ASCII)

WEEKDAYS: tuple[Message, ...] = (
    say("Sunday"),
    say("Monday"),
    say("Tuesday"),
    say("Wednesday"),
    say("Thursday"),
    say("Friday"),
    say("Saturday"),
)


def _of_a_day(time: str, day: str, weekday: str) -> Message | None:
    if (day, weekday) == ("*", "*"):
        return say("Every day at %(time)s", time=time)
    if day == "*" and weekday in ("1-5", "MON-FRI", "mon-fri"):
        return say("Monday to Friday at %(time)s", time=time)
    if day == "*" and weekday.isdigit():
        return say("Every %(day)s at %(time)s", day=WEEKDAYS[int(weekday) % 7], time=time)
    if day.isdigit() and weekday == "*":
        return say("On day %(day)s of every month at %(time)s", day=int(day), time=time)
    if day == "L" and weekday == "*":
        return say("On the last day of every month at %(time)s", time=time)
    return None


def _zone(name: str) -> tzinfo:
    # cronsim is twice as fast with this one, which needs no rules.
    return UTC if name == "UTC" else ZoneInfo(name)


def _note(expression: str, local: datetime) -> Note | None:
    asked = CronSim(expression, local)
    if local.minute not in asked.minutes or local.hour not in asked.hours:
        return Note.MOVED
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return None
    if not _follows_real_time(expression):
        return Note.ONCE
    return Note.SECOND if local.fold else Note.FIRST


def _follows_real_time(expression: str) -> bool:
    minute, hour, *_ = expression.split()
    return minute.startswith("*") or hour.startswith("*")


def longest_wait(expression: str, zone: str, *, after: datetime) -> timedelta:
    """The longest time between two of the next runs."""
    coming = list(islice(moments(expression, zone, after=after), 10))
    return max((later - earlier for earlier, later in pairwise(coming)), default=timedelta())
