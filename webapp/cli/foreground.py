"""A job carried out in front of the person who asked for it: a bar on a terminal, a line for each milestone elsewhere.

Ctrl-C asks the job to stop, as the button on its page does: no exception breaks into the job's own code, so that what
it cleans up is always the same.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from storage.errors import Conflict, NotFound
from storage.jobs.model import Job, JobState
from storage.opening import Storage
from webapp.cli import answers, refusals

_LOOK_EVERY = 0.3
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Detached(Exception):
    """The person stopped watching a job of another process."""


class Display(Protocol):
    def show(self, job: Job) -> None: ...


def carry_out(storage: Storage, job: Job, *, ours: bool) -> Job:
    """Do the requested job here, or watch the process that already does the same; returns the record at the end."""
    with _display() as display:
        if ours:
            with _asking_to_stop(storage, job):
                return storage.runner.run_here(job, on_progress=display.show)
        answers.note(f"Job {job.job_id} already does this, started by {job.requested_by}. Watching it.")
        return _follow(storage, job, display)


def answer_for(job: Job, *, as_json: bool) -> int:
    """Print why a job did not complete, and the exit code for it; 0 and nothing when it did."""
    if job.state is JobState.COMPLETED:
        return refusals.DONE
    if job.error is not None:
        return answers.refuse_recorded(dict(job.error), as_json=as_json, job=job.job_id)
    if as_json:
        facts = {"kind": "StorageError", "exit_code": refusals.FAILED, "message": f"The job is {job.state.value}."}
        answers.document({"error": facts, "job": job.job_id})
    return refusals.FAILED


@contextmanager
def _asking_to_stop(storage: Storage, job: Job) -> Iterator[None]:
    def ask(number: int, frame: FrameType | None) -> None:
        # Straight to the descriptor: the interrupted code may be in the middle of a print of its own.
        with suppress(OSError):
            os.write(2, b"\nStopping. What is half made is being removed.\n")
        with suppress(Conflict, NotFound):
            storage.jobs.ask_to_stop(job.job_id, by=answers.who())

    before = {number: signal.signal(number, ask) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(storage: Storage, job: Job, display: Display) -> Job:
    with _detaching():
        try:
            while not (job := storage.jobs.get(job.job_id)).ended:
                display.show(job)
                if not storage.jobs.locks.is_held(storage.jobs.lock_name(job.job_id)):
                    storage.jobs.mark_interrupted()  # its process is gone; a job that has just ended stays as it is
                time.sleep(_LOOK_EVERY)
        except _Detached:
            answers.note(f"The job goes on in the other process. To end it: pghaven jobs cancel {job.job_id}")
            raise SystemExit(refusals.CANCELLED) from None
    return job


@contextmanager
def _detaching() -> Iterator[None]:
    def detach(number: int, frame: FrameType | None) -> None:
        raise _Detached

    before = signal.signal(signal.SIGINT, detach)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _display() -> Iterator[Display]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress)


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("waiting", total=None, facts="")

    def show(self, job: Job) -> None:
        # A terminal that has gone away must not end the job.
        with suppress(OSError):
            self._progress.update(
                self._task,
                description=escape(refusals.visible(step_title(job))),
                completed=job.progress.done,
                total=job.progress.total,
                facts=escape(refusals.visible(_facts(job))),
            )


class _Lines:
    def __init__(self) -> None:
        self._said = ""
        self._quarter = 0

    def show(self, job: Job) -> None:
        title, percent = step_title(job), job.progress.percent or 0
        with suppress(OSError):
            if title != self._said and job.state is JobState.RUNNING and title != job.state.value:
                self._said = title
                answers.note(title)
            elif title == self._said and percent // 25 > self._quarter and percent < 100:
                answers.note(f"{percent} %")
        self._quarter = max(self._quarter, percent // 25)


def step_title(job: Job) -> str:
    """What the job does now, in words."""
    running = [step for step in job.steps if step.started_at and not step.ended_at]
    return str(running[-1].title) if running else job.state.value


def _facts(job: Job) -> str:
    progress = job.progress
    facts = [progress.item]
    if progress.written is not None:
        facts.append(answers.size(progress.written))
    if progress.rate:
        facts.append(f"{answers.size(int(progress.rate))}/s")
    if progress.seconds_left is not None and progress.seconds_left >= 1:
        facts.append(f"about {_whole(progress.seconds_left)} left")
    return " · ".join(fact for fact in facts if fact)


def _whole(seconds: float) -> str:
    return f"{round(seconds)} s" if seconds < 60 else answers.seconds(seconds)
