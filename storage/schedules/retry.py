"""Which scheduled backups are asked for again: once, those in whose middle pghaven ended; three times, with pauses that
grow, those whose server could not be reached or was lost. Decides only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.clock import from_text
from storage.jobs.model import Job, JobKind, JobState

RETRY_OF = "retry_of"
"""The parameter of a job that names the one that it is asked for in place of."""


PAUSES = (timedelta(minutes=2), timedelta(minutes=5), timedelta(minutes=15))
"""After the first, the second and the third try of a slot that failed because of the connection."""
_PASSING = frozenset({"name", "refused", "silent", "full", "starting"})
"""Of `storage.postgres.connection.TROUBLES`, those that may end without anybody's doing."""


@dataclass(frozen=True, slots=True)
class Retry:
    job: Job
    """The one that was interrupted, or failed."""
    at: datetime
    """The slot that it was to fill."""


def due(newest_first: Iterable[Job], *, now: datetime, window: timedelta) -> list[Retry]:
    """For each database at most one: its newest whole backup, if that was a slot's within `window`.

    One that was interrupted is tried once more: what ends pghaven twice might be the backup. One that has a next try
    already has no other; asked by name, because jobs of one second have no order among themselves.
    """
    jobs = list(newest_first)
    tried = {job.parameters.get(RETRY_OF) for job in jobs}
    found, seen = [], set()
    for job in jobs:
        if job.kind is not JobKind.TAKE or job.database in seen or job.parameters.get("no_logs"):
            continue
        seen.add(job.database)
        at = from_text(job.parameters.get("slot"))
        if at is None or job.job_id in tried or not timedelta(0) <= now - at <= window:
            continue
        if job.state is JobState.INTERRUPTED and not job.parameters.get(RETRY_OF):
            found.append(Retry(job, at))
        elif is_passing(job) and job.ended_at is not None:
            tries = sum(_same_slot(other, job) for other in jobs)
            if tries <= len(PAUSES) and now >= job.ended_at + PAUSES[tries - 1]:
                found.append(Retry(job, at))
    return found


def is_passing(job: Job) -> bool:
    """Whether a job failed because of a connection, which may be there again in a minute."""
    error = job.error or {}
    return job.state is JobState.FAILED and (
        error.get("kind") == "ConnectionLost" or error.get("trouble", "") in _PASSING
    )


def _same_slot(one: Job, other: Job) -> bool:
    return (
        one.kind is JobKind.TAKE
        and one.database == other.database
        and one.parameters.get("slot") == other.parameters.get("slot")
        and not one.parameters.get("no_logs")
    )
