"""The weekly letter: how everything stands, also when all is well, so that silence is never taken for good news."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from storage.alerts.facts import DatabaseLook, Look
from storage.alerts.model import Alert, Event
from storage.clock import to_text
from storage.errors import Message, say, say_count

HOUR = time(8)
"""On Mondays, in the zone of the instance."""


def last_due(now: datetime, zone: ZoneInfo) -> datetime:
    """The newest Monday morning that has come, in UTC."""
    today = now.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    due = datetime.combine(monday, HOUR, tzinfo=zone).astimezone(UTC)
    if due > now:
        due = datetime.combine(monday - timedelta(days=7), HOUR, tzinfo=zone).astimezone(UTC)
    return due


def write(look: Look) -> Alert:
    bad = sum(_needs_someone(database) for database in look.databases)
    title = (
        say_count("Weekly letter: one database needs you", "Weekly letter: %(count)s databases need you", count=bad)
        if bad
        else say("Weekly letter: all is well")
    )
    if not look.databases:
        title = say("Weekly letter: no databases yet")
    return Alert(
        event=Event.LETTER,
        at=look.at,
        title=title,
        lines=(*(_of(database) for database in look.databases), *_disk(look)),
    )


def _needs_someone(database: DatabaseLook) -> bool:
    return database.late or database.damaged or database.newest_good_at is None


def _of(database: DatabaseLook) -> Message:
    if database.newest_good_at is None:
        return say("%(database)s: there is no good backup.", database=database.name)
    how = say("needs you") if _needs_someone(database) else say("protected")
    return say(
        "%(database)s: %(how)s. Last good backup: %(good_at)s. This week: %(good)s good, %(failed)s failed. "
        "Kept: %(kept_bytes)s.",
        database=database.name,
        how=how,
        good_at=to_text(database.newest_good_at),
        good=database.good,
        failed=database.failed,
        kept_bytes=database.bytes,
    )


def _disk(look: Look) -> tuple[Message, ...]:
    if look.disk_free is None or look.disk_total is None:
        return ()
    return (say("Disk: %(free_bytes)s of %(total_bytes)s are free.",
                free_bytes=look.disk_free, total_bytes=look.disk_total),)  # fmt: skip
