"""Which rows of a log table are to go: what the page, the API and the terminal ask for, in one form.

A request without a condition means nothing and never everything: `checked` refuses it, and so does whatever makes SQL
of one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from storage.errors import Invalid, Message, say
from storage.logs import filters

AGES = (7, 30, 90, 180)
"""Days that the page offers."""
MOST_DAYS = 36_500
NOTHING_DELETED = say("Nothing was deleted.")


class NothingAsked(Invalid):
    """No condition at all, which would be every row."""

    def __init__(self) -> None:
        super().__init__(
            say("No condition was given, and that would be every row of the log."),
            effect=NOTHING_DELETED,
            advice=say("Say how old the rows have to be, or whose they are."),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanupRequest:
    """Every row that fulfils all of it. What is empty or None is not asked for.

    `before` and `after` are in. Users and providers are the application's own ids.
    """

    table: str = ""
    """As the map or the database names it; "" for the application's usage log."""
    time_column: str = ""
    """Of a table that no map describes; "" for what the map says."""
    before: datetime | None = None
    after: datetime | None = None
    users: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    status_range: tuple[int, int] | None = None
    """The least and the most, both in."""
    blocked: bool = False
    moment: datetime | None = None
    """Fixed by the preview: what was written at this moment or later is not meant. No condition by itself."""

    @property
    def empty(self) -> bool:
        """Whether no condition is given."""
        return not (
            self.before
            or self.after
            or self.users
            or self.providers
            or self.statuses
            or self.status_range
            or self.blocked
        )

    @property
    def of_usage(self) -> bool:
        """Whether it asks for what only a usage log has."""
        return bool(self.users or self.providers or self.statuses or self.status_range or self.blocked)

    def checked(self) -> CleanupRequest:
        """The request itself. Raises NothingAsked, or Invalid naming what contradicts itself."""
        if self.empty:
            raise NothingAsked
        if self.before and self.after and self.after > self.before:
            raise _wrong(say("The rows cannot be after %(after)s and before %(before)s.",
                             after=_exact(self.after), before=_exact(self.before)))  # fmt: skip
        if self.status_range and self.status_range[0] > self.status_range[1]:
            raise _wrong(say("The range of status codes ends before it begins."))
        return self

    def at(self, moment: datetime) -> CleanupRequest:
        """The same, fixed to a moment. One that is fixed already stays as it is."""
        return self if self.moment else replace(self, moment=moment)

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "time_column": self.time_column,
            "before": _exact(self.before),
            "after": _exact(self.after),
            "users": list(self.users),
            "providers": list(self.providers),
            "statuses": list(self.statuses),
            "status_range": list(self.status_range) if self.status_range else None,
            "blocked": self.blocked,
            "moment": _exact(self.moment),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CleanupRequest:
        return cls(
            table=data["table"],
            time_column=data["time_column"],
            before=_moment(data["before"]),
            after=_moment(data["after"]),
            users=tuple(data["users"]),
            providers=tuple(data["providers"]),
            statuses=tuple(data["statuses"]),
            status_range=(data["status_range"][0], data["status_range"][1]) if data["status_range"] else None,
            blocked=data["blocked"],
            moment=_moment(data["moment"]),
        )

    def to_query(self) -> dict[str, str]:
        """As the fields of a form or an address; `read` takes them back."""
        said = {
            "table": self.table,
            "time_column": self.time_column,
            "before": _exact(self.before) or "",
            "after": _exact(self.after) or "",
            "user": ",".join(self.users),
            "provider": ",".join(self.providers),
            "status": ",".join(map(str, self.statuses)),
            "status_range": "{}-{}".format(*self.status_range) if self.status_range else "",
            "blocked": "on" if self.blocked else "",
            "moment": _exact(self.moment) or "",
        }
        return {name: value for name, value in said.items() if value}


NAMES = ("days", "before", "after", "user", "provider", "status", "status_range", "blocked")
"""The fields of a form or an address that are conditions."""


def read(values: Mapping[str, str], *, zone: ZoneInfo, now: datetime, beside: Collection[str] = ()) -> CleanupRequest:
    """Read an address or a form. A time without a zone is in `zone`; `days` is an age, counted back from `now`.

    Raises Invalid naming what cannot be read, and what is neither a condition nor among `beside`: a misspelt condition
    would be none. The request may be empty.
    """
    known = (*NAMES, "table", "time_column", "moment")
    if unknown := sorted(values.keys() - {*known, *beside}):
        raise _wrong(
            say("There is no condition “%(name)s”.", name=unknown[0][:60]),
            say("Known are: %(names)s.", names=", ".join(known)),
        )
    given = {name: values.get(name, "").strip() for name in known}
    for name, value in given.items():
        if "\0" in value:
            raise _wrong(say("%(name)s has a letter that no database holds.", name=name))
    before = filters.moment(given["before"], zone)
    if given["days"]:
        if before:
            raise _wrong(say("Either an age in days or a date, not both."))
        before = older_than(_days(given["days"]), now=now)
    return CleanupRequest(
        table=given["table"],
        time_column=given["time_column"],
        before=before,
        after=filters.moment(given["after"], zone),
        users=_words(given["user"]),
        providers=_words(given["provider"]),
        statuses=tuple(_status(word) for word in _words(given["status"])),
        status_range=_range(given["status_range"]),
        blocked=given["blocked"] not in ("", "off", "false", "0"),
        moment=filters.moment(given["moment"], zone),
    )


def older_than(days: int, *, now: datetime) -> datetime:
    return now - timedelta(days=days)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_DAYS):
        raise _wrong(say("“%(text)s” is not a number of days from 1 to %(most)s.", text=text[:40], most=MOST_DAYS))
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    """What stands between commas, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _status(text: str) -> int:
    number = filters.whole_number(text, "status")
    assert number is not None
    return number


def _range(text: str) -> tuple[int, int] | None:
    """500-599; None for ""."""
    if not text:
        return None
    least, dash, most = text.partition("-")
    if not dash or not least.strip() or not most.strip():
        raise _wrong(say("“%(text)s” is not a range of status codes.", text=text[:40]), say("Write it like 500-599."))
    return _status(least.strip()), _status(most.strip())


def _exact(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with all that it has behind the point: a bound that is in must stay where it is."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def _wrong(cause: Message, advice: Message | None = None) -> Invalid:
    return Invalid(cause, effect=NOTHING_DELETED, advice=advice)
