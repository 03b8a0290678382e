"""What the code of a job is handed: where it reports, logs, and asks whether to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from storage import reserve
from storage.clock import Clock
from storage.errors import JobCancelled, Message
from storage.jobs.model import Job, Progress, Step

SAVE_EVERY = 0.4
"""Seconds between two writes of progress: half the time between two looks of a page."""


class JobContext:
    """Belongs to one running job. Safe to report and log from several threads of the job."""

    def __init__(
        self,
        job: Job,
        *,
        clock: Clock,
        save: Callable[[Job, bool], None],
        write_log: Callable[[str], None],
        asked_to_stop: Callable[[], str | None],
        on_progress: Callable[[Job], None] = lambda job: None,
    ) -> None:
        self._job, self._clock, self._save, self._write_log = job, clock, save, write_log
        self._asked_to_stop, self._on_progress = asked_to_stop, on_progress
        self._lock = threading.RLock()
        self._saved_at = 0.0
        self._last_look = 0.0
        self._stopped_by: str | None = None
        self.guards: list[Callable[[], None]] = []
        """What every checkpoint calls as well, and what may raise there."""

    @property
    def job(self) -> Job:
        return self._job

    def now(self) -> datetime:
        return self._clock()

    def plan(self, steps: Sequence[tuple[str, Message]]) -> None:
        """Say which steps will come, as (code, title), before the first of them begins."""
        self._change(steps=tuple(Step(code=code, title=title) for code, title in steps))

    def step(self, code: str, title: Message | None = None) -> None:
        """Begin a planned step; the one before it ends. A title replaces the planned one. Checks for cancel."""
        self.checkpoint()
        now = self._clock()
        steps = []
        for known in self._job.steps:
            if known.started_at and not known.ended_at and known.code != code:
                known = replace(known, ended_at=now)
            if known.code == code:
                known = replace(known, started_at=known.started_at or now, title=title or known.title)
            steps.append(known)
        self._change(steps=tuple(steps), progress=replace(self._job.progress, step=code, item="", rate=None))

    def finish_steps(self) -> None:
        now = self._clock()
        self._change(
            steps=tuple(
                replace(known, ended_at=now) if known.started_at and not known.ended_at else known
                for known in self._job.steps
            )
        )

    def report(self, progress: Progress) -> None:
        """Show how far the work is. The bar never goes back, whatever the measurements say."""
        with self._lock:
            shown = self._job.progress
            if shown.total and not progress.total:
                progress = replace(progress, done=shown.done, total=shown.total)
            elif progress.total and shown.total and progress.done * shown.total < shown.done * progress.total:
                progress = replace(progress, done=shown.done * progress.total // shown.total)
            self._job = self._job.with_(progress=progress)
            self._on_progress(self._job)
            if time.monotonic() - self._saved_at >= SAVE_EVERY:
                self._saved_at = time.monotonic()
                try:
                    self._save(self._job, False)
                except OSError as error:
                    # Progress is worth no job: on a full disk the page shows what was saved last.
                    if not reserve.is_full(error):
                        raise

    def result(self, **facts: Any) -> None:
        """Remember what came of the job: plain JSON values."""
        self._change(result={**self._job.result, **facts})

    def log(self, line: str) -> None:
        self._write_log(line)

    def stop_asked(self) -> bool:
        """Whether somebody asked for the end; looks at most ten times a second, so call it freely."""
        now = time.monotonic()
        if self._stopped_by is None and now - self._last_look >= 0.1:
            self._last_look = now
            self._stopped_by = self._asked_to_stop()
        return self._stopped_by is not None

    def checkpoint(self) -> None:
        """Raise JobCancelled when somebody asked for the end. Call between steps and inside loops."""
        if self.stop_asked():
            raise JobCancelled(self._stopped_by or "")
        for guard in self.guards:
            guard()

    def _change(self, **changes: Any) -> None:
        with self._lock:
            self._job = self._job.with_(**changes)
            self._save(self._job, True)
            self._saved_at = time.monotonic()
            self._on_progress(self._job)
