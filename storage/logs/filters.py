"""Which rows of a usage log are meant: the filters of the page, of the API and of the terminal, in one form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from storage.errors import Invalid, say

MAX_INTEGER = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageFilter:
    """Every row that fulfils all of it. What is "" or None is not asked for.

    user, key and provider are the application's own ids. `since` is in, `until` is not.
    """

    user: str = ""
    key: str = ""
    provider: str = ""
    session: str = ""
    since: datetime | None = None
    until: datetime | None = None
    status: int | None = None
    not_200: bool = False
    """All but those that were answered with 200; those without an answer are among them."""
    model: str = ""
    endpoint: str = ""
    min_retries: int | None = None

    def narrowed(self, own: str = "") -> bool:
        """Whether more is asked for than all that may be seen, which are the rows of `own` where that is given."""
        return self != UsageFilter(user=own)

    def of(self, user: str) -> UsageFilter:
        """The same for the rows of one user alone, whoever was asked for."""
        return replace(self, user=user)

    def to_query(self) -> dict[str, str]:
        """As the parameters of an address, without those that are not asked for; `read` takes them back."""
        said = {
            "user": self.user,
            "key": self.key,
            "provider": self.provider,
            "session": self.session,
            "from": exact(self.since),
            "to": exact(self.until),
            "status": "not-200" if self.not_200 else "" if self.status is None else str(self.status),
            "model": self.model,
            "endpoint": self.endpoint,
            "min_retries": "" if self.min_retries is None else str(self.min_retries),
        }
        return {name: value for name, value in said.items() if value}


NAMES = ("user", "key", "provider", "session", "from", "to", "status", "model", "endpoint", "min_retries")
"""The parameters of an address, in the order of the page."""


def read(values: Mapping[str, str], *, zone: ZoneInfo, beside: Collection[str] = ()) -> UsageFilter:
    """Read an address or a form. A time without a zone is in `zone`. Raises Invalid naming what cannot be read, and
    what is neither a filter nor among `beside`: passed over, a misspelt filter would let all rows through."""
    if unknown := sorted(values.keys() - {*NAMES, *beside}):
        raise Invalid(
            say("There is no filter “%(name)s”.", name=unknown[0][:60]),
            advice=say("Known are: %(names)s.", names=", ".join(NAMES)),
        )
    given = {name: values.get(name, "").strip() for name in NAMES}
    for name, value in given.items():
        if "\0" in value:
            raise Invalid(say("%(name)s has a letter that no database holds.", name=name))
    status = given["status"]
    return UsageFilter(
        user=given["user"],
        key=given["key"],
        provider=given["provider"],
        session=given["session"],
        since=moment(given["from"], zone),
        until=moment(given["to"], zone),
        status=None if status == "not-200" else whole_number(status, "status"),
        not_200=status == "not-200",
        model=given["model"],
        endpoint=given["endpoint"],
        min_retries=whole_number(given["min_retries"], "min_retries"),
    )


def moment(text: str, zone: ZoneInfo) -> datetime | None:
    """A point of time in ISO 8601, a day meaning its beginning; None for ""."""
    if not text:
        return None
    try:
        read_as = datetime.fromisoformat(text)
        return (read_as if read_as.tzinfo else read_as.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            say("“%(text)s” is not a time.", text=text[:40]),
            advice=say("Write it like 2026-11-22 or 2026-11-22T13:00."),
        ) from error


def exact(moment: datetime | None) -> str:
    """What `moment` reads back, to the microsecond; "" for None."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else ""


def whole_number(text: str, name: str) -> int | None:
    """A number from 0; None for ""."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_INTEGER:
        raise Invalid(say("%(name)s is not a whole number from 0: “%(text)s”", name=name, text=text[:40]))
    return int(text)
