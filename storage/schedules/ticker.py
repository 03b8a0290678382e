"""The one schedule thread: looks once a second at what is due, and does it. What is due when, others decide."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from schedule import Scheduler

from storage.clock import Clock
from storage.errors import LockHeld
from storage.locks.filelocks import FileLocks, HeldLock

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0


class Ticker:
    """Only the holder of the lock `scheduler` ticks; whoever does not hold it asks again at every tick."""

    def __init__(self, *, locks: FileLocks, clock: Clock, tick_seconds: float = TICK_SECONDS) -> None:
        self._locks, self._clock, self._tick_seconds = locks, clock, tick_seconds
        self._scheduler = Scheduler()
        self._held: HeldLock | None = None
        self._thread: threading.Thread | None = None
        self._supervisor: threading.Thread | None = None
        self._stopping = threading.Event()
        self._heartbeat: datetime | None = None
        self.restarts = 0
        """How often the thread had to be started again."""

    @property
    def heartbeat(self) -> datetime | None:
        """The last tick; old or None means that nothing happens by itself."""
        return self._heartbeat

    def every(self, seconds: int, name: str, work: Callable[[], object]) -> None:
        """Do `work` every so many seconds, first after the first of them. Call before `start`."""
        self._scheduler.every(seconds).seconds.do(self._do, name, work)

    def start(self) -> None:
        self._stopping.clear()
        self._supervisor = threading.Thread(target=self._supervise, name="schedule supervisor", daemon=True)
        self._supervisor.start()

    def stop(self, *, patience: float = 10.0) -> None:
        self._stopping.set()
        for thread in (self._supervisor, self._thread):
            if thread is not None:
                thread.join(patience)
        self._supervisor = self._thread = None
        if self._held is not None:
            self._held.release()
            self._held = None

    def tick(self) -> None:
        """One look, when the lock is ours or can be had."""
        if not self._may_tick():
            return
        self._follow_the_clock()
        self._scheduler.run_pending()
        self._heartbeat = self._clock()

    def _supervise(self) -> None:
        """Keep one thread ticking. What its loop catches does not end it; what ends it all the same does so once."""
        while not self._stopping.is_set():
            self._thread = threading.Thread(target=self._loop, name="schedule", daemon=True)
            self._thread.start()
            self._thread.join()
            if not self._stopping.wait(self._tick_seconds):
                self.restarts += 1
                logger.error("the schedule thread died; it is started again")

    def _follow_the_clock(self) -> None:
        # schedule goes by the local wall clock: set back, by hand or in the night in which summer ends, it would leave
        # everything undone until the old time comes again.
        now = datetime.now()  # noqa: DTZ005
        for job in self._scheduler.jobs:
            if job.next_run is not None and job.next_run - now > timedelta(seconds=float(job.interval) + 1):
                job.next_run = now

    def _loop(self) -> None:
        while not self._stopping.wait(self._tick_seconds):
            try:
                self.tick()
            except Exception:
                logger.exception("a tick failed; the next one comes all the same")

    def _may_tick(self) -> bool:
        if self._held is None:
            try:
                self._held = self._locks.take("scheduler", holder="the schedule thread")
            except LockHeld:
                return False
        return True

    def _do(self, name: str, work: Callable[[], object]) -> None:
        # An exception that leaves a job would leave it unscheduled for ever: schedule keeps its old time.
        try:
            work()
        except Exception:
            logger.exception("what is done by itself failed: %s", name)
