"""Carries jobs out: worker threads in the web process, the calling thread at the terminal; the same code in both."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from storage import reserve
from storage.clock import Clock
from storage.errors import JobCancelled, StorageError, Unavailable, say
from storage.identifiers import new_id
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobKind, JobState
from storage.jobs.store import JobStore, interrupted
from storage.locks.filelocks import HeldLock

JobCode = Callable[[JobContext], None]
OnProgress = Callable[[Job], None]

logger = logging.getLogger(__name__)


class JobRunner:
    def __init__(self, store: JobStore, *, clock: Clock, workers: int) -> None:
        self._store, self._clock, self._worker_count = store, clock, workers
        self._codes: dict[JobKind, JobCode] = {}
        self._listeners: list[Callable[[Job], object]] = []
        self._begin_listeners: list[Callable[[Job], object]] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._held: dict[str, HeldLock] = {}
        self._workers: list[threading.Thread] = []
        self._draining, self._stopping = threading.Event(), threading.Event()
        self._unwritten: dict[str, Job] = {}
        """How jobs ended whose record found no room on the disk."""

    def register(self, kind: JobKind, code: JobCode) -> None:
        self._codes[kind] = code

    def on_end(self, listener: Callable[[Job], object]) -> None:
        """Have `listener` called with the record of every job that ended, after it let go of its lock.

        In the thread that did the job, or that found its process gone: whatever takes longer than writing a file
        belongs into a job of its own. What a listener raises is logged and changes nothing for the job.
        """
        self._listeners.append(listener)

    def on_begin(self, listener: Callable[[Job], object]) -> None:
        """The same for every job that begins to be carried out."""
        self._begin_listeners.append(listener)

    def start(self) -> None:
        """Start the worker threads. They live as long as the program: child processes die with the thread that
        started them (the parent-death signal), so no child may be started from a short-lived one."""
        for number in range(self._worker_count):
            worker = threading.Thread(target=self._work, name=f"jobs-{number + 1}", daemon=True)
            worker.start()
            self._workers.append(worker)

    def stop(self, *, grace: float) -> None:
        """Begin no more jobs, give the running ones `grace` seconds together, then end them as interrupted."""
        self._draining.set()
        for _ in self._workers:
            self._queue.put(None)
        self._join(grace)
        self._stopping.set()
        self._join(15)
        for job_id in list(self._held):
            try:
                job = self._store.get(job_id)
            except StorageError:
                # A record that cannot be read keeps nobody from stopping, and its lock from nobody.
                logger.exception("the end of job %s could not be written", job_id)
                self._let_go(job_id)
            else:
                self._end(job, JobState.INTERRUPTED, interrupted(job))

    def close_again(self) -> list[Job]:
        """Write the ends that a full disk kept from being written; returns those that are written now. Call it before
        `JobStore.mark_interrupted`, which knows less of these jobs."""
        written = []
        for job in list(self._unwritten.values()):
            self._store.save(job)
            self._store.forget_stop(job.job_id)
            del self._unwritten[job.job_id]
            written.append(job)
        return written

    def _join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            worker.join(timeout=max(0.0, deadline - time.monotonic()))

    def request(
        self,
        kind: JobKind,
        *,
        database: str,
        parameters: Mapping[str, Any],
        by: str,
        background: bool = True,
        same: Callable[[Job], bool] | None = None,
    ) -> tuple[Job, bool]:
        """Put a job in the queue; or return the one that already does the same, and False.

        Two people pressing at once get one job: whoever comes second is shown the first one's. `same` says which other
        one of this kind and database does; without it, one with equal parameters.
        """
        with self._store.locks.hold("jobs", holder="a request", wait=True):
            for present in self._store.active(database, kind):
                equal = same(present) if same else present.parameters == parameters
                if equal and self._store.locks.is_held(self._store.lock_name(present.job_id)):
                    return present, False
            now = self._clock()
            job = Job(
                job_id=new_id(now),
                kind=kind,
                database=database,
                parameters=parameters,
                requested_by=by,
                requested_at=now,
                pid=os.getpid(),
            )
            self._held[job.job_id] = self._store.locks.take(
                self._store.lock_name(job.job_id), holder=f"process {os.getpid()}"
            )
            try:
                self._store.save(job)
            except BaseException as error:
                self._let_go(job.job_id)
                if isinstance(error, OSError):
                    raise _disk_full(error, begun=False) from error
                raise
        if background:
            self._queue.put(job.job_id)
        return job, True

    def run_here(self, job: Job, *, on_progress: OnProgress = lambda job: None) -> Job:
        """Carry a requested job out in the calling thread, which must outlive it; returns its record at the end."""
        return self._run(job.job_id, on_progress)

    def _work(self) -> None:
        while (job_id := self._queue.get()) is not None:
            if self._draining.is_set():
                return
            try:
                self._run(job_id, lambda job: None)
            except Exception:
                logger.exception("job %s could not be closed", job_id)
                self._let_go(job_id)

    def _run(self, job_id: str, on_progress: OnProgress) -> Job:
        job = self._store.get(job_id)
        if (by := self._store.asked_to_stop(job_id)) is not None:
            return self._end(job, JobState.CANCELLED, JobCancelled(by))
        job = job.with_(state=JobState.RUNNING, started_at=self._clock())
        context = JobContext(
            job,
            clock=self._clock,
            save=self._store.save,
            write_log=lambda text: self._store.append_log(job_id, text),
            asked_to_stop=lambda: "" if self._stopping.is_set() else self._store.asked_to_stop(job_id),
            on_progress=on_progress,
        )
        try:
            self._store.save(job)
            self._call(self._begin_listeners, job)
            self._codes[job.kind](context)
        except JobCancelled as error:
            if self._stopping.is_set():
                return self._end(context.job, JobState.INTERRUPTED, interrupted(context.job))
            return self._end(context.job, JobState.CANCELLED, error)
        except StorageError as error:
            return self._end(context.job, JobState.FAILED, error)
        except Exception as error:
            if isinstance(error, OSError) and reserve.is_full(error):
                return self._end(context.job, JobState.FAILED, _disk_full(error, begun=True))
            logger.exception("job %s failed by a fault of pghaven", job_id)
            return self._end(context.job, JobState.FAILED, _fault(error))
        with suppress(OSError):  # the end, written next, has the steps, too
            context.finish_steps()
        return self._end(context.job, JobState.COMPLETED, None)

    def _end(self, job: Job, state: JobState, error: StorageError | None) -> Job:
        job = job.with_(state=state, ended_at=self._clock(), error=error.to_json() if error else None)
        if error is not None:
            with suppress(OSError):  # the record says it, too
                self._store.append_log(job.job_id, f"{state.value}: {error}")
                if error.words:
                    self._store.append_log(job.job_id, error.words)
        try:
            self._store.save(job)
            self._store.forget_stop(job.job_id)
        except OSError:
            logger.exception("the end of job %s could not be written; it is tried again every minute", job.job_id)
            self._unwritten[job.job_id] = job
        finally:
            # Whatever could be written: who asks for the same again gets a new job, and not this one for ever.
            self._let_go(job.job_id)
        self.tell(job)
        return job

    def tell(self, job: Job) -> None:
        """Call the listeners for a job that ended, here or in a process that is gone."""
        self._call(self._listeners, job)

    def _call(self, listeners: Sequence[Callable[[Job], object]], job: Job) -> None:
        for listener in listeners:
            try:
                listener(job)
            except Exception:
                logger.exception("what follows the beginning or end of job %s failed", job.job_id)

    def _let_go(self, job_id: str) -> None:
        if held := self._held.pop(job_id, None):
            self._store.locks.remove(self._store.lock_name(job_id))
            held.release()


def _disk_full(error: OSError, *, begun: bool) -> StorageError:
    return Unavailable(
        say("The data folder cannot be written: %(reason)s.", reason=error.strerror or str(error)),
        effect=say("The job was ended.") if begun else say("The job was not begun."),
        advice=say("Make room on its disk, then start the job again."),
    )


def _fault(error: Exception) -> StorageError:
    return StorageError(
        say("pghaven itself made a mistake: %(error)s", error=f"{type(error).__name__}: {error}"[:500]),
        effect=say("The job was ended."),
        advice=say("The program's log has the details. Please report them."),
    )
