"""How long the backups of a database are kept: one record for each database whose answer is not the usual one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from storage.clock import Clock, from_text, to_text
from storage.errors import Invalid, InvalidRecord, NotFound, say
from storage.identifiers import checked_name
from storage.jsonfiles import Records

_DAYS, _COUNT = (1, 36500), (0, 1000)
BOUNDS: Mapping[str, tuple[int, int]] = {
    "days": _DAYS,
    "keep_last": _COUNT,
    "daily": _COUNT,
    "weekly": _COUNT,
    "monthly": _COUNT,
    "yearly": _COUNT,
    "most_bytes": (1_000_000, 10**18),
    "minimum": (1, 1000),
    "snapshot_days": _DAYS,
}
"""The least and the most that each number of a policy may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A backup is kept when one of the rules says so; `retention` has what overrules them."""

    database: str
    days: int | None = 30
    """Whatever was taken within so many days is kept; None: for ever."""
    keep_last: int = 0
    daily: int = 0
    """One of each of so many days that have a backup; `weekly`, `monthly` and `yearly` the same."""
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    most_bytes: int | None = None
    """What all archives of the database may take up; the oldest go first. None: no limit."""
    minimum: int = 3
    """So many good ones stay, whatever the rules say."""
    snapshot_days: int = 14
    """How long a snapshot that was taken before a restore is kept."""
    changed_at: datetime | None = None
    changed_by: str = ""

    def checked(self) -> Policy:
        """The policy itself. Raises Invalid, naming the first of its numbers that cannot be."""
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise Invalid(
                    say("%(name)s is %(value)s; it must be a whole number from %(least)s to %(most)s.",
                        name=name, value=value, least=least, most=most)
                )  # fmt: skip
        return self

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return {"format": 1, **values, "changed_at": to_text(self.changed_at)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Policy:
        match data["format"]:
            case 1:
                values = {name: data[name] for name in cls.__slots__ if name != "changed_at"}
                return cls(**values, changed_at=from_text(data["changed_at"])).checked()
            case newer:
                raise InvalidRecord(say("The policy's format %(format)s is newer than this program.", format=newer))


class Policies:
    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._clock = clock
        self._records: Records[Policy] = Records(
            folder, decode=Policy.from_json, encode=Policy.to_json, identify=lambda policy: policy.database
        )

    def of(self, database: str) -> Policy:
        """The policy of a database; the usual one where nobody chose another.

        Raises InvalidRecord for one that cannot be read: the usual one might delete what that one keeps.
        """
        try:
            return self._records.get(checked_name(database))
        except NotFound:
            return Policy(database=database)

    def change(self, database: str, changes: Mapping[str, Any], *, by: str) -> Policy:
        """Keep a database's backups by other numbers from now on. Raises Invalid for those that cannot be."""
        policy = replace(self.of(database), **changes, changed_at=self._clock(), changed_by=by).checked()
        self._records.save(policy)
        return policy
