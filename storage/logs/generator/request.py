"""What somebody asks the generator for, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.clock import from_required_text, to_text
from storage.errors import Invalid, Message, say

MOST_ROWS = 10_000_000
MOST_DAYS = 3650
MOST_SEED = 999_999


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorRequest:
    rows: int
    days: int
    """How many days before `until` the rows fill."""
    seed: int
    until: datetime

    def checked(self, *, most_rows: int = MOST_ROWS) -> GeneratorRequest:
        """The request itself. Raises Invalid where a number is out of bounds."""
        if not 1 <= self.rows <= most_rows:
            raise Invalid(_between(say("The number of rows"), 1, most_rows))
        if not 1 <= self.days <= MOST_DAYS:
            raise Invalid(_between(say("The number of days"), 1, MOST_DAYS))
        if not 0 <= self.seed <= MOST_SEED:
            raise Invalid(_between(say("The seed"), 0, MOST_SEED))
        return self

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "days": self.days, "seed": self.seed, "until": to_text(self.until)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GeneratorRequest:
        return cls(rows=data["rows"], days=data["days"], seed=data["seed"], until=from_required_text(data["until"]))

    def same_but_for_the_moment(self, other: GeneratorRequest) -> bool:
        return (self.rows, self.days, self.seed) == (other.rows, other.days, other.seed)


def _between(what: Message, least: int, most: int) -> Message:
    return say("%(what)s has to be from %(least)s to %(most)s.", what=what, least=least, most=most)
