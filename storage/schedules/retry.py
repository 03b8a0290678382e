"""Which scheduled backups are asked for once more: those in whose middle pghaven ended. Decides only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.clock import from_text
from storage.jobs.model import Job, JobKind, JobState

RETRY_OF = "retry_of"
"""The parameter of a job that names the one that it is asked for in place of."""


@dataclass(frozen=True, slots=True)
class Retry:
    job: Job
    """The one that was interrupted."""
    at: datetime
    """The slot that it was to fill."""


def due(newest_first: Iterable[Job], *, now: datetime, window: timedelta) -> list[Retry]:
    """For each database at most one: its newest whole backup, if that was a slot's within `window` and was interrupted.

    One that was a second try itself is not tried a third time: what ends pghaven twice might be the backup. Neither is
    one that has its second try already; asked by name, because jobs of one second have no order among themselves.
    """
    jobs = list(newest_first)
    tried = {job.parameters.get(RETRY_OF) for job in jobs}
    found, seen = [], set()
    for job in jobs:
        if job.kind is not JobKind.TAKE or job.database in seen or job.parameters.get("no_logs"):
            continue
        seen.add(job.database)
        at = from_text(job.parameters.get("slot"))
        if at is None or job.state is not JobState.INTERRUPTED or job.parameters.get(RETRY_OF) or job.job_id in tried:
            continue
        if timedelta(0) <= now - at <= window:
            found.append(Retry(job, at))
    return found
