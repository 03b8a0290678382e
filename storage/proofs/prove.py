"""Carrying out a proof: restored as an ordinary role into a database of its own, compared, dropped, and written down.

Nothing that it does touches the database that the backup is of, or the archive.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from storage.backups.catalog import Catalog
from storage.backups.proof import Outcome, Proof
from storage.backups.record import BackupRecord
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.errors import Denied, JobCancelled, StorageError, Unavailable, say
from storage.jobs.context import JobContext
from storage.postgres.archive import Archive
from storage.postgres.archive import read as read_archive
from storage.postgres.connection import Connection
from storage.postgres.programs import Installation
from storage.postgres.watchdog import Watchdog
from storage.proofs import certificate, lightly, scratch
from storage.proofs.reach import Reach, reach
from storage.restores import facts
from storage.restores.compare import Comparison, compare
from storage.restores.deciding import decide
from storage.restores.facts import ServerFacts
from storage.restores.intact import check_sha256
from storage.restores.load import LoadRequest, load
from storage.restores.plan import Light, RestorePlan
from storage.restores.progress import RestoreProgress
from storage.restores.request import Mode, RestoreRequest
from storage.settings import Settings
from storage.staging import Staging

logger = logging.getLogger(__name__)

AS_THEY_WERE = say("The backup is not proven. Its archive and its database are as they were.")
_DECISIVE = ("archive", "target", "space", "versions")
"""The checks of a restore's plan that a proof cannot do without; what else they look at, it leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prover:
    """Everything a proof needs, wired once; called with the context of a job."""

    catalog: Catalog
    staging: Staging
    settings: Settings
    clock: Clock
    installations: Callable[[], Sequence[Installation]]
    server: Callable[[], Connection]
    """The scratch server, started where it is ours to start. Raises Unavailable where there is none."""

    def __call__(self, context: JobContext) -> None:
        context.plan(
            (
                ("verify", say("Read the archive's checksum")),
                ("look", say("Look at the scratch server")),
                ("load", say("Restore into a throw-away database")),
                ("compare", say("Compare every table with the backup")),
                ("indexes", say("Make the remaining indexes, on emptied tables")),
                ("drop", say("Drop the throw-away database")),
            )
        )
        with self.staging.work(context.job.job_id) as folder:
            _Run(self, context, folder).prove()


class _Run:
    """One proof."""

    def __init__(self, prover: Prover, context: JobContext, folder: Path) -> None:
        self._prover, self._context, self._folder = prover, context, folder
        self._settings = prover.settings
        self._application = f"pghaven {context.job.job_id}"
        self._began = time.monotonic()
        self._proof = Proof(at=prover.clock(), outcome=Outcome.UNTRIED, seconds=0.0)

    def prove(self) -> None:
        context = self._context
        backup = self._prover.catalog.get(str(context.job.parameters["backup_id"]))
        context.result(backup_id=backup.backup_id)
        path, archive, progress = self._intact(backup)
        try:
            compared, missing = self._carry_out(backup, path, archive, progress)
        except JobCancelled:
            raise
        except StorageError as error:
            refusal = _told(error)
            outcome = Outcome.UNTRIED if isinstance(error, Unavailable) else Outcome.FAILED
            self._keep(backup, replace(self._proof, outcome=outcome, reason=refusal.to_json()))
            raise refusal from error
        self._certify(backup, compared, missing)

    def _intact(self, backup: BackupRecord) -> tuple[Path, Archive, RestoreProgress]:
        """The archive, once its bytes are known to be the ones that were written; a damaged one is not tried."""
        prover, context = self._prover, self._context
        context.step("verify")
        path = prover.catalog.good_archive(backup)
        archive = read_archive(path)
        later = lightly.deferred(archive.entries)
        progress = RestoreProgress(backup, tuple(entry for entry in archive.entries if entry.dump_id not in later))

        def watch() -> None:
            context.checkpoint()
            context.report(progress.value("verify"))

        check_sha256(
            prover.catalog,
            backup,
            path,
            clock=prover.clock,
            watch=watch,
            on_bytes=progress.hashed,
            log=context.log,
        )
        return path, archive, progress

    def _carry_out(
        self, backup: BackupRecord, path: Path, archive: Archive, progress: RestoreProgress
    ) -> tuple[Comparison, Reach]:
        context = self._context
        context.step("look")
        server = self._prover.server()
        found = self._look(server)
        plan = self._plan(backup, archive, server, found)
        assert plan.installation is not None
        within = reach(archive, backup, found)
        self._proof = replace(
            self._proof,
            server_version=found.version,
            program=f"pg_restore {plan.installation.version}",
            missing=within.missing,
            without=within.without,
        )
        context.log(
            f"scratch server {found.version}, pg_restore {plan.installation.version}; owners and grants left out"
        )
        for message in within.missing:
            context.log(f"left out: {message}")
        name = scratch.database_name(context.job.job_id)
        # Written down before it is there: whoever finds the job dead knows what to drop.
        context.result(scratch=name)
        context.step("load")
        with scratch.throw_away(
            server,
            plan,
            context.job.job_id,
            superuser=found.superuser,
            application=self._application,
            watch=self._waiting("making the database"),
            on_dropped=lambda: context.result(scratch=""),
        ) as connection:
            request = self._request(connection, plan, backup, path, archive, within)
            later = lightly.deferred(archive.entries) - within.left_out
            load(replace(request, left_out=within.left_out | later), progress, context)
            compared = self._compare(connection, backup, progress, within)
            context.step("indexes")
            if later:
                compared = self._make_indexes(request, later, compared, progress)
            context.step("drop")
        return compared, within

    def _look(self, server: Connection) -> ServerFacts:
        name = scratch.database_name(self._context.job.job_id)
        found = facts.read(
            server, target=name, counted="", counting_seconds=0, watch=self._waiting("asking the scratch server")
        )
        if not (found.superuser or found.create_databases):
            raise Unavailable(
                say("%(role)s may not create databases on the scratch server.", role=found.role),
                advice=say("Name a role that may in SCRATCH_DATABASE_URL."),
            )
        # Whatever it is reached as, what is restored belongs to one ordinary role.
        return replace(found, acts_as=frozenset())

    def _plan(self, backup: BackupRecord, archive: Archive, server: Connection, found: ServerFacts) -> RestorePlan:
        if archive.header.server_major > found.major:
            raise Unavailable(
                say("The backup is of PostgreSQL %(source)s; the scratch server is %(server)s, which cannot restore a "
                    "newer one.", source=archive.header.server_major, server=found.major),
                advice=say("Run: pghaven tools install %(major)s – or name a newer server in SCRATCH_DATABASE_URL.",
                           major=archive.header.server_major),
            )  # fmt: skip
        plan = decide(
            RestoreRequest(
                backup_id=backup.backup_id, mode=Mode.NEW, target=scratch.database_name(self._context.job.job_id)
            ),
            backup=backup,
            archive=archive,
            profile=DatabaseProfile(name=backup.database, connection=server),
            facts=found,
            installations=self._prover.installations(),
            now=self._prover.clock(),
        )
        for check in plan.checks:
            if check.code in _DECISIVE and check.state is Light.BAD:
                raise Unavailable(check.message, advice=check.advice)
        return plan

    def _request(
        self,
        connection: Connection,
        plan: RestorePlan,
        backup: BackupRecord,
        path: Path,
        archive: Archive,
        within: Reach,
    ) -> LoadRequest:
        assert plan.installation is not None
        return LoadRequest(
            connection=connection,
            server_major=plan.server_major,
            installation=plan.installation,
            path=path,
            archive=archive,
            backup=backup,
            folder=self._folder,
            jobs=self._settings.restore_jobs,
            no_owner=True,
            no_privileges=True,
            stall_seconds=self._settings.stall_seconds,
            application=self._application,
            left_out=within.left_out,
        )

    def _make_indexes(
        self, request: LoadRequest, later: frozenset[int], compared: Comparison, progress: RestoreProgress
    ) -> Comparison:
        """What was put off; returns the comparison with the schema as it is then."""
        watch = self._waiting("emptying the tables")
        schema = lightly.make(request, later, progress, self._context, watch=watch)
        self._proof = replace(self._proof, indexes_on_empty=lightly.count(request.archive.entries, later))
        expected = request.backup.schema_fingerprint
        return replace(compared, same_schema=not expected or schema == expected)

    def _compare(
        self, connection: Connection, backup: BackupRecord, progress: RestoreProgress, within: Reach
    ) -> Comparison:
        context = self._context
        context.step("compare")

        def watch() -> None:
            context.checkpoint()
            context.report(progress.value("compare"))

        expected = {name: table for name, table in backup.tables.items() if name not in within.without}
        compared = compare(
            connection,
            backup.with_(tables=expected),
            jobs=self._settings.restore_jobs,
            application=self._application,
            stall_seconds=self._settings.stall_seconds,
            watch=watch,
            on_table=progress.checked,
            analyze=False,
        )
        if backup.ours:
            compared.refuse_differences()
        return compared

    def _certify(self, backup: BackupRecord, compared: Comparison, within: Reach) -> None:
        missing = within.missing
        if not backup.ours:
            missing = (*missing, say("a manifest to compare with: the backup was not taken here"))
        proof = replace(
            self._proof,
            outcome=Outcome.PART if missing else Outcome.WHOLE,
            tables=compared.tables,
            rows=compared.rows,
            missing=missing,
            same_schema=None if missing else compared.same_schema,
        )
        self._keep(backup, proof)
        self._context.result(outcome=proof.outcome.value)
        found = "are equal to the manifest" if backup.ours else "were counted; there is no manifest to compare with"
        self._context.log(f"restored: {compared.tables} tables with {compared.rows} rows {found}")

    def _keep(self, backup: BackupRecord, proof: Proof) -> None:
        """Write it into the record. One that could not be tried takes nothing from one that came off before."""
        job = self._context.job
        proof = replace(
            proof,
            at=self._prover.clock(),
            seconds=round(time.monotonic() - self._began, 3),
            job_id=job.job_id,
            by=job.requested_by,
        )

        def edit(record: BackupRecord) -> BackupRecord:
            before = record.proof
            if proof.outcome is Outcome.UNTRIED and before is not None and before.good:
                return record.with_(proof=replace(before, tried_at=proof.at))
            if not proof.good:
                return record.with_(proof=proof)
            return record.with_(proof=replace(proof, certificate=certificate.sha256(record, proof)))

        self._prover.catalog.change(backup.backup_id, edit)

    def _waiting(self, what: str) -> Callable[[], None]:
        watchdog = Watchdog(self._settings.stall_seconds)

        def watch() -> None:
            self._context.checkpoint()
            watchdog.look(what)

        return watch


def _told(error: StorageError) -> StorageError:
    """The refusal as the page of a backup says it: nobody has to become a superuser for a proof."""
    if isinstance(error, Denied):
        return Denied(
            say("Something in the archive wants rights that an ordinary role does not have."),
            effect=AS_THEY_WERE,
            advice=say("Look at PostgreSQL's words before restoring it as a superuser: what an archive holds is done."),
            words=error.words,
        )  # fmt: skip
    error.effect = AS_THEY_WERE
    return error
