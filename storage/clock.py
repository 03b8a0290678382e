"""The one clock. Times are aware and in UTC; whoever needs the time is handed a Clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def to_text(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with a Z, to the millisecond: the form of every time in a record."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str | None) -> datetime | None:
    """Read `to_text`'s form back. Raises ValueError for anything that is not a time with a zone."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def from_required_text(text: str | None) -> datetime:
    """The same for a time that has to be there; raises ValueError when it is not."""
    moment = from_text(text)
    if moment is None:
        raise ValueError("a time is missing")
    return moment
