"""Everything that restores are planned, carried out and settled with, wired once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg import sql

from storage.applications.maps import ApplicationMap
from storage.backups.catalog import Catalog
from storage.backups.record import BackupRecord
from storage.clock import Clock
from storage.databases.probing import bounded_session
from storage.databases.profile import DatabaseProfile
from storage.errors import Conflict, NotFound, StorageError, say
from storage.jobs.context import JobContext
from storage.jobs.turns import turn
from storage.jsonfiles import Records
from storage.locks.filelocks import FileLocks
from storage.postgres.archive import Archive
from storage.postgres.archive import read as read_archive
from storage.postgres.connection import Connection, describe
from storage.postgres.programs import Installation
from storage.postgres.snapshot import Session
from storage.postgres.watchdog import Watchdog, patiently
from storage.restores import (
    facts,
    restricted,
    rows,
    rows_run,
    selection,
    snapshot,
    steps,
    swap,
    undo,
)
from storage.restores.deciding import decide, with_target
from storage.restores.plan import RestorePlan
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import Mode, RestoreRequest
from storage.restores.rows import RowsFacts
from storage.restores.run import Running
from storage.restores.snapshot import SnapshotFacts
from storage.restores.undo import UndoPlan
from storage.settings import Settings
from storage.staging import Staging

_SETTLE_SECONDS = 60.0
"""How long the server is waited for when a half-made database is dropped; a checkpoint belongs to that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restorer:
    """Everything a restore needs, wired once; called with the context of a job."""

    catalog: Catalog
    records: Records[RestoreRecord]
    locks: FileLocks
    staging: Staging
    settings: Settings
    clock: Clock
    installations: Callable[[], Sequence[Installation]]
    profile_of: Callable[[str], DatabaseProfile]
    logs_among: Callable[[DatabaseProfile, Collection[str]], Collection[str]]
    """Which of a database's tables (schema.table) are logs."""
    application_of: Callable[[Collection[str]], ApplicationMap | None]
    """The application whose tables these are."""
    take_snapshot: Callable[[JobContext, DatabaseProfile], BackupRecord]
    """A backup of a database, taken as a part of the job."""

    def __call__(self, context: JobContext) -> None:
        request = RestoreRequest.from_json(context.job.parameters["request"])
        undoes = request.mode is Mode.UNDO
        command = () if undoes else self.after_restore(self.catalog.get(request.backup_id))
        context.plan(steps.of(request, after=bool(command)))
        context.step("turn")
        with turn(self.locks, context), self.staging.work(context.job.job_id) as folder:
            Running(self, context, folder).restore(request)

    def plan(
        self,
        request: RestoreRequest,
        *,
        counting_seconds: float = facts.COUNTING_SECONDS,
        watch: Callable[[], None] | None = None,
    ) -> RestorePlan:
        """Read the facts and decide; nothing is changed. Without a `watch` of its own, a page waits a few seconds."""
        if watch is None:
            watchdog = Watchdog(min(facts.LOOK_SECONDS, self.settings.stall_seconds))
            watch = partial(watchdog.look, "asking the server")
        backup = self.catalog.get(request.backup_id)
        profile = self.profile_of(request.on or backup.database)
        archive: Archive | StorageError
        try:
            archive = read_archive(self.catalog.good_archive(backup))
        except StorageError as error:
            archive = error
        connection = profile.connection
        if not request.target and request.mode is Mode.NEW:
            present = facts.databases(connection, watch=watch)
            request = with_target(request, backup=backup, dbname=connection.dbname, databases=present)
        request = with_target(request, backup=backup, dbname=connection.dbname, databases=())
        counted = request.target if request.mode.changes_present else connection.dbname
        found = facts.read(
            connection, target=request.target, counted=counted, counting_seconds=counting_seconds, watch=watch
        )
        return decide(
            request,
            backup=self.catalog.get(request.backup_id),
            archive=archive,
            profile=profile,
            facts=found,
            installations=self.installations(),
            now=self.clock(),
            logs=self.logs_among(profile, selection.table_names(backup)),
            after=self.after_restore(backup),
            rows=self._look_at_rows(request, profile, archive, backup) if request.target in found.databases else None,
            snapshot=self._look_for_snapshot(request, profile) if request.target in found.databases else None,
        )

    def _look_at_rows(
        self,
        request: RestoreRequest,
        profile: DatabaseProfile,
        archive: Archive | StorageError,
        backup: BackupRecord,
    ) -> RowsFacts | None:
        if request.mode is not Mode.TABLES or not isinstance(archive, Archive):
            return None
        connection = profile.connection.to(request.target)
        try:
            with bounded_session(connection, application=facts.APPLICATION, seconds=int(facts.LOOK_SECONDS)) as session:
                return rows.look(session, selection.with_rows(request, backup=backup, archive=archive))
        except psycopg.Error as error:
            raise describe(error, doing=say("The server did not say what a restore has to know of it.")) from error

    def after_restore(self, backup: BackupRecord) -> tuple[str, ...]:
        """The command of the backup's application. An archive of a stranger gets none: its triggers and functions would
        work with the rights of whoever runs it."""
        application = self.application_of(backup.tables.keys()) if backup.ours else None
        return application.after_restore if application else ()

    def _look_for_snapshot(self, request: RestoreRequest, profile: DatabaseProfile) -> SnapshotFacts | None:
        if request.mode not in (Mode.REPLACE, Mode.TABLES, Mode.MERGE):
            return None
        return snapshot.look(
            profile.connection.to(request.target),
            database=profile.name,
            catalog=self.catalog,
            settings=self.settings,
            installations=self.installations(),
        )

    def plan_undo(self, record: RestoreRecord, *, watch: Callable[[], None] | None = None) -> UndoPlan:
        """The way back from a restore; nothing is changed."""
        watchdog = Watchdog(min(facts.LOOK_SECONDS, self.settings.stall_seconds))
        watch = watch or partial(watchdog.look, "asking the server")
        connection = self.profile_of(record.server).connection
        found = facts.read(connection, target=record.target, counted="", counting_seconds=0, watch=watch)
        try:
            snapshot_taken = self.catalog.check_file(self.catalog.get(record.snapshot_id))
        except NotFound:
            snapshot_taken = None
        return undo.decide(
            record,
            facts=found,
            databases=facts.oids(connection, watch=watch),
            snapshot=snapshot_taken,
            now=self.clock(),
        )

    def drop_kept(self, record: RestoreRecord) -> RestoreRecord:
        """Drop the database that a restore kept, with every session in it; returns the record as it was saved.

        Raises Conflict when it is another one by now, or was renamed.
        """
        connection = self.profile_of(record.server).connection
        try:
            with facts.maintenance(connection, avoid=record.kept_as, application="pghaven drop") as session:
                present = swap.databases_of(session)
                if record.target_oid in present:
                    if present[record.target_oid] != record.kept_as:
                        raise Conflict(
                            say("%(kept)s has another name by now: %(name)s.",
                                kept=record.kept_as, name=present[record.target_oid]),
                            advice=say("Somebody uses it for something else. Drop it by hand if it is to go."),
                        )  # fmt: skip
                    session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(record.kept_as)))
        except psycopg.Error as error:
            raise describe(error, doing=say("%(kept)s could not be dropped.", kept=record.kept_as)) from error
        record = record.with_(kept_dropped_at=self.clock())
        self.records.save(record)
        return record

    def mark_undone(self, record: RestoreRecord) -> None:
        """Let the restore that `record` undid know of it; does no harm a second time."""
        if record.undoes and record.state is RestoreState.COMPLETED:
            self.records.save(self.records.get(record.undoes).with_(undone_by=record.restore_id))

    def settle(self, record: RestoreRecord) -> RestoreRecord:
        """Bring the server in order after a restore that did not reach its end; the record, COMPLETED when the swap
        had happened, is returned and not saved.

        Raises StorageError when the server cannot be asked; the record is then to be kept as unsettled.
        """
        connection = self.profile_of(record.server).connection
        try:
            with facts.maintenance(connection, avoid=record.target, application="pghaven settle") as session:
                # A server that fell silent is given up, and asked again a minute later.
                watchdog = Watchdog(_SETTLE_SECONDS)
                settled = patiently(
                    session,
                    lambda: _settle(session, record, server=connection),
                    watch=lambda: watchdog.look("settling"),
                )
        except psycopg.Error as trouble:
            raise describe(
                trouble,
                doing=say("The server could not be put in order."),
                advice=say("pghaven tries again every minute. Look whether the server runs, and at its words."),
            ) from trouble
        if settled.state is RestoreState.COMPLETED:
            return settled.with_(ended_at=self.clock(), error=None)
        return settled


def _settle(session: Session, record: RestoreRecord, *, server: Connection) -> RestoreRecord:
    settled = swap.settle(session, record, server=server)
    # After a merge nothing is left that the role could own.
    if record.loader and (record.mode is Mode.MERGE or settled.state is not RestoreState.COMPLETED):
        restricted.remove(session, record.loader)
        settled = settled.with_(loader="")
    if record.mode in (Mode.TABLES, Mode.MERGE):
        return rows_run.settle(session, settled)
    return settled
