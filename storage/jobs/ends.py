"""Writes the ends of jobs into the audit log."""

from __future__ import annotations

from collections.abc import Mapping

from storage.audit import Audit
from storage.jobs.model import Job, JobKind, JobState

_ACTIONS: Mapping[JobKind, str] = {
    JobKind.TAKE: "backup_taken",
    JobKind.VERIFY: "backup_verified",
    JobKind.PROVE: "backup_proven",
    JobKind.COPY: "backup_copied",
    JobKind.RESTORE: "restore_ended",
}


def record_end(audit: Audit, job: Job) -> None:
    """One line for a job that ended, however it did: what it worked on, for whom, and why it failed."""
    facts = {"job": job.job_id, "database": job.database}
    for name in ("backup_id", "restore_id", "target", "kept_as"):
        if value := job.result.get(name) or job.parameters.get(name):
            facts[name] = value
    if job.error is not None:
        facts["error"] = job.error["kind"]
    subject = facts.get("restore_id") if job.kind is JobKind.RESTORE else facts.get("backup_id")
    audit.record(
        _ACTIONS.get(job.kind, "job_ended"),
        actor=job.requested_by,
        subject=str(subject or job.database),
        result="ok" if job.state is JobState.COMPLETED else job.state.value,
        **(facts if job.kind in _ACTIONS else facts | {"kind": job.kind.value}),
    )
