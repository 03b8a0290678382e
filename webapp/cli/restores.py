"""`pghaven restores`: bring a backup back, into a new database or in place of the present one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click

from storage.errors import Denied, Message, say
from storage.opening import Storage
from storage.restores.plan import Light, RestorePlan, TableChange
from storage.restores.record import RestoreRecord
from storage.restores.request import Mode, Part, RestoreRequest
from storage.restores.undo import UndoPlan
from webapp.cli import answers, destinations, foreground, refusals
from webapp.cli.audited import audited
from webapp.cli.program import opened


@click.group()
def restores() -> None:
    """Bring data back from a backup: all of it or nothing."""


_TARGET = (
    click.argument("backup_id", metavar="ID"),
    click.option("--into", metavar="NEWNAME", help="Into a new database of this name."),
    click.option("--replace", is_flag=True, help="In place of the present database, which is kept."),
    click.option(
        "--merge", is_flag=True, help="Add the tables and rows that the present database lacks; what it has stays."
    ),
    click.option(
        "--tables", metavar="A,B", default="", help="Only the rows of these tables, in place of those that are there."
    ),
    click.option("--data-only", is_flag=True, help="The rows of all tables, in place of those there."),
    click.option("--schema-only", is_flag=True, help="Without any rows."),
    click.option("--no-logs", is_flag=True, help="Without the rows of log tables."),
    click.option("--on", metavar="DATABASE", default="", help="On the server of another database here."),
)


def _with_target(command: Callable[..., int]) -> Any:
    """What is to be put where, as the one request that these options make."""

    @wraps(command)
    def with_request(backup_id: str, **given: Any) -> int:
        return command(_request(backup_id, **{name: given.pop(name) for name in _ASKED}), **given)

    decorated = with_request
    for option in reversed(_TARGET):
        decorated = option(decorated)
    return decorated


@restores.command()
@_with_target
@answers.with_json
def plan(request: RestoreRequest, as_json: bool) -> int:
    """Say what restoring the backup ID would do, and what stands against it. Nothing is changed.

    Fails when something does, as the restore itself would.
    """
    with opened() as storage:
        planned = storage.restores.plan(request)
    if as_json:
        answers.document(planned.to_json())
    else:
        _print_plan(planned, answers.line)
    return refusals.exit_code_of_kind("Conflict") if planned.blocked else refusals.DONE


@restores.command()
@_with_target
@click.option(
    "--from",
    "destination",
    metavar="DESTINATION",
    default="",
    help="Where the archive is missing or damaged here: bring it back from its copy there first.",
)
@destinations.with_identity
@click.option("--yes", is_flag=True, help="Do not ask for the database's name to be typed.")
@answers.with_json
def run(request: RestoreRequest, destination: str, identity: Path | None, yes: bool, as_json: bool) -> int:
    """Restore the backup ID, compare every table with what was counted when it was taken, then give it its name.

    With --replace, a snapshot of the present database is taken first, and it stays as NAME_before_TIME. Until the names
    are swapped, Ctrl-C and every failure leave it as it was.
    """
    with opened() as storage:
        storage.upkeep.settle()  # a killed command may have left its database beside the one that is meant
        catalog = storage.backups.catalog
        if destination and not catalog.check_file(catalog.get(request.backup_id)).good:
            fetched = destinations.fetched(storage, request.backup_id, destination, identity)
            if code := foreground.answer_for(fetched, as_json=as_json):
                return code
        confirmed = _confirmed(storage, request, yes=yes) if request.mode.changes_present else ""
        job, ours = storage.restores.start(request, by=answers.who(), confirmed=confirmed, background=False)
        audited(storage, "restore_requested", request.target or job.database, backup=request.backup_id,
                mode=request.mode.value, job=job.job_id)  # fmt: skip
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        record = storage.restores.get(job.result["restore_id"])
    if as_json:
        answers.document(_facts(record))
    elif record.mode is Mode.MERGE:
        _print_merged(record)
    else:
        _print_restored(record)
    return refusals.DONE


@restores.command()
@click.argument("restore_id", metavar="ID")
@click.option("--drop", is_flag=True, help="Do not keep the database that was restored.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@answers.with_json
def undo(restore_id: str, drop: bool, yes: bool, as_json: bool) -> int:
    """Undo the restore ID: the database that it kept gets its name back.

    What was restored is kept as NAME_undone_TIME. Where the kept database is gone, the snapshot that was taken before
    the restore is restored in its place.
    """
    with opened() as storage:
        storage.upkeep.settle()
        if not yes:
            _ask_for_undo(storage.restores.plan_undo(restore_id), drop=drop)
        job, ours = storage.restores.undo(restore_id, by=answers.who(), drop=drop, background=False)
        audited(storage, "restore_undo_requested", storage.restores.get(restore_id).target, restore=restore_id,
                drop=drop, job=job.job_id)  # fmt: skip
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        record = storage.restores.get(job.result["restore_id"])
    if as_json:
        answers.document(_facts(record))
        return refusals.DONE
    answers.line(f"{record.target} is as it was before the restore {restore_id}.")
    if record.keeps:
        answers.line(f"The database that was restored is kept as {record.kept_as}.")
    return refusals.DONE


@restores.command()
@answers.with_json
def kept(as_json: bool) -> None:
    """List the databases that restores have kept from before. They take room on their servers."""
    with opened() as storage:
        storage.upkeep.settle()
        found = storage.restores.kept()
    if as_json:
        return answers.document([_facts(record) for record in found])
    if not found:
        return answers.line("No database is kept from before a restore.")
    rows = [
        (record.restore_id, record.kept_as, record.server, record.target, answers.moment(record.started_at))
        for record in found
    ]
    return answers.table(("RESTORE", "KEPT AS", "ON THE SERVER OF", "WAS", "SINCE"), rows)


@restores.command()
@click.argument("restore_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask for the database's name to be typed.")
@answers.with_json
def drop(restore_id: str, yes: bool, as_json: bool) -> None:
    """Drop the database that the restore ID kept from before, with everything in it."""
    with opened() as storage:
        name = storage.restores.get(restore_id).kept_as
        confirmed = name if yes else _typed(name)
        record = storage.restores.drop_kept(restore_id, confirmed=confirmed, by=answers.who())
        audited(storage, "restore_kept_dropped", name, restore=restore_id)
    if as_json:
        return answers.document(_facts(record))
    return answers.line(f"Dropped {name}.")


@restores.command("list")
@answers.with_json
def list_(as_json: bool) -> None:
    """List restores, newest first."""
    with opened() as storage:
        storage.upkeep.settle()
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
            _HOW[record.mode],
            record.state.value,
            answers.moment(record.started_at),
            record.kept_as,
        )
        for record in found
    ]
    return answers.table(("ID", "BACKUP", "DATABASE", "HOW", "STATE", "STARTED", "THE OLD ONE"), rows)


def _typed(name: str) -> str:
    if not sys.stdin.isatty():
        raise Denied(
            say("Dropping a database has to be confirmed, and there is no terminal to ask."),
            advice=say("Add --yes to drop %(database)s.", database=name),
        )
    return str(click.prompt(f"Type {name} to drop it", err=True))


def _ask_for_undo(planned: UndoPlan, *, drop: bool) -> None:
    planned.refuse_if_blocked()
    name = planned.request.target
    if planned.request.mode is Mode.TABLES:
        what = (
            f"Give the tables of {name} back the rows from before? Those of now are in a snapshot that is taken first."
        )
    elif drop and planned.swaps:
        what = f"Make {name} what it was before? The database of now is dropped, with all that was written since."
    else:
        what = f"Make {name} what it was before? The database of now is kept beside it."
    if drop and planned.swaps:
        answers.confirm(what, advice=say("Add --yes to drop the %(database)s of now.", database=name))
    else:
        answers.confirm_where_asked(what)


_ASKED = ("into", "replace", "on", "no_logs", "schema_only", "tables", "data_only", "merge")


def _request(
    backup_id: str,
    *,
    into: str | None,
    replace: bool,
    on: str,
    no_logs: bool,
    schema_only: bool,
    tables: str,
    data_only: bool,
    merge: bool,
) -> RestoreRequest:
    if tables or data_only:
        if replace or merge or into is not None or no_logs or schema_only or (tables and data_only):
            raise click.UsageError("--tables and --data-only stand alone: the rows go into the present database.")
        named = [name.strip() for name in tables.split(",") if name.strip()]
        full = tuple(name if "." in name else f"public.{name}" for name in named)
        return RestoreRequest(backup_id=backup_id, mode=Mode.TABLES, on=on, tables=full)
    if (into is not None) + replace + merge > 1:
        raise click.UsageError("--into, --replace and --merge exclude each other.")
    if not replace and not merge and into is None:
        raise click.UsageError("Say where to: --into NEWNAME, --replace, --merge, or --tables A,B.")
    if schema_only and (no_logs or merge):
        raise click.UsageError("--schema-only goes with neither --no-logs nor --merge.")
    return RestoreRequest(
        backup_id=backup_id,
        mode=Mode.REPLACE if replace else Mode.MERGE if merge else Mode.NEW,
        target=into or "",
        on=on,
        part=Part.SCHEMA if schema_only else Part.ALL,
        no_logs=no_logs,
    )


def _confirmed(storage: Storage, request: RestoreRequest, *, yes: bool) -> str:
    """The name that a replacement has to be confirmed with: typed, unless --yes stands for it."""
    backup = storage.backups.catalog.get(request.backup_id)
    name = storage.databases.get(request.on or backup.database).connection.dbname
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


def _print_merged(record: RestoreRecord) -> None:
    inserted, left = (sum(one[name] for one in record.merged.values()) for name in ("inserted", "left_alone"))
    answers.line(
        f"Merged into {record.target}: {inserted:,} rows added, {left:,} left alone, "
        f"in {answers.seconds(record.seconds)}."
    )
    headings = ("TABLE", "ADDED", "LEFT ALONE", "")
    rows = [
        (name, f"{one['inserted']:,}", f"{one['left_alone']:,}", _remark(one)) for name, one in record.merged.items()
    ]
    answers.table(headings, rows)


def _remark(one: Mapping[str, Any]) -> str:
    if "why" in one:
        return str(Message.from_json(one["why"]))
    remarks = ["created"] if one.get("created") else []
    if one.get("clashing"):
        remarks.append(f"{one['clashing']:,} clash with another unique key")
    if one.get("dropped"):
        remarks.append(f"without the columns {', '.join(one['dropped'])}")
    return "; ".join(remarks)


def _print_restored(record: RestoreRecord) -> None:
    how = "all as in" if record.manifest else "counted only, because there is no manifest to compare with, from"
    answers.line(
        f"Data restored: {record.target}, {record.tables_compared} tables, {record.rows_compared:,} rows, {how} "
        f"{record.backup_id}, in {answers.seconds(record.seconds)}."
    )
    if record.loader:
        answers.line(
            f"Everything belongs to the role {record.loader}, which cannot log in: functions came with the archive, "
            "and the server runs some of them as the owner."
        )
    if record.kept_as:
        answers.line(f"The database as it was before is kept as {record.kept_as}.")


def _print_plan(planned: RestorePlan, say_line: Callable[[str], None]) -> None:
    at = answers.moment(planned.backup.started_at)
    if planned.mode is Mode.MERGE:
        say_line(f"{planned.target} on {planned.address} would get the tables and rows that it lacks. The rest stays.")
    elif not planned.backup.ours:
        say_line(f"{planned.target} on {planned.address} would become what the uploaded archive holds.")
        if planned.kept_as:
            say_line(f"The present one would be kept as {planned.kept_as}.")
    elif planned.mode is Mode.REPLACE:
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


_HOW = {Mode.NEW: "new", Mode.REPLACE: "in its place", Mode.TABLES: "rows", Mode.MERGE: "merged", Mode.UNDO: "undone"}
_SIGNS = {Light.GOOD: "good", Light.WARNING: "look at", Light.BAD: "stops"}


def _now(table: TableChange) -> str:
    return _count(table.now) if table.exact or table.now is None else f"about {table.now:,}"


def _count(rows: int | None) -> str:
    return "–" if rows is None else f"{rows:,}"


def _change(table: TableChange) -> str:
    if table.left_out:
        return "left out: will be empty"
    return "–" if table.difference is None else f"{table.difference:+,}" if table.difference else "0"
