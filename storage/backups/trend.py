"""How size and duration of a database's backups went over time: the series that a chart draws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from storage.backups.record import BackupRecord


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    bytes: int
    seconds: float


def trend(records: Iterable[BackupRecord], *, since: datetime | None = None) -> tuple[Point, ...]:
    """One point for each good backup, oldest first.

    Only backups of the newest one's sort: those without logs are much smaller, and a line through both would jump.
    """
    good = sorted(
        (record for record in records if record.good and record.ours and (since is None or record.started_at >= since)),
        key=lambda record: record.started_at,
    )
    if not good:
        return ()
    return tuple(
        Point(record.started_at, record.bytes, record.seconds or 0.0)
        for record in good
        if record.no_logs == good[-1].no_logs
    )
