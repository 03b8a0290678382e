"""Carrying out a restore of rows: the archive verified, a snapshot taken, and then one transaction in the target."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from storage.crashpoints import crashpoint
from storage.errors import Unavailable, say
from storage.postgres.connection import connect
from storage.postgres.snapshot import Session
from storage.restores import rows
from storage.restores.record import RestoreRecord, RestoreState

if TYPE_CHECKING:
    from storage.restores.request import RestoreRequest
    from storage.restores.run import Running

logger = logging.getLogger(__name__)


def put(run: Running, request: RestoreRequest) -> None:
    """Do all of it, in the steps that the job has planned."""
    context = run.context
    context.step("verify")
    backup, path, archive = run.verified(request)
    progress = run.progress
    context.step("look")
    plan = run.plan(request)
    assert plan.installation is not None
    tables = tuple(table.name for table in plan.tables)
    run.save(tables=tables)
    context.step("snapshot")
    run.remember_snapshot(run.take_snapshot(plan, context))
    context.step("rows")
    connection = run.restorer.profile_of(run.record.server).connection.to(plan.target)

    def watch(table: str, read: int) -> None:
        context.checkpoint()
        if (facts := backup.tables.get(table)) is not None:
            progress.copying(table, int(facts.rows * min(read / max(facts.bytes, 1), 1.0)))
        context.report(progress.value("rows"))

    def before_commit(transaction: str) -> None:
        run.save(state=RestoreState.SWAPPING, transaction=transaction)
        crashpoint("rows:journal")

    with connect(connection, application=run.application) as session:
        done = rows.replace(
            session,
            rows.RowsRequest(
                path=path,
                archive=archive,
                backup=backup,
                tables=tables,
                installation=plan.installation,
                folder=run.folder,
            ),
            watch=watch,
            before_commit=before_commit,
        )
    crashpoint("rows:committed")
    for table, before in done.before.items():
        context.log(f"{table}: {before} rows replaced by {backup.tables[table].rows}")
    run.finish(
        run.record.with_(
            state=RestoreState.COMPLETED,
            ended_at=run.restorer.clock(),
            tables_compared=done.tables,
            tables_equal=done.tables,
            rows_compared=done.rows,
        )
    )


def settle(session: Session, record: RestoreRecord) -> RestoreRecord:
    """Whether the transaction was committed, asked of the server. Its sessions have ended by then.

    Raises Unavailable when the server does not remember it.
    """
    if not record.transaction:
        return record
    outcome = rows.committed(session, record.transaction)
    if outcome is None:
        raise Unavailable(
            say(
                "It is not known whether the rows were committed: the server does not remember the transaction any "
                "more."
            )
        )
    return record.with_(state=RestoreState.COMPLETED) if outcome else record.with_(transaction="")
