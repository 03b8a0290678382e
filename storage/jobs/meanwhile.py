"""A part of a job that goes on beside the job's other work, and has to be whole before the job may go on from there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from storage.errors import JobCancelled, Message
from storage.jobs.context import JobContext
from storage.jobs.model import Progress
from storage.jobs.part import PartOf

Result = TypeVar("Result")


class Meanwhile(Generic[Result]):
    """`work` in a thread, as long as the block lasts.

    When it fails, the next checkpoint of the job raises its error. Leaving the block before it has ended, which only
    an error does, ends it: its own next checkpoint raises JobCancelled with the cause `given_up`.
    """

    def __init__(self, whole: JobContext, work: Callable[[JobContext], Result], *, given_up: Message) -> None:
        self._whole, self._work, self._given_up = whole, work, given_up
        self._stopped = threading.Event()
        self._result: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="meanwhile", daemon=True)
        self.progress: Progress | None = None
        """What the work reported last; None before it has."""

    def __enter__(self) -> Meanwhile[Result]:
        self._whole.guards.append(self._raise_error)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()
        self._whole.guards.remove(self._raise_error)

    def wait(self, watch: Callable[[], None]) -> Result:
        """What came of the work, or its own exception; `watch` is called ten times a second and may raise."""
        while self._thread.is_alive():
            self._thread.join(0.1)
            watch()
        self._raise_error()
        return self._result[0]

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            part = PartOf(self._whole, report=self._note)
            part.guards.append(self._look)
            self._result.append(self._work(part))
        except BaseException as error:  # raised where the job looks next
            self._error = error

    def _note(self, progress: Progress) -> None:
        self.progress = progress

    def _look(self) -> None:
        if self._stopped.is_set():
            error = JobCancelled(self._whole.job.requested_by)
            error.cause = self._given_up
            raise error
