"""Proofs as the pages, the terminal and the schedule thread know them: ask for one, what is due, what a crash left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from storage.backups.catalog import Catalog
from storage.clock import Clock
from storage.errors import Conflict, StorageError, say
from storage.jobs.model import Job, JobKind
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.postgres.connection import Connection
from storage.proofs import scratch
from storage.proofs.due import due
from storage.proofs.prove import Prover

logger = logging.getLogger(__name__)


class Proofs:
    def __init__(
        self,
        *,
        prover: Prover,
        catalog: Catalog,
        jobs: JobStore,
        runner: JobRunner,
        clock: Clock,
        databases: Callable[[], Iterable[str]],
        server: Callable[[], Connection],
        every: timedelta | None,
    ) -> None:
        """`databases` are the registered ones; None for `every` means that nothing is proven by itself."""
        self._catalog, self._jobs, self._runner, self._clock = catalog, jobs, runner, clock
        self._databases, self._server, self._every = databases, server, every
        runner.register(JobKind.PROVE, prover)

    def prove(self, backup_id: str, *, by: str, background: bool = True) -> tuple[Job, bool]:
        """Ask for a proof; the job, and False when it had been asked for already. Raises Conflict for a backup that
        has no archive to prove."""
        record = self._catalog.get(backup_id)
        if not record.good:
            raise Conflict(say("This backup cannot be proven: it is %(state)s.", state=record.state.value))
        return self._runner.request(
            JobKind.PROVE, database=record.database, parameters={"backup_id": backup_id}, by=by, background=background
        )

    def look(self) -> None:
        """What the schedule thread does every minute: drop what a crash left, and ask for one proof that is due."""
        self.sweep()
        if self._every is None or self._jobs.active(kind=JobKind.PROVE):
            return
        tried = self._tried()
        for database in self._databases():
            record = due(
                self._catalog.find(database=database),
                tried_at=tried.get(database),
                now=self._clock(),
                every=self._every,
            )
            if record is not None:
                # One after the other: the next is asked for when this one has ended.
                self.prove(record.backup_id, by="")
                return

    def sweep(self) -> None:
        """Drop the throw-away databases of proofs whose process is gone. Asks no server where there is none."""
        for job in self._jobs.newest_first():
            if job.kind is not JobKind.PROVE or not job.result.get("scratch"):
                continue
            if self._jobs.locks.is_held(self._jobs.lock_name(job.job_id)):
                continue
            try:
                scratch.drop(self._server(), job.job_id)
            except StorageError as error:
                logger.warning("what the proof %s left could not be dropped yet: %s", job.job_id, error)
                continue
            # Read again: its process may have closed the record just now.
            job = self._jobs.get(job.job_id)
            self._jobs.save(replace(job, result={**job.result, "scratch": ""}))

    def _tried(self) -> dict[str, datetime]:
        """When the last proof of each database was asked for."""
        tried: dict[str, datetime] = {}
        for job in self._jobs.newest_first():
            if job.kind is JobKind.PROVE:
                tried.setdefault(job.database, job.requested_at)
        return tried
