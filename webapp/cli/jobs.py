"""`pghaven jobs`: what runs, what has run, and ending it, in whichever process it is."""

from __future__ import annotations

from typing import Any

import click

from storage.jobs.model import Job, JobState, Step
from webapp.cli import answers, refusals
from webapp.cli.audited import audited
from webapp.cli.foreground import step_title
from webapp.cli.program import opened


@click.group()
def jobs() -> None:
    """Look at long work, and cancel it."""


@jobs.command("list")
@click.option("--active", is_flag=True, help="Only what waits or runs.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@answers.with_json
def list_(active: bool, limit: int, as_json: bool) -> None:
    """List jobs, newest first."""
    with opened() as storage:
        storage.jobs.mark_interrupted()  # one whose process is gone does not run
        found = [job for job in storage.jobs.newest_first() if not (active and job.ended)][:limit]
    if as_json:
        return answers.document([_facts(job) for job in found])
    if not found:
        return answers.line("No job runs." if active else "There are no jobs yet.")
    rows = [
        (job.job_id, _what(job), job.database, _state(job), answers.moment(job.requested_at), job.requested_by)
        for job in found
    ]
    return answers.table(("ID", "WHAT", "DATABASE", "STATE", "ASKED FOR", "BY"), rows)


@jobs.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--log", "lines", default=20, show_default=True, type=click.IntRange(min=0), help="Last lines of the log."
)
@answers.with_json
def show(job_id: str, lines: int, as_json: bool) -> None:
    """Show one job: steps, progress, the end of its log."""
    with opened() as storage:
        storage.jobs.mark_interrupted()
        job = storage.jobs.get(job_id)
        log = storage.jobs.log(job_id, last=lines) if lines else []
    if as_json:
        return answers.document(_facts(job) | {"log": [{"at": entry.at, "text": entry.text} for entry in log]})
    answers.line(f"{_what(job)} of {job.database}: {_state(job)}, asked for by {job.requested_by}")
    for step in job.steps:
        answers.line(f"  {_sign(job, step):>{_SIGNS_WIDTH}}  {step.title}")
    if job.error:
        answers.line(refusals.in_words(job.error))
    for entry in log:
        answers.line(f"{entry.at} {entry.text}")
    return None


@jobs.command()
@click.argument("job_id", metavar="ID")
@answers.with_json
def cancel(job_id: str, as_json: bool) -> None:
    """Ask a job to end. It removes what it had half made."""
    with opened() as storage:
        storage.jobs.mark_interrupted()  # a job whose process is gone cannot hear the request
        job = storage.jobs.ask_to_stop(job_id, by=answers.who())
        audited(storage, "job_cancel_requested", job_id, kind=job.kind.value, database=job.database)
    if as_json:
        return answers.document({"id": job.job_id, "asked_to_stop": True})
    return answers.line(f"Asked job {job.job_id} to stop.")


def _what(job: Job) -> str:
    """The kind of work, and where a copy goes."""
    destination = job.parameters.get("destination", "")
    return f"{job.kind.value} {destination}".strip()


def _facts(job: Job) -> dict[str, Any]:
    """A job's JSON, with sentences in place of the templates that are kept."""
    facts = job.to_json()
    steps = [one | {"title": str(step.title)} for one, step in zip(facts["steps"], job.steps, strict=True)]
    return facts | {"steps": steps, "error": refusals.in_json(dict(job.error)) if job.error else None}


_SIGNS_WIDTH = max(len(state.value) for state in JobState)


def _sign(job: Job, step: Step) -> str:
    if step.ended_at:
        return "done"
    if not step.started_at:
        return "–"
    return job.state.value if job.ended else "now"


def _state(job: Job) -> str:
    percent = job.progress.percent
    if job.ended or percent is None:
        return job.state.value
    return f"{job.state.value}, {percent} %: {step_title(job)}"
