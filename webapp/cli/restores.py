"""`pghaven restores`: bring a backup back, into a new database or in place of the present one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from storage.errors import Denied, say
from storage.opening import Storage
from storage.restores.plan import Light, RestorePlan, TableChange
from storage.restores.record import RestoreRecord
from storage.restores.request import Mode, RestoreRequest
from webapp.cli import answers, foreground, refusals
from webapp.cli.audited import audited
from webapp.cli.program import opened


@click.group()
def restores() -> None:
    """Bring data back from a backup: all of it or nothing."""


def _with_target(command: Any) -> Any:
    command = click.option("--replace", is_flag=True, help="In place of the present database, which is kept.")(command)
    command = click.option("--into", metavar="NEWNAME", help="Into a new database of this name, on the same server.")(
        command
    )
    return click.argument("backup_id", metavar="ID")(command)


@restores.command()
@_with_target
@answers.with_json
def plan(backup_id: str, into: str | None, replace: bool, as_json: bool) -> int:
    """Say what restoring the backup ID would do, and what stands against it. Nothing is changed.

    Fails when something does, as the restore itself would.
    """
    request = _request(backup_id, into=into, replace=replace)
    with opened() as storage:
        planned = storage.restores.plan(request)
    if as_json:
        answers.document(planned.to_json())
    else:
        _print_plan(planned, answers.line)
    return refusals.exit_code_of_kind("Conflict") if planned.blocked else refusals.DONE


@restores.command()
@_with_target
@click.option("--yes", is_flag=True, help="Do not ask for the database's name to be typed.")
@answers.with_json
def run(backup_id: str, into: str | None, replace: bool, yes: bool, as_json: bool) -> int:
    """Restore the backup ID, compare every table with what was counted when it was taken, then give it its name.

    With --replace, the present database stays as NAME_before_TIME. Until the names are swapped, Ctrl-C and every
    failure leave it as it was.
    """
    request = _request(backup_id, into=into, replace=replace)
    with opened() as storage:
        storage.settle()  # a killed command may have left its database beside the one that is meant
        confirmed = _confirmed(storage, request, yes=yes) if replace else ""
        job, ours = storage.restores.start(request, by=answers.who(), confirmed=confirmed, background=False)
        audited(storage, "restore_requested", request.target or job.database, backup=backup_id,
                mode=request.mode.value, job=job.job_id)  # fmt: skip
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        record = storage.restores.get(job.result["restore_id"])
    if as_json:
        answers.document(_facts(record))
    else:
        _print_restored(record)
    return refusals.DONE


@restores.command("list")
@answers.with_json
def list_(as_json: bool) -> None:
    """List restores, newest first."""
    with opened() as storage:
        storage.settle()
        found = storage.restores.all()
    if as_json:
        return answers.document([_facts(record) for record in found])
    if not found:
        return answers.line("Nothing has been restored yet.")
    rows = [
        (
            record.restore_id,
            record.backup_id,
            record.target,
            "in its place" if record.mode is Mode.REPLACE else "new",
            record.state.value,
            answers.moment(record.started_at),
            record.kept_as,
        )
        for record in found
    ]
    return answers.table(("ID", "BACKUP", "DATABASE", "HOW", "STATE", "STARTED", "THE OLD ONE"), rows)


def _request(backup_id: str, *, into: str | None, replace: bool) -> RestoreRequest:
    if replace and into is not None:
        raise click.UsageError("--into and --replace exclude each other.")
    if not replace and into is None:
        raise click.UsageError("Say where to: --into NEWNAME, or --replace.")
    return RestoreRequest(backup_id=backup_id, mode=Mode.REPLACE if replace else Mode.NEW, target=into or "")


def _confirmed(storage: Storage, request: RestoreRequest, *, yes: bool) -> str:
    """The name that a replacement has to be confirmed with: typed, unless --yes stands for it."""
    backup = storage.backups.catalog.get(request.backup_id)
    name = storage.databases.get(backup.database).connection.dbname
    if yes:
        return name
    if not sys.stdin.isatty():
        raise Denied(
            say("Replacing a database has to be confirmed, and there is no terminal to ask."),
            advice=say("Add --yes to replace %(database)s.", database=name),
        )
    _print_plan(storage.restores.plan(request), answers.note)
    return str(click.prompt(f"Type {name} to replace it", err=True))


def _facts(record: RestoreRecord) -> dict[str, Any]:
    facts = record.to_json()
    del facts["format"]
    return facts | {"error": refusals.in_json(dict(record.error)) if record.error else None}


def _print_restored(record: RestoreRecord) -> None:
    answers.line(
        f"Data restored: {record.target}, {record.tables_compared} tables, {record.rows_compared:,} rows, all as in "
        f"{record.backup_id}, in {answers.seconds(record.seconds)}."
    )
    if record.kept_as:
        answers.line(f"The database as it was before is kept as {record.kept_as}.")


def _print_plan(planned: RestorePlan, say_line: Callable[[str], None]) -> None:
    at = answers.moment(planned.backup.started_at)
    if planned.mode is Mode.REPLACE:
        say_line(f"{planned.target} on {planned.address} would become as it was on {at}.")
        say_line(f"The present one would be kept as {planned.kept_as}.")
    else:
        say_line(
            f"A new database {planned.target} on {planned.address} would be made, as {planned.database} was on {at}."
        )
    say_line("")
    for check in planned.checks:
        say_line(f"  {_SIGNS[check.state]:<8}{check.message}")
        if check.advice and check.state is not Light.GOOD:
            say_line(f"  {'':<8}{check.advice}")
    say_line("")
    headings = ("TABLE", "ROWS NOW", "IN THE BACKUP", "CHANGE")
    rows = [(table.name, _now(table), _count(table.backup), _change(table)) for table in planned.tables]
    for text in answers.columns(headings, rows, right=headings[1:]):
        say_line(text)
    say_line("")
    say_line("It cannot be done now; nothing was changed." if planned.blocked else "Nothing was changed.")


_SIGNS = {Light.GOOD: "good", Light.WARNING: "look at", Light.BAD: "stops"}


def _now(table: TableChange) -> str:
    return _count(table.now) if table.exact or table.now is None else f"about {table.now:,}"


def _count(rows: int | None) -> str:
    return "–" if rows is None else f"{rows:,}"


def _change(table: TableChange) -> str:
    if table.left_out:
        return "left out: will be empty"
    return "–" if table.difference is None else f"{table.difference:+,}" if table.difference else "0"
