"""Whether a database is protected, and the one sentence about all of them. Decides only, from records and jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from storage.backups.record import TAKEN_WHOLE, BackupRecord, BackupState
from storage.jobs.model import Job, JobKind

LATE_AFTER = timedelta(hours=48)
"""A nightly backup and one night of grace: one that was missed is made up for by the next."""


class Protection(StrEnum):
    """The worst last."""

    PROTECTED = "protected"
    FIRST = "first"
    """There is no good backup yet; the first is being taken."""
    LATE = "late"
    FAILING = "failing"
    """The newest attempt failed."""
    DAMAGED = "damaged"
    """The newest backup that was taken whole is no longer what was written, or no longer there."""
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseProtection:
    """How one database stands, and the facts behind it."""

    database: str
    state: Protection
    newest_good: BackupRecord | None = None
    """With the rows of log tables, where there is one that has them."""
    trouble: BackupRecord | None = None
    """The backup that is to blame: the newest of the failed ones, or the damaged one."""
    failures: int = 0
    """How many attempts failed one after the other since the last good backup."""
    running: Job | None = None
    age: timedelta | None = None
    """Of the newest good backup."""

    @property
    def protected(self) -> bool:
        return self.state is Protection.PROTECTED

    @property
    def needs_someone(self) -> bool:
        return self.state not in (Protection.PROTECTED, Protection.FIRST)


def protection(
    database: str,
    records: Iterable[BackupRecord],
    jobs: Iterable[Job] = (),
    *,
    now: datetime,
    late_after: timedelta = LATE_AFTER,
) -> DatabaseProtection:
    """Judge one database by all its records, in any order, and the jobs that wait or run. What somebody uploaded says
    nothing of how the database stands today. `late_after` is what the schedule of the database leaves it."""
    newest_first = sorted(
        (record for record in records if record.ours), key=lambda record: record.started_at, reverse=True
    )
    running = next(
        (job for job in jobs if job.kind is JobKind.TAKE and job.database == database and not job.ended), None
    )
    # One without the rows of log tables is what can be had only where no other is.
    good = min((record for record in newest_first if record.good), key=lambda record: record.no_logs, default=None)
    whole = next((record for record in newest_first if record.state in TAKEN_WHOLE and not record.let_go), None)
    failed = _failures(newest_first)
    age = now - good.started_at if good else None
    if whole is not None and not whole.good:
        state, trouble = Protection.DAMAGED, whole
    elif failed:
        state, trouble = Protection.FAILING, failed[0]
    elif good is None:
        state, trouble = (Protection.FIRST if running else Protection.NEVER), None
    elif age is not None and age > late_after:
        state, trouble = Protection.LATE, None
    else:
        state, trouble = Protection.PROTECTED, None
    return DatabaseProtection(
        database=database,
        state=state,
        newest_good=good,
        trouble=trouble,
        failures=len(failed),
        running=running,
        age=age,
    )


def _failures(newest_first: Sequence[BackupRecord]) -> list[BackupRecord]:
    """The failed attempts since the newest good backup. One that a person cancelled, or that ended because pghaven
    ended, says nothing of the database: then the age of the last good backup decides."""
    failed = []
    for record in newest_first:
        if record.state in TAKEN_WHOLE or record.state in (BackupState.TRASHED, BackupState.ERASED):
            break
        if record.state is BackupState.FAILED:
            failed.append(record)
    return failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What the overview's title says, as facts: the words are the page's."""

    databases: int
    protected: int
    first: tuple[str, ...] = ()
    """Databases whose first backup is being taken."""
    needing: tuple[str, ...] = ()
    """Databases that need a person, the worst first."""
    oldest_good: timedelta | None = None
    """The age of the newest good backup of the database that is worst off; None when one has none."""

    @property
    def all_protected(self) -> bool:
        return self.databases > 0 and self.protected == self.databases


def sentence(standings: Sequence[DatabaseProtection]) -> Sentence:
    ages = [standing.age for standing in standings if standing.age is not None]
    return Sentence(
        databases=len(standings),
        protected=sum(standing.protected for standing in standings),
        first=tuple(standing.database for standing in standings if standing.state is Protection.FIRST),
        needing=tuple(standing.database for standing in worst_first(standings) if standing.needs_someone),
        oldest_good=max(ages) if ages and len(ages) == len(standings) else None,
    )


def worst_first(standings: Iterable[DatabaseProtection]) -> list[DatabaseProtection]:
    """In the order in which a person should look at them; among equals, as they came."""
    order = list(Protection)
    return sorted(standings, key=lambda standing: -order.index(standing.state))
