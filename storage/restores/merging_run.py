"""Carrying out a merge: the archive restored beside the target, and then one transaction that adds what is missing."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import psycopg

from storage.backups import preflight
from storage.crashpoints import crashpoint
from storage.errors import StorageError
from storage.postgres import archive, commands
from storage.postgres.archive import Entry
from storage.postgres.connection import Connection, connect, write_pass_file
from storage.postgres.copying import CopyMonitor
from storage.postgres.process import run_program
from storage.postgres.snapshot import hang_up
from storage.postgres.watchdog import Watchdog, patiently
from storage.restores import merging_errors, merging_rows
from storage.restores.merging_rows import Merged, MergeRequest, Watch
from storage.restores.plan import RestorePlan
from storage.restores.record import RestoreState

if TYPE_CHECKING:
    from storage.restores.request import RestoreRequest
    from storage.restores.run import Running

logger = logging.getLogger(__name__)


def put(run: Running, request: RestoreRequest) -> None:
    """Do all of it, in the steps that the job has planned."""
    plan, beside, comparison = run.made_beside(request)
    run.context.step("merge")
    wanted = MergeRequest(
        entries=_schema_of(run, plan, beside),
        trusted=plan.backup.ours,
        owners=not plan.no_owner,
        grants=not plan.no_privileges,
        without=plan.without,
    )
    server = run.restorer.profile_of(run.record.server).connection
    done = _merged(run, server.to(plan.target), beside, wanted, rows=comparison.rows)
    crashpoint("merge:committed")
    for name, one in sorted(done.items()):
        run.context.log(_line(name, one))
    told = {name: one.to_json() for name, one in sorted(done.items())}
    run.context.result(
        merged=told,
        inserted=sum(one.inserted for one in done.values()),
        left_alone=sum(one.left_alone for one in done.values()),
    )
    record = run.record.with_(merged=told)
    try:
        record = run.restorer.settle(record)
    except StorageError as trouble:
        # The rows are there for good; the database beside is dropped when the server can be asked again.
        logger.warning("what the merge %s was made from could not be dropped: %s", record.restore_id, trouble.cause)
        run.context.log(f"{record.beside} could not be dropped yet: {trouble.cause}")
    run.finish(record.with_(state=RestoreState.COMPLETED, ended_at=run.restorer.clock()))


def _schema_of(run: Running, plan: RestorePlan, beside: Connection) -> tuple[Entry, ...]:
    """What the database beside is made of, as our own pg_dump says it from the catalogue: definitions of an archive
    that somebody brought could be anything."""
    program = preflight.choose_program(run.restorer.installations(), plan.server_major)
    file = run.folder / "schema"
    environment = {
        **beside.environment(write_pass_file(run.folder, beside), application=run.application),
        **program.environment(),
    }
    command = commands.schema_command(
        program.program("pg_dump"), file, lock_wait_seconds=run.restorer.settings.lock_wait_seconds
    )
    run_program(command, environment=environment, watch=run.context.checkpoint)
    return archive.read(file).entries


def _merged(
    run: Running, target: Connection, beside: Connection, wanted: MergeRequest, *, rows: int
) -> dict[str, Merged]:
    context, progress = run.context, run.progress
    watchdog = Watchdog(run.restorer.settings.stall_seconds)

    def copied(table: str, so_far: int) -> None:
        progress.merged(table, so_far / rows if rows else 1.0)

    def before_commit(transaction: str) -> None:
        run.save(state=RestoreState.SWAPPING, transaction=transaction)
        crashpoint("merge:journal")

    with (
        CopyMonitor(target, application=run.application, on_copying=lambda copying: None) as monitor,
        connect(beside, application=run.application) as source,
        connect(target, application=run.application) as session,
    ):

        def watch() -> None:
            try:
                # Once it is written that the transaction may be committed, it takes less time than finding out.
                if run.record.state is RestoreState.RUNNING:
                    context.checkpoint()
                watchdog.look(monitor.answers)
                context.report(progress.value("merge"))
            except BaseException:
                hang_up(source)
                raise

        work = partial(
            merging_rows.merge,
            session,
            source,
            wanted,
            Watch(rows=copied, log=context.log, before_commit=before_commit),
        )
        try:
            return patiently(session, work, watch=watch)
        except psycopg.Error as error:
            raise merging_errors.explained(error) from error


def _line(name: str, one: Merged) -> str:
    """For the job's log."""
    if one.why is not None:
        return f"{name}: left alone, with {one.left_alone} rows in the archive. {one.why}"
    made = "created, " if one.created else ""
    clashing = f", {one.clashing} of them because of another unique key" if one.clashing else ""
    dropped = f"; columns that it does not have: {', '.join(one.dropped)}" if one.dropped else ""
    return f"{name}: {made}{one.inserted} rows inserted, {one.left_alone} left alone{clashing}{dropped}"
