"""The SQL of a request's condition. Pure. Nothing else in this package writes a WHERE that decides what is deleted."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from storage.applications.usage import UsageLog
from storage.errors import Invalid, say
from storage.logs.cleanup.request import NOTHING_DELETED, CleanupRequest
from storage.logs.cleanup.target import LogTarget
from storage.logs.query import expression, written

EARLIEST = "0002-01-01"
"""What is before, -infinity too, is no time that anybody meant, and none that Python can hold."""


def condition(target: LogTarget, request: CleanupRequest) -> sql.Composed:
    """What a row has to fulfil, over `r`. The moment has to be fixed.

    Raises NothingAsked for a request without a condition, and Invalid for one that the table cannot fulfil. A row
    without a time is never meant: nobody can tell whether it is old.
    """
    return _all([bounds(target, request), *_of_usage(target, request)])


def bounds(target: LogTarget, request: CleanupRequest) -> sql.Composed:
    """The part of the condition that is about time: never without an end. Refuses what `condition` refuses."""
    request.checked()
    assert request.moment is not None, "the preview fixes the moment"
    parts = [
        sql.SQL("{} >= {}").format(target.time, sql.Literal(EARLIEST)),
        sql.SQL("{} < {}").format(target.time, sql.Literal(request.moment)),
    ]
    if request.before:
        parts.append(sql.SQL("{} <= {}").format(target.time, sql.Literal(request.before)))
    if request.after:
        parts.append(sql.SQL("{} >= {}").format(target.time, sql.Literal(request.after)))
    return _all(parts)


def _of_usage(target: LogTarget, request: CleanupRequest) -> list[sql.Composable]:
    if not request.of_usage:
        return []
    log = target.usage
    assert log is not None, "the target refuses what it does not have"
    parts = [
        _refers_to(target, log, lookup, wanted)
        for lookup, wanted in (("user", request.users), ("provider", request.providers))
        if wanted
    ]
    if request.statuses:
        parts.append(sql.SQL("{} IN ({})").format(_status(log), _literals(request.statuses)))
    if request.status_range:
        least, most = map(sql.Literal, request.status_range)
        parts.append(sql.SQL("{} BETWEEN {} AND {}").format(_status(log), least, most))
    if request.blocked:
        if not log.blocked:
            raise _not_in_this_log("blocked")
        parts.append(sql.SQL("({})").format(written(log.blocked)))
    return parts


def _refers_to(target: LogTarget, log: UsageLog, name: str, wanted: Sequence[str]) -> sql.Composable:
    lookup = log.lookup(name)
    if lookup is None:
        raise _not_in_this_log(name)
    value = sql.SQL("({})").format(written(lookup.value))
    if lookup.matches == "id":
        return sql.SQL("{} IN ({})").format(value, _literals(wanted))
    assert target.located is not None
    return sql.SQL("{} IN (SELECT {} FROM {} WHERE id IN ({}))").format(
        value, sql.Identifier(lookup.matches), target.located.table(lookup.table), _literals(wanted)
    )


def _status(log: UsageLog) -> sql.Composable:
    column = log.column("status")
    if column is None:
        raise _not_in_this_log("status")
    return expression(column)


def _literals(values: Sequence[str] | Sequence[int]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Literal, values))


def _all(parts: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(" AND ").join(parts)


def _not_in_this_log(name: str) -> Invalid:
    return Invalid(say("This application's log has no %(name)s to filter by.", name=name), effect=NOTHING_DELETED)
