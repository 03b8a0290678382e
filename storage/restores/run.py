"""Carrying out a restore: verified, made beside the target, compared with the manifest, and only then named.

Whatever ends it before the swap, the target is as it was, and what was half made is dropped.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from storage.backups.record import BackupRecord
from storage.crashpoints import crashpoint
from storage.errors import Conflict, Denied, StorageError, say, say_count
from storage.identifiers import new_id
from storage.jobs.context import JobContext
from storage.jobs.meanwhile import Meanwhile
from storage.jobs.model import Progress
from storage.jobs.part import PartOf
from storage.postgres.archive import Archive
from storage.postgres.archive import read as read_archive
from storage.postgres.connection import Connection, describe
from storage.postgres.snapshot import Session
from storage.postgres.watchdog import Watchdog, patiently
from storage.restores import (
    after,
    beside,
    carry,
    facts,
    merging_run,
    names,
    restricted,
    rows_run,
    selection,
    swap,
)
from storage.restores.compare import Comparison, compare
from storage.restores.endings import ending, not_known, told
from storage.restores.intact import check_sha256
from storage.restores.load import LoadRequest, load
from storage.restores.plan import RestorePlan
from storage.restores.progress import RestoreProgress
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import Mode, RestoreRequest

if TYPE_CHECKING:
    from storage.restores.restorer import Restorer

logger = logging.getLogger(__name__)


class Running:
    """One restore."""

    record: RestoreRecord

    def __init__(self, restorer: Restorer, context: JobContext, folder: Path) -> None:
        self.restorer, self.context, self.folder = restorer, context, folder
        self._settings = restorer.settings
        self.application = f"pghaven {context.job.job_id}"

    def restore(self, request: RestoreRequest) -> None:
        self._begin(request)
        try:
            self._carry_out(request)
        except BaseException as error:
            if not self._undo(error):
                raise
        self.context.result(kept_as=self.record.kept_as, target=self.record.target)
        self.context.log(f"restored as {self.record.target}")

    def _begin(self, request: RestoreRequest) -> None:
        backup = self.restorer.catalog.get(request.backup_id)
        started_at = self.restorer.clock()
        self.record = RestoreRecord(
            restore_id=new_id(started_at),
            backup_id=backup.backup_id,
            database=backup.database,
            mode=request.mode,
            target=request.target or backup.source.database,
            started_at=started_at,
            job_id=self.context.job.job_id,
            by=self.context.job.requested_by,
            on=request.on if request.on != backup.database else "",
            undoes=request.undoes,
        )
        self.save()
        self.context.result(restore_id=self.record.restore_id, backup_id=backup.backup_id)

    def save(self, **changes: object) -> None:
        self.record = self.record.with_(**changes)
        self.restorer.records.save(self.record)

    def _carry_out(self, request: RestoreRequest) -> None:
        if request.mode is Mode.UNDO:
            return self._swap_back(request)
        if request.mode is Mode.TABLES:
            return rows_run.put(self, request)
        if request.mode is Mode.MERGE:
            return merging_run.put(self, request)
        context = self.context
        plan, beside_it, _ = self.made_beside(request)
        connection = self.restorer.profile_of(self.record.server).connection
        if plan.after:
            context.step("after")
            after.run(plan.after, beside_it, folder=self.folder, context=context)
        context.step("swap")
        try:
            with facts.maintenance(connection, avoid=plan.target, application=self.application) as session:
                self._hand_over(session, connection, plan)
                self._name(session)
        except psycopg.Error as error:
            raise describe(error, doing=say("The names could not be swapped.")) from error

    def made_beside(self, request: RestoreRequest) -> tuple[RestorePlan, Connection, Comparison]:
        """The archive restored into a database of its own beside the target, compared, and reached by the connection.

        Where the present data is going to be changed its snapshot is taken meanwhile, and is whole when this returns.
        """
        context = self.context
        context.step("verify")
        backup, path, archive = self.verified(request)
        context.step("look")
        plan = self.plan(request)
        if not request.mode.changes_present:
            return (plan, *self._made(plan, backup, path, archive))
        with Meanwhile(
            context, partial(self.take_snapshot, plan), given_up=say("The restore ended before its snapshot was whole.")
        ) as snapshot:
            beside_it, comparison = self._made(plan, backup, path, archive)
            context.step("snapshot")

            def watch() -> None:
                context.checkpoint()
                if snapshot.progress is not None:
                    context.report(snapshot.progress)

            self.remember_snapshot(snapshot.wait(watch))
        return plan, beside_it, comparison

    def _made(
        self, plan: RestorePlan, backup: BackupRecord, path: Path, archive: Archive
    ) -> tuple[Connection, Comparison]:
        assert plan.installation is not None
        context, chosen = self.context, self._chosen
        self.save(
            target=plan.target,
            beside=names.beside(plan.target, self.record.restore_id),
            owners_kept=not plan.no_owner,
            grants_kept=not plan.no_privileges,
            manifest=backup.ours,
            loader=restricted.role_name(self.record.restore_id) if plan.restricted else "",
        )
        crashpoint("restore:recorded")
        connection = self.restorer.profile_of(self.record.server).connection
        try:
            with facts.maintenance(connection, avoid=plan.target, application=self.application) as session:
                self._create(session, plan)
                beside_it = self._login(session, connection)
        except psycopg.Error as error:
            raise describe(error, doing=say("The database beside the target could not be made.")) from error
        crashpoint("restore:created")
        context.step("load")
        self._load(
            LoadRequest(
                connection=beside_it,
                server_major=plan.server_major,
                installation=plan.installation,
                path=path,
                archive=archive,
                backup=chosen.expected,
                folder=self.folder,
                jobs=self._settings.restore_jobs,
                no_owner=plan.no_owner,
                no_privileges=plan.no_privileges,
                stall_seconds=self._settings.stall_seconds,
                application=self.application,
                left_out=chosen.left_out,
            ),
            self.progress,
        )
        crashpoint("restore:loaded")
        context.step(
            "compare",
            say_count(
                "Compare %(count)s table with the backup",
                "Compare %(count)s tables with the backup",
                count=len(backup.tables),
            )
            if backup.ours
            else say("Count every table: there is no manifest to compare with"),
        )
        comparison = self._compare(beside_it)
        crashpoint("restore:compared")
        return beside_it, comparison

    def _compare(self, beside_it: Connection) -> Comparison:
        context, progress = self.context, self.progress

        def watch() -> None:
            context.checkpoint()
            context.report(progress.value("compare"))

        comparison = compare(
            beside_it,
            self._chosen.expected,
            jobs=self._settings.restore_jobs,
            application=self.application,
            stall_seconds=self._settings.stall_seconds,
            watch=watch,
            on_table=progress.checked,
        )
        self.save(
            tables_compared=comparison.tables,
            tables_equal=comparison.tables - len(comparison.differences) if comparison.manifest else 0,
            rows_compared=comparison.rows,
        )
        comparison.refuse_differences()
        found = "equal to the backup" if comparison.manifest else "counted; there is no manifest to compare with"
        context.log(f"{comparison.tables} tables, {comparison.rows} rows: {found}")
        for table, why in comparison.without_statistics.items():
            context.log(f"{table} has no statistics yet: {why}")
        if not comparison.same_schema:
            context.log("the schema's fingerprint is not the one of the backup; versions of extensions may differ")
        context.report(progress.value("compare"))
        return comparison

    def _swap_back(self, request: RestoreRequest) -> None:
        """Give the database that a restore kept its name back, and keep the restored one, or drop it."""
        context, restorer = self.context, self.restorer
        context.step("look")
        undone = restorer.records.get(request.undoes)
        watchdog = Watchdog(self._settings.stall_seconds)

        def watch() -> None:
            context.checkpoint()
            watchdog.look("asking the server")

        plan = restorer.plan_undo(undone, watch=watch)
        plan.refuse_if_blocked()
        if not plan.swaps:
            raise Conflict(say("%(kept)s is gone.", kept=undone.kept_as), advice=say("Ask for undoing it again."))
        self.save(beside=undone.kept_as, beside_oid=undone.target_oid, target_oid=undone.beside_oid)
        context.step("swap")
        connection = restorer.profile_of(self.record.server).connection
        try:
            with facts.maintenance(connection, avoid=self.record.target, application=self.application) as session:
                self._name(session)
        except psycopg.Error as error:
            raise describe(error, doing=say("The names could not be swapped.")) from error
        if request.drop:
            context.step("drop")
            self._drop_undone()

    def _drop_undone(self) -> None:
        try:
            self.record = self.restorer.drop_kept(self.record)
        except StorageError as error:
            self.context.log(f"{self.record.kept_as} could not be dropped and is kept: {error.cause}")
        else:
            self.context.log(f"{self.record.kept_as} was dropped")

    def verified(self, request: RestoreRequest) -> tuple[BackupRecord, Path, Archive]:
        """The archive, once its bytes are known to be the ones that were written. No server is asked before."""
        restorer, context = self.restorer, self.context
        backup = restorer.catalog.get(request.backup_id)
        path = restorer.catalog.good_archive(backup)
        archive = read_archive(path)
        profile = restorer.profile_of(self.record.server)
        logs = restorer.logs_among(profile, selection.table_names(backup))
        chosen = self._chosen = selection.of(request, backup=backup, archive=archive, logs=logs)
        progress = self.progress = RestoreProgress(
            chosen.expected,
            chosen.entries,
            snapshot=request.mode is not Mode.NEW,
            merge=request.mode is Mode.MERGE,
        )

        def watch() -> None:
            context.checkpoint()
            context.report(progress.value("verify"))

        check_sha256(
            restorer.catalog,
            backup,
            path,
            clock=restorer.clock,
            watch=watch,
            on_bytes=progress.hashed,
            log=context.log,
        )
        return backup, path, archive

    def plan(self, request: RestoreRequest) -> RestorePlan:
        watchdog = Watchdog(self._settings.stall_seconds)

        def watch() -> None:
            self.context.checkpoint()
            watchdog.look("asking the server")

        plan = self.restorer.plan(request, counting_seconds=0, watch=watch)
        plan.refuse_if_blocked()
        self.context.log(
            f"server {plan.server_version}, pg_restore {plan.installation.version if plan.installation else '?'}; "
            f"owners {'left out' if plan.no_owner else 'kept'}, grants {'left out' if plan.no_privileges else 'kept'}"
        )
        return plan

    def take_snapshot(self, plan: RestorePlan, context: JobContext) -> BackupRecord:
        """A backup of the target as it is now. `context` is the job's, or that of a part of it.

        Without content digests where the present database itself is kept, and is the first way back
        (docs/decisions/0010).
        """
        progress = self.progress
        profile = self.restorer.profile_of(self.record.server)

        def report(part: Progress) -> None:
            progress.snapshotted(part.done / part.total if part.total else 0.0)
            whole = progress.value("snapshot")
            context.report(replace(part, step="snapshot", done=whole.done, total=whole.total))

        taken = self.restorer.take_snapshot(
            PartOf(context, report=report),
            profile.with_(
                connection=profile.connection.to(plan.target),
                digests=profile.digests and plan.mode is not Mode.REPLACE,
            ),
        )
        progress.snapshotted(1.0)
        context.log(f"snapshot of {plan.target}: {taken.backup_id}")
        return taken

    def remember_snapshot(self, taken: BackupRecord) -> None:
        self.save(snapshot_id=taken.backup_id)
        self.context.result(snapshot_id=taken.backup_id)

    def _create(self, session: Session, plan: RestorePlan) -> None:
        target_oid = None
        if plan.mode is Mode.REPLACE:
            row = session.execute(
                "SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = %s", (plan.target,)
            ).fetchone()
            target_oid = row[0] if row else None
        watchdog = Watchdog(self._settings.stall_seconds)

        def watch() -> None:
            self.context.checkpoint()
            watchdog.look("creating")

        oid = patiently(session, lambda: beside.create(session, plan, self.record.beside), watch=watch)
        self.save(beside_oid=oid, target_oid=target_oid)
        if target_oid is not None:
            patiently(session, lambda: self._try_properties(session, target_oid), watch=watch)

    def _login(self, session: Session, server: Connection) -> Connection:
        """How the load comes into the database beside: as the role of `connection`, or as one with fewer rights."""
        if not self.record.loader:
            return server.to(self.record.beside)
        watchdog = Watchdog(self._settings.stall_seconds)
        connection = patiently(
            session,
            lambda: restricted.make(
                session,
                self.record.loader,
                server=server,
                database=self.record.beside,
                application=self.application,
            ),
            watch=lambda: watchdog.look("making a role"),
        )
        self.context.log(f"loaded by the role {connection.user}, which has no special rights")
        return connection

    def _load(self, request: LoadRequest, progress: RestoreProgress) -> None:
        try:
            load(request, progress, self.context)
        except Denied as error:
            if not self.record.loader:
                raise
            raise Denied(
                say("The archive does something that takes more rights than an uploaded archive has here."),
                advice=say("The words of PostgreSQL name it. If you trust the archive, restore it by hand with "
                           "pg_restore, and take a backup of that."),
                words=error.words,
            ) from error  # fmt: skip

    def _hand_over(self, session: Session, server: Connection, plan: RestorePlan) -> None:
        if not (name := self.record.loader):
            return
        watchdog = Watchdog(self._settings.stall_seconds)
        if patiently(
            session,
            lambda: restricted.hand_over(
                session,
                name,
                server=server,
                database=self.record.beside,
                owner=plan.owner,
                application=self.application,
            ),
            watch=lambda: watchdog.look("handing over"),
        ):
            self.save(loader="")
            self.context.log(f"everything belongs to {plan.owner} now, and the role {name} is gone")
        else:
            self.context.log(
                f"everything stays with the role {name}, which cannot log in: {plan.owner} is a superuser, and the "
                "server would run functions of the archive as the owner"
            )

    def _try_properties(self, session: Session, target_oid: int) -> None:
        """Whether what belongs to the replaced database can be given to this one: known now, not after hours."""
        try:
            carry.rehearse(session, carry.read(session, target_oid), self.record.beside)
        except psycopg.errors.InsufficientPrivilege as error:
            raise Denied(
                say("The settings or grants of %(name)s cannot be given to a new database.", name=self.record.target),
                advice=say("The words of PostgreSQL name what the role may not do. Connect as a superuser, or take it "
                           "off the database."),
                words=str(error),
            ) from error  # fmt: skip

    def _name(self, session: Session) -> None:
        restorer = self.restorer
        watchdog = Watchdog(self._settings.stall_seconds)
        replaces = self.record.mode is not Mode.NEW

        def watch() -> None:
            # Once the target is closed a request to stop is not looked at: it takes less time than undoing it.
            if self.record.state is RestoreState.RUNNING:
                self.context.checkpoint()
            watchdog.look(self.record.state)

        def change() -> RestoreRecord:
            if not replaces:
                return swap.give_name(session, self.record, save=self._remember)
            return swap.replace(
                session,
                self.record,
                now=restorer.clock(),
                save=self._remember,
                checkpoint=self.context.checkpoint,
            )

        named = patiently(session, change, watch=watch)
        if replaces:
            self.context.log(f"names swapped; nobody could connect for {named.downtime_ms} ms; kept: {named.kept_as}")
        self.finish(named.with_(state=RestoreState.COMPLETED, ended_at=restorer.clock()))

    def finish(self, done: RestoreRecord) -> None:
        # In this order: as long as it is not written that the names were swapped, `_undo` has to look.
        self.restorer.records.save(done)
        self.record = done
        self.restorer.mark_undone(done)

    def _remember(self, record: RestoreRecord) -> None:
        self.record = record
        self.save()

    def _undo(self, error: BaseException) -> bool:
        """Leave the target as it was, and say in the record how this ended. True when the swap turns out to be done:
        the server had carried it out, only its answer was lost. Raises what is to be told instead of `error`."""
        state, refusal = ending(error)
        if self.record.beside or self.record.transaction:
            try:
                self.record = self.restorer.settle(self.record)
            except StorageError as trouble:
                # Its cause alone: that nothing was changed is not known then.
                logger.warning("restore %s could not be settled: %s", self.record.restore_id, trouble.cause)
                self.context.log(
                    f"the server could not be put in order, it is tried again every minute: {trouble.cause}"
                )
            else:
                if self.record.state is RestoreState.COMPLETED:
                    self.context.log(f"it was carried out all the same: {error}")
                    self._save_or_leave()
                    return True
                self.context.log("put in order; the target is as it was")
        if self.record.state is RestoreState.SWAPPING and (self.record.beside or self.record.transaction):
            refusal = told(refusal, effect=not_known(self.record))
        else:
            self._save_or_leave(state=state, ended_at=self.restorer.clock(), error=refusal.to_json())
        if refusal is not error and isinstance(error, Exception):
            raise refusal from error
        return False

    def _save_or_leave(self, **changes: object) -> None:
        """Write how it ended. When that cannot be written, the journal leads `Restores.reconcile` to the same."""
        try:
            self.save(**changes)
        except OSError as trouble:
            logger.warning("how restore %s ended could not be written: %s", self.record.restore_id, trouble)
