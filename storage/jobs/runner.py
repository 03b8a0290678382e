"""Carries jobs out: worker threads in the web process, the calling thread at the terminal; the same code in both."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from storage.clock import Clock
from storage.errors import JobCancelled, StorageError, say
from storage.identifiers import new_id
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobKind, JobState
from storage.jobs.store import INTERRUPTED, JobStore
from storage.locks.filelocks import HeldLock

JobCode = Callable[[JobContext], None]
OnProgress = Callable[[Job], None]

logger = logging.getLogger(__name__)


class JobRunner:
    def __init__(self, store: JobStore, *, clock: Clock, workers: int) -> None:
        self._store, self._clock, self._worker_count = store, clock, workers
        self._codes: dict[JobKind, JobCode] = {}
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._held: dict[str, HeldLock] = {}
        self._workers: list[threading.Thread] = []
        self._stopping = threading.Event()

    def register(self, kind: JobKind, code: JobCode) -> None:
        self._codes[kind] = code

    def start(self) -> None:
        """Start the worker threads. They live as long as the program: child processes die with the thread that
        started them (the parent-death signal), so no child may be started from a short-lived one."""
        for number in range(self._worker_count):
            worker = threading.Thread(target=self._work, name=f"jobs-{number + 1}", daemon=True)
            worker.start()
            self._workers.append(worker)

    def stop(self, *, grace: float) -> None:
        """Take no more jobs, give the running ones `grace` seconds, then end them as interrupted."""
        for _ in self._workers:
            self._queue.put(None)
        for worker in self._workers:
            worker.join(timeout=grace if worker is self._workers[0] else 0.1)
        self._stopping.set()
        for worker in self._workers:
            worker.join(timeout=15)
        for job_id in list(self._held):
            self._end(self._store.get(job_id), JobState.INTERRUPTED, INTERRUPTED)

    def request(
        self, kind: JobKind, *, database: str, parameters: Mapping[str, Any], by: str, background: bool = True
    ) -> tuple[Job, bool]:
        """Put a job in the queue; or return the one that already does the same, and False.

        Two people pressing at once get one job: whoever comes second is shown the first one's.
        """
        with self._store.locks.hold("jobs", holder="a request", wait=True):
            for present in self._store.active(database, kind):
                if present.parameters == parameters and self._store.locks.is_held(
                    self._store.lock_name(present.job_id)
                ):
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
            self._store.save(job)
        if background:
            self._queue.put(job.job_id)
        return job, True

    def run_here(self, job: Job, *, on_progress: OnProgress = lambda job: None) -> Job:
        """Carry a requested job out in the calling thread, which must outlive it; returns its record at the end."""
        return self._run(job.job_id, on_progress)

    def _work(self) -> None:
        while (job_id := self._queue.get()) is not None:
            if self._stopping.is_set():
                return
            try:
                self._run(job_id, lambda job: None)
            except Exception:
                logger.exception("job %s could not be closed", job_id)

    def _run(self, job_id: str, on_progress: OnProgress) -> Job:
        job = self._store.get(job_id)
        if (by := self._store.asked_to_stop(job_id)) is not None:
            return self._end(job, JobState.CANCELLED, JobCancelled(by))
        job = job.with_(state=JobState.RUNNING, started_at=self._clock())
        self._store.save(job)
        context = JobContext(
            job,
            clock=self._clock,
            save=self._store.save,
            write_log=lambda text: self._store.append_log(job_id, text),
            asked_to_stop=lambda: "" if self._stopping.is_set() else self._store.asked_to_stop(job_id),
            on_progress=on_progress,
        )
        try:
            self._codes[job.kind](context)
        except JobCancelled as error:
            if self._stopping.is_set():
                return self._end(context.job, JobState.INTERRUPTED, INTERRUPTED)
            return self._end(context.job, JobState.CANCELLED, error)
        except StorageError as error:
            return self._end(context.job, JobState.FAILED, error)
        except Exception as error:
            logger.exception("job %s failed by a fault of pghaven", job_id)
            return self._end(context.job, JobState.FAILED, _fault(error))
        context.finish_steps()
        return self._end(context.job, JobState.COMPLETED, None)

    def _end(self, job: Job, state: JobState, error: StorageError | None) -> Job:
        job = job.with_(state=state, ended_at=self._clock(), error=error.to_json() if error else None)
        if error is not None:
            self._store.append_log(job.job_id, f"{state.value}: {error}")
            if error.words:
                self._store.append_log(job.job_id, error.words)
        self._store.save(job)
        self._store.forget_stop(job.job_id)
        if held := self._held.pop(job.job_id, None):
            self._store.locks.remove(self._store.lock_name(job.job_id))
            held.release()
        return job


def _fault(error: Exception) -> StorageError:
    return StorageError(
        say("pghaven itself made a mistake: %(error)s", error=f"{type(error).__name__}: {error}"[:500]),
        effect=say("The job was ended."),
        advice=say("The program's log has the details. Please report them."),
    )
