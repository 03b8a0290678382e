"""Writes the ends of jobs into the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.audit import Audit
from storage.jobs.model import Job, JobKind, JobState

_ACTIONS: Mapping[JobKind, str] = {
    JobKind.TAKE: "backup_taken",
    JobKind.VERIFY: "backup_verified",
    JobKind.PROVE: "backup_proven",
    JobKind.COPY: "backup_copied",
    JobKind.FETCH: "backup_fetched",
    JobKind.RESTORE: "restore_ended",
    JobKind.PRUNE: "retention_ran",
    JobKind.CLEAN_UP: "logs_cleaned_up",
    JobKind.PUT_BACK: "logs_put_back",
    JobKind.EXPORT: "rows_export_ended",
    JobKind.GENERATE: "demo_rows_made",
}
_TOLD = (
    "backup_id",
    "restore_id",
    "target",
    "kept_as",
    "destination",
    "kind",
    "slot",
    "table",
    "rows",
    "format",
    "archive_id",
)
"""What is kept of a job's parameters and results."""


def record_end(audit: Audit, job: Job) -> None:
    """One line for a job that ended, however it did: what it worked on, for whom, and why it failed."""
    if job.kind is JobKind.PRUNE and job.state is JobState.COMPLETED:
        return  # it has recorded what it did, backup by backup
    known = {**job.parameters, **job.result}
    facts: dict[str, Any] = {name: known[name] for name in _TOLD if known.get(name)}
    if job.error is not None:
        facts["error"] = job.error["kind"]
    subject = known.get("restore_id") if job.kind is JobKind.RESTORE else known.get("backup_id")
    audit.record(
        _action(job),
        actor=job.requested_by,
        subject=str(subject or job.database),
        result="ok" if job.state is JobState.COMPLETED else job.state.value,
        **{**facts, "job": job.job_id, "database": job.database},
    )


def _action(job: Job) -> str:
    if job.kind is JobKind.RESTORE and job.parameters.get("request", {}).get("undoes"):
        return "restore_undone"
    return _ACTIONS.get(job.kind, "job_ended")
