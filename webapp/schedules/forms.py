"""Reads the form of a schedule: a preset with a time of day, or an expression of one's own, and a zone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.errors import Invalid, Message, say
from storage.schedules import cron, pings
from storage.schedules.schedule import Schedule

PRESETS: Mapping[str, tuple[Message, str]] = {
    "daily": (say("Every day"), "{minute} {hour} * * *"),
    "weekdays": (say("Monday to Friday"), "{minute} {hour} * * 1-5"),
    "weekly": (say("Every Sunday"), "{minute} {hour} * * 0"),
    "monthly": (say("On the first of every month"), "{minute} {hour} 1 * *"),
    "hourly": (say("Every hour"), "{minute} * * * *"),
    "custom": (say("As the expression says"), ""),
}
"""What can be chosen, with its words and its expression."""
USUAL_TIME = "02:00"
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleForm:
    """What was typed, what it means, and what is wrong with it, field by field."""

    preset: str
    time: str
    cron: str
    """The expression as typed; only read with the preset `custom`."""
    zone: str
    ping_url: str = ""
    expression: str = ""
    """'' when it is refused."""
    errors: Mapping[str, Invalid] = field(default_factory=dict)


def of_schedule(schedule: Schedule) -> ScheduleForm:
    preset, time = _recognised(schedule.expression)
    return ScheduleForm(
        preset=preset,
        time=time,
        cron=schedule.expression,
        zone=schedule.zone,
        ping_url=schedule.ping_url,
        expression=schedule.expression,
    )


def read(typed: Mapping[str, str]) -> ScheduleForm:
    preset = typed.get("preset", "")
    time, text, zone = (typed.get(name, "").strip() for name in ("time", "cron", "zone"))
    errors: dict[str, Invalid] = {}
    expression = ""
    try:
        expression = cron.checked_expression(text) if preset == "custom" else _of_preset(preset, time)
    except Invalid as error:
        errors["cron" if preset == "custom" else "time"] = error
    try:
        cron.checked_zone(zone)
    except Invalid as error:
        errors["zone"] = error
    ping_url = typed.get("ping_url", "")
    try:
        ping_url = pings.checked_url(ping_url)
    except Invalid as error:
        errors["ping_url"] = error
    return ScheduleForm(
        preset=preset if preset in PRESETS else "custom",
        time=time[:5],
        cron=text[: cron.LONGEST],
        zone=zone[:80],
        ping_url=ping_url[: pings.LONGEST],
        expression="" if errors else expression,
        errors=errors,
    )


def _of_preset(preset: str, time: str) -> str:
    if preset not in PRESETS:
        raise Invalid(say("Choose how often."))
    found = _TIME.fullmatch(time)
    if found is None:
        raise Invalid(say("“%(text)s” is not a time of day.", text=time[:20]), advice=say("Write it as 02:00."))
    return PRESETS[preset][1].format(hour=int(found[1]), minute=int(found[2]))


def _recognised(expression: str) -> tuple[str, str]:
    minute, hour, *_ = expression.split()
    if minute.isdigit():
        time = f"{int(hour) if hour.isdigit() else 0:02}:{int(minute):02}"
        for preset in PRESETS:
            if preset != "custom" and _of_preset(preset, time) == expression:
                return preset, time
    return "custom", USUAL_TIME
