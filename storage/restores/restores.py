"""Restores as the pages and the terminal know them: plan, start, the list, and putting in order what a crash left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from storage.applications.maps import ApplicationMap
from storage.backups.catalog import Catalog
from storage.backups.record import BackupRecord
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.errors import NOTHING_CHANGED, Conflict, Invalid, InvalidRecord, LockHeld, NotFound, StorageError, say
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobKind, JobState
from storage.jobs.runner import JobRunner
from storage.jobs.store import INTERRUPTED, JobStore
from storage.jobs.turns import lock_name
from storage.jsonfiles import Records
from storage.locks.filelocks import FileLocks
from storage.postgres.programs import Installation
from storage.restores.endings import not_known
from storage.restores.plan import RestorePlan
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import RestoreRequest
from storage.restores.restorer import Restorer
from storage.restores.undo import UndoPlan
from storage.settings import Settings
from storage.staging import Staging

logger = logging.getLogger(__name__)


class Restores:
    def __init__(
        self,
        folder: Path,
        *,
        catalog: Catalog,
        jobs: JobStore,
        runner: JobRunner,
        locks: FileLocks,
        staging: Staging,
        settings: Settings,
        clock: Clock,
        installations: Callable[[], Sequence[Installation]],
        profile_of: Callable[[str], DatabaseProfile],
        logs_among: Callable[[DatabaseProfile, Collection[str]], Collection[str]],
        application_of: Callable[[Collection[str]], ApplicationMap | None],
        take_snapshot: Callable[[JobContext, DatabaseProfile], BackupRecord],
        on_damaged: Callable[[Path, InvalidRecord], None] = lambda path, error: None,
    ) -> None:
        """`folder` is metadata/restores; `profile_of` raises NotFound for a database that is not registered."""
        self._records: Records[RestoreRecord] = Records(
            folder,
            decode=RestoreRecord.from_json,
            encode=RestoreRecord.to_json,
            identify=lambda record: record.restore_id,
            on_damaged=on_damaged,
        )
        self._catalog, self._jobs, self._runner, self._locks = catalog, jobs, runner, locks
        self._clock = clock
        self._restorer = Restorer(
            catalog=catalog,
            records=self._records,
            locks=locks,
            staging=staging,
            settings=settings,
            clock=clock,
            installations=installations,
            profile_of=profile_of,
            logs_among=logs_among,
            application_of=application_of,
            take_snapshot=take_snapshot,
        )
        runner.register(JobKind.RESTORE, self._restorer)

    def all(self) -> list[RestoreRecord]:
        """Newest first."""
        return self._records.all()[::-1]

    def get(self, restore_id: str) -> RestoreRecord:
        try:
            return self._records.get(restore_id)
        except NotFound:
            raise NotFound(say("There is no restore %(id)s.", id=restore_id[:80])) from None

    def plan(self, request: RestoreRequest) -> RestorePlan:
        """Look at the server and decide; nothing is changed."""
        return self._restorer.plan(request)

    def start(
        self, request: RestoreRequest, *, by: str, confirmed: str = "", background: bool = True
    ) -> tuple[Job, bool]:
        """Ask for a restore; the job, and False when it had been asked for already.

        `confirmed` is the name of the database as somebody typed it: a replacement is Invalid without it. What else
        stands against the restore is said by the job, which makes the plan anew.
        """
        backup = self._catalog.get(request.backup_id)
        server = request.on or backup.database
        if request.mode.changes_present:
            target = request.target or self._restorer.profile_of(server).connection.dbname
            if confirmed != target:
                raise Invalid(
                    say("The name of the database that is replaced was not typed: %(name)s.", name=target),
                    advice=say("Type it exactly as it is written."),
                )
            request = request.with_(target=target)
        return self._runner.request(
            JobKind.RESTORE,
            database=server,
            parameters={"request": request.to_json()},
            by=by,
            background=background,
        )

    def plan_undo(self, restore_id: str) -> UndoPlan:
        """The way back from a restore; nothing is changed."""
        return self._restorer.plan_undo(self.get(restore_id))

    def undo(self, restore_id: str, *, by: str, drop: bool = False, background: bool = True) -> tuple[Job, bool]:
        """Ask for a restore to be undone: the names swapped back, or the snapshot restored where the kept database is
        gone. With `drop` the restored database is not kept. Raises Conflict when there is no way back."""
        plan = self.plan_undo(restore_id)
        plan.refuse_if_blocked()
        request = plan.request.with_(drop=drop and plan.swaps)
        return self.start(request, by=by, confirmed=request.target, background=background)

    def kept(self, *, server: str | None = None) -> list[RestoreRecord]:
        """Restores whose database of before is kept, as far as pghaven knows, newest first."""
        return [record for record in self.all() if record.keeps and server in (None, record.server)]

    def drop_kept(self, restore_id: str, *, confirmed: str, by: str) -> RestoreRecord:
        """Drop the database that a restore kept. `confirmed` is its name as somebody typed it.

        Raises Invalid without it, LockHeld while a job works on the database, Conflict when there is nothing to drop.
        """
        record = self.get(restore_id)
        if not record.keeps:
            raise Conflict(say("This restore keeps no database any more."))
        if confirmed != record.kept_as:
            raise Invalid(
                say("The name of the database that is dropped was not typed: %(name)s.", name=record.kept_as),
                advice=say("Type it exactly as it is written."),
            )
        with self._locks.hold(lock_name(record.server), holder=f"{by} drops {record.kept_as}"):
            return self._restorer.drop_kept(self.get(restore_id))

    def reconcile(self) -> list[RestoreRecord]:
        """Put in order what crashed or unreachable restores left; returns the records as they are now.

        Cheap when there is nothing to do: call it at start, and every minute or so for servers that were down.
        """
        waiting = [record for record in self._records.all() if record.unsettled]
        if not waiting:
            return []
        try:
            with self._locks.hold("settling-restores", holder="putting restores in order"):
                return [settled for record in waiting if (settled := self._put_in_order(record.restore_id))]
        except LockHeld:
            return []

    def unsettled(self, database: str) -> RestoreRecord | None:
        """A restore of this registered database of which something may still be on the server."""
        return next((record for record in self._records.all() if record.server == database and record.unsettled), None)

    def _put_in_order(self, restore_id: str) -> RestoreRecord | None:
        if self._locks.is_held(JobStore.lock_name(self._records.get(restore_id).job_id)):
            return None
        # Read once more: a job writes how it ended before it lets go of its lock, and may have ended just now.
        record = self._records.get(restore_id)
        if not record.unsettled:
            return None
        job = self._job_of(record)
        state = RestoreState(job.state.value) if job and job.error else RestoreState.INTERRUPTED
        error = (job.error if job else None) or INTERRUPTED.to_json()
        try:
            settled = self._restorer.settle(record)
        except StorageError as trouble:
            logger.warning("restore %s cannot be put in order yet: %s", restore_id, trouble.cause)
            if record.state is RestoreState.SWAPPING:
                self._tell_job(job, record, state=state, error={**error, "effect": not_known(record).to_json()})
            return None
        self._restorer.mark_undone(settled)
        if settled.state is not RestoreState.COMPLETED and not record.state.ended:
            error = {**error, "effect": NOTHING_CHANGED.to_json()}
            settled = settled.with_(state=state, ended_at=self._clock(), error=error)
        self._records.save(settled)
        if not record.state.ended:
            self._tell_job(job, settled, state=settled.state, error=settled.error)
        return settled

    def _job_of(self, record: RestoreRecord) -> Job | None:
        try:
            return self._jobs.get(record.job_id)
        except NotFound:
            return None

    def _tell_job(
        self, job: Job | None, record: RestoreRecord, *, state: RestoreState, error: Mapping[str, Any] | None
    ) -> None:
        """Let the record of a job whose process is gone say what is known by now."""
        if job is None:
            return
        found = job.with_(state=JobState(state.value), error=error, ended_at=job.ended_at or self._clock())
        if state is RestoreState.COMPLETED:
            found = found.with_(result={**job.result, "kept_as": record.kept_as, "target": record.target})
        if found != job:
            self._jobs.save(found)
            self._jobs.append_log(job.job_id, f"looked at again: {state.value}")
