"""Taking a backup: one moment of the database, dumped and counted side by side, read back, and only then published.

Until the last step everything is in a staging folder of the job, so that whatever ends it leaves nothing behind.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storage.backups.catalog import Catalog, archive_name, publish
from storage.backups.dump_errors import named
from storage.backups.dumping import Dump, DumpRequest
from storage.backups.record import BackupKind, BackupRecord, BackupState, Verification
from storage.backups.verify import other_content
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.errors import Damaged, JobCancelled, StorageError, say
from storage.identifiers import new_id
from storage.jobs.context import JobContext
from storage.jobs.turns import turn
from storage.locks.filelocks import FileLocks
from storage.postgres.programs import Installation
from storage.postgres.snapshot import read_only_moment
from storage.settings import Settings
from storage.staging import Staging

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """Everything a take needs, wired once; called with the context of a job."""

    catalog: Catalog
    locks: FileLocks
    staging: Staging
    settings: Settings
    clock: Clock
    installations: Callable[[], Sequence[Installation]]
    profile_of: Callable[[str], DatabaseProfile]
    logs_among: Callable[[DatabaseProfile, Collection[str]], Collection[str]]
    """Which of a database's tables (schema.table) are logs."""

    def __call__(self, context: JobContext) -> None:
        context.plan(
            (
                ("turn", say("Wait for a turn")),
                ("look", say("Look at the server")),
                ("dump", say("Dump the tables")),
                ("count", say("Count rows in the same snapshot")),
                ("verify", say("Read the archive back")),
                ("publish", say("Publish")),
            )
        )
        context.step("turn")
        with turn(self.locks, context):
            self._take(context, partial(self.profile_of, context.job.database), kind=None)

    def snapshot(self, context: JobContext, profile: DatabaseProfile) -> BackupRecord:
        """Take one as a part of another job, which has the database's turn.

        `profile` is the job's database, or another one on its server, under the job's name for it.
        """
        return self._take(context, lambda: profile, kind=BackupKind.SNAPSHOT)

    def _take(
        self, context: JobContext, profile_of: Callable[[], DatabaseProfile], *, kind: BackupKind | None
    ) -> BackupRecord:
        record = self._begin(context, kind)
        try:
            whole = self._make(context, record, profile_of)
        except JobCancelled as error:
            # Without a name nobody asked: the program is being stopped.
            state = BackupState.CANCELLED if error.by else BackupState.INTERRUPTED
            self._close(record, state, error)
            raise
        except StorageError as error:
            self._close(record, BackupState.FAILED, error)
            raise
        except Exception as error:
            self._close(
                record,
                BackupState.FAILED,
                StorageError(say("pghaven itself made a mistake: %(error)s", error=repr(error)[:500])),
            )
            raise
        context.log(f"published as {whole.archive}, {whole.bytes} bytes, SHA-256 {whole.sha256}")
        return whole

    def _begin(self, context: JobContext, kind: BackupKind | None) -> BackupRecord:
        job = context.job
        # Archives are named by the second: the database's lock is ours, so one moment's patience makes the name free.
        while True:
            started_at = self.clock().replace(microsecond=0)
            name = archive_name(job.database, started_at, no_logs=bool(job.parameters.get("no_logs")))
            if not (self.catalog.archives / job.database / name).exists():
                break
            time.sleep(0.05)
        record = BackupRecord(
            backup_id=new_id(started_at),
            database=job.database,
            kind=BackupKind(job.parameters.get("kind", BackupKind.MANUAL)),
            slot=str(job.parameters.get("slot", "")),
            no_logs=bool(job.parameters.get("no_logs")),
            taken_by=job.requested_by,
            job_id=job.job_id,
            started_at=started_at,
        )
        if kind is not None:
            record = record.with_(kind=kind)
        self.catalog.save(record)
        context.result(backup_id=record.backup_id)
        return record

    def _close(self, record: BackupRecord, state: BackupState, error: StorageError) -> None:
        try:
            self.catalog.save(record.move_to(state, ended_at=self.clock(), error=error.to_json()))
        except OSError:
            # What ended the take is to be told, and not this; Catalog.settle closes the record later.
            logger.exception("the end of backup %s could not be written", record.backup_id)

    def _make(
        self, context: JobContext, record: BackupRecord, profile_of: Callable[[], DatabaseProfile]
    ) -> BackupRecord:
        context.step("look")
        profile = profile_of()
        profile = profile.with_(digests=bool(context.job.parameters.get("digests", profile.digests)))
        application = f"pghaven {context.job.job_id}"
        with (
            self.staging.work(context.job.job_id) as folder,
            named(self.catalog.archives, role=profile.connection.user),
            Dump(self._request(record, profile, application, folder), context) as dump,
        ):
            with read_only_moment(profile.connection, application=application) as session:
                record = dump.make(record, session)
            record = self._read_back(context, record, dump)
            context.step("publish")
            return self._publish(record, dump.archive)

    def _request(self, record: BackupRecord, profile: DatabaseProfile, application: str, folder: Path) -> DumpRequest:
        last = self.catalog.find(database=record.database, states={BackupState.COMPLETE})
        return DumpRequest(
            profile=profile,
            logs_among=(lambda tables: self.logs_among(profile, tables)) if record.no_logs else None,
            installations=self.installations(),
            settings=self.settings,
            archives=self.catalog.archives,
            last_size=next((other.bytes for other in last if other.ours and other.no_logs == record.no_logs), None),
            folder=folder,
            application=application,
            unhurried=record.kind is BackupKind.SNAPSHOT,
        )

    def _read_back(self, context: JobContext, record: BackupRecord, dump: Dump) -> BackupRecord:
        context.step("verify")
        started = time.monotonic()

        def watch() -> None:
            context.checkpoint()
            dump.progress.read_back(dump.reading.read / max(record.bytes, 1))
            context.report(dump.progress.value("verify"))

        found, reason = dump.reading.result(watch)
        if found != record.sha256:
            reason = other_content(found, record.sha256)
        seconds = round(time.monotonic() - started, 3)
        if reason is not None:
            raise Damaged(
                say("The archive could not be read back: %(reason)s", reason=reason),
                effect=say("Nothing was kept; earlier backups are as they were."),
                advice=say("Look at the disk, then take the backup again."),
            )
        context.log("archive read in full, SHA-256 equal to what was written")
        dump.progress.read_back(1.0)
        context.report(dump.progress.value("verify"))
        return record.with_(verified=Verification(at=self.clock(), good=True, seconds=seconds))

    def _publish(self, record: BackupRecord, staged: Path) -> BackupRecord:
        name = archive_name(record.database, record.started_at, no_logs=record.no_logs)
        target = self.catalog.archives / record.database / name
        record = record.move_to(
            BackupState.COMPLETE,
            archive=str(target.relative_to(self.catalog.data_folder)),
            ended_at=self.clock(),
        )
        # The copy beside the archive, the archive, the record: whatever is missing after a crash can be told from
        # what is there (Catalog.settle).
        try:
            self.catalog.save_copy(record)
            publish(staged, target)
            self.catalog.save(record)
        except BaseException:
            # Beside a record that says failed, an archive with a copy that says complete would be believed some day.
            self.catalog.withdraw(record)
            raise
        return record
