"""The longest time without a good backup: what would have been lost at most. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from storage.backups.record import BackupRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    database: str
    begins: datetime
    ends: datetime
    still_open: bool
    """No good backup has come since."""

    @property
    def length(self) -> timedelta:
        return self.ends - self.begins


def longest_gap(records: Iterable[BackupRecord], *, since: datetime, now: datetime) -> Gap | None:
    """The longest gap that reaches into the time from `since` to `now`, over all databases; None without any good
    backup. The time before a database's first good backup is none: nothing is known of it."""
    good: dict[str, list[datetime]] = defaultdict(list)
    for record in records:
        if record.good and record.ours:
            good[record.database].append(record.started_at)
    gaps = [
        Gap(database=database, begins=begins, ends=ends, still_open=ends is now)
        for database, moments in good.items()
        for begins, ends in pairwise([*sorted(moments), now])
        if ends >= since
    ]
    return max(gaps, key=lambda gap: gap.length, default=None)
