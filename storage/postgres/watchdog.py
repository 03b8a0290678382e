"""Noticing that nothing happens any more, and waiting for a session without being held by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import psycopg

from storage.errors import Unavailable, say
from storage.postgres.snapshot import hang_up

Result = TypeVar("Result")
Session = psycopg.Connection[tuple[Any, ...]]


class Stalled(Unavailable):
    def __init__(self, seconds: float) -> None:
        super().__init__(
            say("The server has sent nothing for %(seconds)s seconds; waiting was given up.", seconds=round(seconds)),
            advice=say("Look at the network and the server's load. STALL_SECONDS sets how long pghaven waits."),
        )


class Watchdog:
    """Raises Stalled when the evidence of work has not changed for `limit` seconds."""

    def __init__(self, limit: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._now = limit, now
        self._evidence: object = None
        self._changed_at = now()

    def look(self, evidence: object) -> None:
        now = self._now()
        if evidence != self._evidence:
            self._evidence, self._changed_at = evidence, now
        elif now - self._changed_at >= self._limit:
            raise Stalled(now - self._changed_at)


class Pending(Generic[Result]):
    """Work on a session, done in a thread of its own, so that the one who waits can still be cancelled.

    Leaving the block before the work has ended hangs up on the session.
    """

    def __init__(self, session: Session, work: Callable[[], Result]) -> None:
        self._session, self._work = session, work
        self._result: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)

    def __enter__(self) -> Pending[Result]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        while self._thread.is_alive():
            hang_up(self._session)
            self._thread.join(1)

    def wait(self, watch: Callable[[], None]) -> Result:
        """The result, or the work's own exception; `watch` is called ten times a second and may raise."""
        while self._thread.is_alive():
            self._thread.join(0.1)
            watch()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:  # handed to the one who waits
            self._error = error


def patiently(session: Session, work: Callable[[], Result], *, watch: Callable[[], None]) -> Result:
    """Do some work on a session; whatever `watch` raises ends it at once, also when the server is silent."""
    with Pending(session, work) as pending:
        return pending.wait(watch)
