"""Restores as the pages and the terminal know them: plan, start, the list, and putting in order what a crash left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from storage.backups.catalog import Catalog
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.errors import Invalid, InvalidRecord, NotFound, StorageError, say
from storage.jobs.model import Job, JobKind
from storage.jobs.runner import JobRunner
from storage.jobs.store import INTERRUPTED, JobStore
from storage.jsonfiles import Records
from storage.locks.filelocks import FileLocks
from storage.postgres.programs import Installation
from storage.restores.plan import RestorePlan
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import Mode, RestoreRequest
from storage.restores.run import Restorer
from storage.settings import Settings
from storage.staging import Staging

logger = logging.getLogger(__name__)


class Restores:
    def __init__(
        self,
        folder: Path,
        *,
        catalog: Catalog,
        runner: JobRunner,
        locks: FileLocks,
        staging: Staging,
        settings: Settings,
        clock: Clock,
        installations: Callable[[], Sequence[Installation]],
        profile_of: Callable[[str], DatabaseProfile],
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
        self._catalog, self._runner, self._locks = catalog, runner, locks
        self._restorer = Restorer(
            catalog=catalog,
            records=self._records,
            locks=locks,
            staging=staging,
            settings=settings,
            clock=clock,
            installations=installations,
            profile_of=profile_of,
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
        if request.mode is Mode.REPLACE:
            target = request.target or self._restorer.profile_of(backup.database).connection.dbname
            if confirmed != target:
                raise Invalid(
                    say("The name of the database that is replaced was not typed: %(name)s.", name=target),
                    advice=say("Type it exactly as it is written."),
                )
            request = RestoreRequest(backup_id=request.backup_id, mode=request.mode, target=target)
        return self._runner.request(
            JobKind.RESTORE,
            database=backup.database,
            parameters={"request": request.to_json()},
            by=by,
            background=background,
        )

    def reconcile(self) -> list[RestoreRecord]:
        """Put in order what crashed or unreachable restores left; returns the records as they are now.

        Cheap when there is nothing to do: call it at start, and every minute or so for servers that were down.
        """
        settled = []
        for record in self._records.all():
            if not record.unsettled or self._locks.is_held(JobStore.lock_name(record.job_id)):
                continue
            state = record.state if record.state.ended else RestoreState.INTERRUPTED
            error = None if record.state.ended else INTERRUPTED
            try:
                now = self._restorer.settle(record, state=state, error=error)
            except StorageError as trouble:
                logger.warning("restore %s cannot be put in order yet: %s", record.restore_id, trouble)
                continue
            settled.append(now if error or now.error else self._keep_error(record, now))
        return settled

    def _keep_error(self, before: RestoreRecord, now: RestoreRecord) -> RestoreRecord:
        kept = now.with_(error=before.error, ended_at=before.ended_at or now.ended_at)
        self._records.save(kept)
        return kept
