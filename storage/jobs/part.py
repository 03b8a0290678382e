"""Work that is one part of another job: it reports to that job's bar, and has no steps or results of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from storage.errors import Message
from storage.jobs.context import JobContext
from storage.jobs.model import Job, Progress


class PartOf(JobContext):
    """What that work is handed in place of a context. `report` gets its progress; its log lines go into the job's."""

    def __init__(self, whole: JobContext, *, report: Callable[[Progress], None]) -> None:
        self._whole, self._tell = whole, report
        self.guards = []

    @property
    def job(self) -> Job:
        return self._whole.job

    def now(self) -> datetime:
        return self._whole.now()

    def plan(self, steps: Sequence[tuple[str, Message]]) -> None:
        """The job has planned it as one step."""

    def step(self, code: str, title: Message | None = None) -> None:
        self.checkpoint()

    def finish_steps(self) -> None:
        """The job's next step ends it."""

    def report(self, progress: Progress) -> None:
        self._tell(progress)

    def result(self, **facts: Any) -> None:
        """Whoever started the part gets what it returns."""

    def log(self, line: str) -> None:
        self._whole.log(line)

    def stop_asked(self) -> bool:
        return self._whole.stop_asked()

    def checkpoint(self) -> None:
        self._whole.checkpoint()
        for guard in self.guards:
            guard()
