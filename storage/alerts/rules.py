"""What is worth telling: facts of a job's end or of the minute's look in, alerts out. Decides only.

What goes on being wrong is told once, again after a day, and once when it is well again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from storage.alerts.facts import DatabaseLook, JobEnd, Look, Standing, Taken, Trouble
from storage.alerts.model import Alert, Event, Limits
from storage.clock import to_text
from storage.errors import Message, say, say_count

AGAIN_AFTER = timedelta(hours=24)
FEWEST_ROWS = 100
"""Tables with fewer rows shrink by a lot every day, and mean nothing by it."""
MOST_TABLES = 10
ROOM_TO_BE_WELL = 2
"""Percent above the limit from which a disk counts as emptied: at the limit itself it would be told every minute."""


@dataclass(frozen=True, slots=True)
class Decided:
    alerts: tuple[Alert, ...]
    standing: Standing


_AUDIT = "audit:"
"""An audit log that was changed stays so: each number of places is told once."""
_STANDING_KINDS = frozenset({"take", "verify", "prove", "copy"})
"""Jobs whose failure stands until one of the same sort ends well. A restore is done once, and is told each time."""


def of_job(end: JobEnd, standing: Standing, limits: Limits) -> Decided:
    key = _key(end)
    if end.state in ("failed", "interrupted"):
        return _failed(end, key, standing)
    if end.state != "completed":
        return Decided((), standing)  # a person cancelled it, and knows
    alerts: list[Alert] = []
    # An archive that was brought back was read back as well.
    keys = (key, f"verify:{end.database}") if end.kind == "fetch" else (key,)
    for known in keys:
        if known in standing.troubles:
            standing = standing.without(known)
            alerts.append(_recovered(end.database, end.at, _MENDED.get(known.partition(":")[0], _MENDED_ANY)))
    if end.kind == "restore":
        alerts.append(_restored(end))
    if end.kind == "take" and end.taken and end.before:
        alerts.extend(_dropped(end.database, end.taken, end.before, limits))
    return Decided(tuple(alerts), standing)


def _key(end: JobEnd) -> str:
    """Under which its trouble stands: copies go well or not at each destination by itself."""
    return f"{end.kind}:{end.database}" + (f":{end.destination}" if end.destination else "")


def of_look(look: Look, standing: Standing, limits: Limits) -> Decided:
    """Also forgets the troubles of databases that are no longer looked after."""
    known = {database.name for database in look.databases} | {""}
    standing = replace(standing, troubles={key: one for key, one in standing.troubles.items() if one.database in known})
    alerts: list[Alert] = []
    for key, alert, mended in _looked_at(look, standing, limits):
        told = standing.troubles.get(key)
        again = told is not None and look.at - told.told_at >= AGAIN_AFTER and not key.startswith(_AUDIT)
        if alert is not None and (told is None or again):
            alerts.append(alert)
            standing = standing.with_trouble(key, _told(told, alert))
        elif alert is None and told is not None:
            standing = standing.without(key)
            alerts.append(_recovered(told.database, look.at, mended))
    return Decided(tuple(alerts), standing)


def _failed(end: JobEnd, key: str, standing: Standing) -> Decided:
    told = standing.troubles.get(key) if end.kind in _STANDING_KINDS else None
    count = told.count + 1 if told else 1
    alert = Alert(
        event=Event.FAILED,
        at=end.at,
        database=end.database,
        title=_failed_title(end, count),
        lines=_failed_lines(end),
        words=str(end.error["words"]) if end.error else "",
    )
    if end.kind not in _STANDING_KINDS:
        return Decided((alert,), standing)
    if told and end.at - told.told_at < AGAIN_AFTER:
        return Decided((), standing.with_trouble(key, replace(told, count=count)))
    return Decided((alert,), standing.with_trouble(key, _told(told, alert)))


def _failed_title(end: JobEnd, count: int) -> Message:
    match end.kind:
        case "take":
            if count == 1:
                return say("%(database)s: the backup failed", database=end.database)
            return say("%(database)s: the last %(count)s backups failed", database=end.database, count=count)
        case "restore":
            return say("%(target)s: the restore failed", target=end.target or end.database)
        case "verify":
            return say("%(database)s: a backup could not be read back", database=end.database)
        case "prove":
            return say("%(database)s: a backup could not be proven", database=end.database)
        case "copy":
            return say("%(database)s: a backup could not be copied to %(destination)s",
                       database=end.database, destination=end.destination)  # fmt: skip
        case "fetch":
            return say("%(database)s: a copy could not be brought back", database=end.database)
        case "clean_up":
            return say("%(database)s: the logs could not be cleaned up", database=end.database)
        case "put_back":
            return say("%(database)s: archived rows could not be put back", database=end.database)
        case "export":
            return say("%(database)s: an export failed", database=end.database)
        case _:
            return say("%(database)s: a job failed (%(kind)s)", database=end.database, kind=end.kind)


def _failed_lines(end: JobEnd) -> tuple[Message, ...]:
    error = end.error or {}
    said = tuple(Message.from_json(error[part]) for part in ("effect", "cause", "advice") if error.get(part))
    if end.kind != "take":
        return said
    return (_newest_good(end.newest_good_at), *said[1:])


def _newest_good(at: datetime | None) -> Message:
    if at is None:
        return say("There is no good backup yet.")
    return say("The last good backup is from %(good_at)s.", good_at=to_text(at))


def _restored(end: JobEnd) -> Alert:
    return Alert(
        event=Event.RESTORED,
        at=end.at,
        database=end.database,
        title=say("%(target)s: the restore is done", target=end.target or end.database),
        lines=_restored_lines(end),
    )


def _restored_lines(end: JobEnd) -> tuple[Message, ...]:
    """What was done, with which backup, and by whom."""
    if end.mode == "undo":
        lines = [say("A restore was undone: the database is as it was before.")]
    elif end.backup_at is None:
        lines = []
    else:
        of = {"source": end.source, "backup_at": to_text(end.backup_at)}
        match end.mode, end.uploaded:
            case ("merge", _):
                lines = [say("Rows that were missing were added from the backup of %(source)s of %(backup_at)s.", **of)]
            case ("tables", _):
                lines = [say("Rows of tables were replaced from the backup of %(source)s of %(backup_at)s.", **of)]
            case ("new", _):
                lines = [say("A new database was made from the backup of %(source)s of %(backup_at)s.", **of)]
            case _:
                lines = [say("It was replaced from the backup of %(source)s of %(backup_at)s.", **of)]
        if end.uploaded:
            lines.append(say("That archive was uploaded: pghaven did not make it."))
    if end.by:
        lines.append(say("Asked for by %(who)s.", who=end.by))
    return tuple(lines)


_MENDED = {
    "take": say("backups work again"),
    "verify": say("backups can be read back again"),
    "prove": say("a backup was proven again"),
    "copy": say("backups are copied again"),
}
_MENDED_ANY = say("the job works again")


def _recovered(database: str, at: datetime, what: Message) -> Alert:
    title = (
        say("Fixed: %(database)s, %(what)s", database=database, what=what)
        if database
        else say("Fixed: %(what)s", what=what)
    )
    lines = (say("Nothing has to be done any more."),)
    return Alert(event=Event.RECOVERED, at=at, database=database, title=title, lines=lines)


def _told(before: Trouble | None, alert: Alert) -> Trouble:
    if before is None:
        return Trouble(event=alert.event, database=alert.database, since=alert.at, told_at=alert.at)
    return replace(before, told_at=alert.at, count=before.count + 1)


def _dropped(database: str, taken: Taken, before: Taken, limits: Limits) -> Iterable[Alert]:
    lines = []
    if _fell(before.bytes, taken.bytes, limits):
        lines.append(
            say("The archive has %(now_bytes)s; the one before had %(before_bytes)s.",
                now_bytes=taken.bytes, before_bytes=before.bytes)
        )  # fmt: skip
    lines.extend(_tables_that_fell(taken.rows, before.rows, limits))
    if lines:
        yield Alert(
            event=Event.DROPPED,
            at=taken.at,
            database=database,
            title=say("%(database)s: the newest backup is suddenly much smaller", database=database),
            lines=(say("The backup itself is good. Look whether the data was meant to go."), *lines),
        )


def _tables_that_fell(now: Mapping[str, int], before: Mapping[str, int], limits: Limits) -> list[Message]:
    fell = [
        (table, rows, now.get(table))
        for table, rows in before.items()
        if rows >= FEWEST_ROWS and _fell(rows, now.get(table, 0), limits)
    ]
    lines = [
        say("%(table)s: %(before)s rows before, the table is gone now", table=table, before=rows)
        if left is None
        else say("%(table)s: %(before)s rows before, %(now)s now", table=table, before=rows, now=left)
        for table, rows, left in fell[:MOST_TABLES]
    ]
    if len(fell) > MOST_TABLES:
        lines.append(say("and %(more)s more tables", more=len(fell) - MOST_TABLES))
    return lines


def _fell(before: int, now: int, limits: Limits) -> bool:
    return before > 0 and now * 100 <= before * (100 - limits.drop_percent)


def _looked_at(look: Look, standing: Standing, limits: Limits) -> Iterable[tuple[str, Alert | None, Message]]:
    """For everything that is looked at: its key, what is wrong with it now, and the words for when it is well."""
    for database in look.databases:
        name = database.name
        yield f"late:{name}", _late(database, look.at), say("there is a new good backup")
        yield f"damaged:{name}", _damaged(database, look.at), say("the newest backup is good")
        yield f"not_proven:{name}", _not_proven(database, look.at, limits), say("a backup was proven again")
    if look.audit_faults:
        yield f"{_AUDIT}{look.audit_faults}", _audit(look), say("the audit log is whole again")
    yield "disk:", _disk(look, limits, told="disk:" in standing.troubles), say("there is room on the disk again")


def _late(database: DatabaseLook, now: datetime) -> Alert | None:
    good, missed = database.newest_good_at, database.missed_at
    if missed and (good is None or good < missed):
        title = say("%(database)s: a backup was missed", database=database.name)
        lines: tuple[Message, ...] = (
            _newest_good(good),
            say("The one of %(missed_at)s was not taken.", missed_at=to_text(missed)),
        )
    elif database.late:
        title = say("%(database)s: the backup is late", database=database.name)
        lines = (_newest_good(good),)
    else:
        return None
    return Alert(event=Event.LATE, at=now, database=database.name, title=title, lines=lines)


def _damaged(database: DatabaseLook, now: datetime) -> Alert | None:
    if not database.damaged:
        return None
    return Alert(
        event=Event.FAILED,
        at=now,
        database=database.name,
        title=say("%(database)s: the newest backup is damaged or missing", database=database.name),
        lines=(_newest_good(database.newest_good_at), say("Take a new backup, and look at the disk.")),
    )


def _not_proven(database: DatabaseLook, now: datetime, limits: Limits) -> Alert | None:
    if database.proven_at is None or now - database.proven_at < timedelta(days=limits.not_proven_days):
        return None
    days = (now - database.proven_at).days
    return Alert(
        event=Event.NOT_PROVEN,
        at=now,
        database=database.name,
        title=say("%(database)s: no backup was proven for %(days)s days", database=database.name, days=days),
        lines=(say("Its backups are there and were read back. That one can be restored was not tried for so long."),),
    )


def _audit(look: Look) -> Alert:
    return Alert(
        event=Event.FAILED,
        at=look.at,
        title=say("The audit log is not as it was written"),
        lines=(
            say_count("Lines were changed, removed or put in, at %(count)s place.",
                      "Lines were changed, removed or put in, at %(count)s places.", count=look.audit_faults),
            say("Backups are not touched by this. pghaven audit verify names the places; look who could write them."),
        ),
    )  # fmt: skip


def _disk(look: Look, limits: Limits, *, told: bool) -> Alert | None:
    if look.disk_free is None or not look.disk_total:
        return None
    percent = look.disk_free * 100 / look.disk_total
    if percent >= limits.disk_free_percent + (ROOM_TO_BE_WELL if told else 0):
        return None
    return Alert(
        event=Event.DISK,
        at=look.at,
        title=say("The disk of the backups is nearly full"),
        lines=(
            say("%(free_bytes)s of %(total_bytes)s are free.", free_bytes=look.disk_free, total_bytes=look.disk_total),
            say("No backup was lost by this. Make room before the next one finds none."),
        ),
    )
