"""Which jobs an account is told of: work on the rows of a log is for admins, and for whoever asked for it."""

from __future__ import annotations

from collections.abc import Iterable

from storage.accounts.account import Account
from storage.errors import NotFound
from storage.jobs.model import Job, JobKind
from webapp.current import current_account, storage

_OF_ROWS = frozenset({JobKind.EXPORT, JobKind.CLEAN_UP, JobKind.PUT_BACK, JobKind.GENERATE})
"""Their parameters, results and logs say which rows there are, and how many: of everybody's."""


def may_see(job: Job, account: Account) -> bool:
    return job.kind not in _OF_ROWS or job.requested_by == account.name or account.may("clean up logs")


def visible(jobs: Iterable[Job]) -> list[Job]:
    """Those that whoever asks may see."""
    account = current_account()
    return [job for job in jobs if may_see(job, account)]


def the_job(job_id: str) -> Job:
    """Raises NotFound for one that there is not, or not for whoever asks."""
    job = storage().jobs.get(job_id)
    if not may_see(job, current_account()):
        raise NotFound(storage().jobs.unknown(job_id))
    return job
