"""What a page of the audit log is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta
from zoneinfo import ZoneInfo

from storage.audit.actions import ACTIONS
from storage.audit.chain import Event
from storage.backups.strip import start_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Read leniently: an address that somebody kept must show something, whatever became of its words."""

    action: str = ""
    actor: str = ""
    subject: str = ""
    first: date | None = None
    last: date | None = None
    """With this day."""
    page: int = 1

    @classmethod
    def read(cls, arguments: Mapping[str, str]) -> Query:
        action, page = arguments.get("action", ""), arguments.get("page", "")
        first, last = _day(arguments.get("from", "")), _day(arguments.get("until", ""))
        if first and last and last < first:
            first, last = last, first
        return cls(
            action=action if action in ACTIONS else "",
            actor=arguments.get("actor", "").strip()[:80],
            subject=arguments.get("subject", "").strip()[:80],
            first=first,
            last=last,
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
        )

    def address(self, **changes: object) -> dict[str, object]:
        """The arguments of the address of this view, or of one that differs; what is usual is left out."""
        values: dict[str, object] = {
            "action": self.action,
            "actor": self.actor,
            "subject": self.subject,
            "from": self.first,
            "until": self.last,
            "page": self.page,
        } | changes
        return {name: value for name, value in values.items() if value and (name, value) != ("page", 1)}

    @property
    def narrowed(self) -> bool:
        return bool(self.action or self.actor or self.subject or self.first or self.last)

    def chosen(self, newest_first: Iterable[Event], zone: ZoneInfo) -> Iterator[Event]:
        """Those that are meant, in their order. Names are compared by what they contain."""
        begins = start_of(self.first, zone) if self.first else None
        ends = start_of(self.last + timedelta(days=1), zone) if self.last else None
        return (event for event in newest_first if self._means(event, begins, ends))

    def _means(self, event: Event, begins: datetime | None, ends: datetime | None) -> bool:
        return (
            self.action in ("", event.action)
            and self.actor.lower() in event.actor.lower()
            and self.subject.lower() in event.subject.lower()
            and (begins is None or event.at >= begins)
            and (ends is None or event.at < ends)
        )


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # At the ends of the calendar there is no day after, and no other time zone.
    return day if MINYEAR < day.year < MAXYEAR else None
