"""`pghaven logs cleanup`, `retention`, `archives` and `put-back`: old rows of log tables go, and come back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from storage.clock import to_text
from storage.errors import Denied, NotFound, say
from storage.jobs.model import Job
from storage.logs.cleanup import request as requests
from storage.logs.cleanup.archive import ArchiveFormat, LogArchive
from storage.logs.cleanup.cleanups import Night
from storage.logs.cleanup.preview import Preview
from storage.logs.cleanup.request import NOTHING_DELETED, CleanupRequest
from storage.opening import Storage
from storage.secret import Secret
from webapp.cli import answers, foreground, refusals
from webapp.cli.audited import audited
from webapp.cli.program import opened

HERE, FOR_EVER = "here", "forever"
WHERE = "A destination, or “here” for the data folder."


@click.command()
@click.argument("name")
@click.option("--before", metavar="DATE", help="Rows of this time and older: 2026-01-31, 2026-01-31T13:00.")
@click.option("--after", metavar="DATE", help="Rows of this time and newer.")
@click.option("--days", metavar="N", help="Rows older than so many days.")
@click.option("--table", help="One of the application's log tables; the usage log without it.")
@click.option("--time-column", help="For a table that no application map describes.")
@click.option("--user", metavar="ID,ID", help="Of these users of the application.")
@click.option("--provider", metavar="ID,ID", help="Of these providers.")
@click.option("--status", metavar="CODE,CODE", help="Answered with these status codes.")
@click.option("--status-range", metavar="500-599", help="Answered with a status code from this range.")
@click.option("--blocked", is_flag=True, help="Blocked requests only.")
@click.option("--dry-run", is_flag=True, help="Count what would be deleted, and delete nothing.")
@click.option("--archive", metavar="DESTINATION", is_flag=False, flag_value=HERE,
              help=f"Archive the rows first. {WHERE}")  # fmt: skip
@click.option("--format", "form", type=click.Choice([one.value for one in ArchiveFormat]), default="csv",
              help="Of the archive.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@answers.with_json
def cleanup(
    name: str, dry_run: bool, archive: str | None, form: str, yes: bool, as_json: bool, **conditions: Any
) -> int:
    """Delete old rows of a log table of the database NAME, in short batches, after counting them.

    A row has to fulfil all that is given; without any condition nothing is deleted.
    """
    with opened() as storage:
        storage.databases.get(name)
        wanted = _request(storage, conditions)
        preview = storage.logs.cleanup.preview(name, wanted)
        if dry_run:
            _say_preview(preview, as_json=as_json)
            return refusals.DONE
        if not yes and preview.rows:
            _ask(preview, as_json=as_json, archived=archive is not None)
        job, ours = storage.logs.cleanup.start(
            name, preview.request, by=answers.who(), archive=_destination(archive), form=ArchiveFormat(form),
            background=False,
        )  # fmt: skip
        audited(storage, "logs_cleanup_requested", name, job=job.job_id, request=preview.request.to_json())
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
    return _say_result(name, job, as_json=as_json)


@click.command("retention")
@click.argument("name")
@click.option("--days", "rules", metavar="TABLE=N", multiple=True,
              help=f"Keep rows of a log table for so many days; {FOR_EVER}: nothing is deleted by itself.")  # fmt: skip
@click.option("--archive", metavar="DESTINATION", help=f"Archive the rows first. {WHERE} “none”: do not.")
@answers.with_json
def log_retention(name: str, rules: tuple[str, ...], archive: str | None, as_json: bool) -> None:
    """Decide how long log rows of the database NAME are kept; without options: what is decided, and what goes next."""
    with opened() as storage:
        storage.databases.get(name)
        retention = storage.logs.cleanup
        rule = retention.retentions.of(name)
        if rules or archive is not None:
            days = dict(rule.days)
            for text in rules:
                table, number = _rule(text, [target.table for target in retention.targets(name)])
                days.pop(table, None)
                if number is not None:
                    days[table] = number
            place = rule.archive if archive is None else None if archive == "none" else _destination(archive)
            if place:
                storage.destinations.get(place)
            rule = retention.retentions.change(name, days, archive=place, by=answers.who())
            audited(storage, "log_retention_changed", name, days=dict(rule.days), archive=rule.archive)
        nights = retention.tonight(name)
        at = retention.next_night()
    if as_json:
        facts = {"database": name, "days": dict(rule.days), "archive": rule.archive, "next": to_text(at)}
        return answers.document({**facts, "tables": [_night(one) for one in nights]})
    if not nights:
        return answers.line("Nothing is deleted by itself.")
    rows = [
        (one.table, str(one.days), str(one.preview.rows) if one.preview else str(one.error and one.error.cause))
        for one in nights
    ]
    answers.table(("TABLE", "DAYS", "GOES NEXT"), rows, right=("DAYS", "GOES NEXT"))
    return answers.line(f"The next run: {answers.moment(at)}.")


@click.command()
@click.argument("name", required=False)
@answers.with_json
def archives(name: str | None, as_json: bool) -> None:
    """List archives of log rows, newest first."""
    with opened() as storage:
        found = storage.logs.cleanup.archives.of(name)
    if as_json:
        return answers.document([{"id": one.archive_id, **_facts(one)} for one in found])
    rows = [
        (one.archive_id, one.database, one.table, str(one.rows), answers.size(one.bytes), one.destination or HERE)
        for one in found
    ]
    return answers.table(("ID", "DATABASE", "TABLE", "ROWS", "SIZE", "WHERE"), rows, right=("ROWS", "SIZE"))


@click.command("put-back")
@click.argument("archive_id", metavar="ARCHIVE")
@click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file with the secret key of age, for an encrypted archive.",
)
@answers.with_json
def put_back(archive_id: str, identity: Path | None, as_json: bool) -> int | None:
    """Put the rows of an archive into their table again; those whose id is there stay as they are."""
    key = Secret(identity.read_text(encoding="utf-8")) if identity else None
    with opened() as storage:
        job, ours = storage.logs.cleanup.put_back(archive_id, by=answers.who(), identity=key, background=False)
        audited(storage, "logs_put_back_requested", archive_id, job=job.job_id, database=job.database)
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
    if as_json:
        answers.document({"id": archive_id, "job": job.job_id, **job.result})
        return None
    answers.line(f"{job.result['rows']} rows put back into {job.result['table']}; {job.result['skipped']} were there.")
    return None


def _request(storage: Storage, conditions: dict[str, Any]) -> CleanupRequest:
    """The options are the fields of the page's form."""
    given = {name: "on" if value is True else str(value) for name, value in conditions.items() if value}
    zone = ZoneInfo(storage.settings.time_zone)
    return requests.read(given, zone=zone, now=storage.clock()).checked()


def _destination(choice: str | None) -> str | None:
    return "" if choice == HERE else choice


def _ask(preview: Preview, *, as_json: bool, archived: bool) -> None:
    if as_json or not sys.stdin.isatty():
        if archived:
            return  # they can be put back
        raise Denied(
            say("This has to be confirmed, and there is no terminal to ask."),
            effect=NOTHING_DELETED,
            advice=say("Add --yes to go ahead."),
        )
    answers.note(_in_words(preview))
    click.confirm(f"Delete {preview.rows} rows?", abort=True, err=True)


def _say_preview(preview: Preview, *, as_json: bool) -> None:
    if not as_json:
        return answers.line(_in_words(preview))
    return answers.document(
        {
            "table": preview.target.full,
            "rows": preview.rows,
            "soft_deleted": preview.soft_deleted,
            "bytes": preview.bytes,
            "first": to_text(preview.first),
            "last": to_text(preview.last),
            "days": {str(one.day): one.rows for one in preview.days},
            "request": preview.request.to_json(),
        }
    )


def _in_words(preview: Preview) -> str:
    if not preview.rows:
        return f"No row of {preview.target.full} fulfils this."
    return (
        f"{preview.rows} rows of {preview.target.full}, from {answers.moment(preview.first)} to"
        f" {answers.moment(preview.last)}, about {answers.size(preview.bytes)}."
        f"{' Those are about all that there are.' if preview.everything else ''}"
    )


def _say_result(name: str, job: Job, *, as_json: bool) -> int:
    found = job.result
    if as_json:
        answers.document({"database": name, "job": job.job_id, **found})
        return refusals.DONE
    kept = f" They are in the archive {found['archive_id']}." if found.get("archive_id") else ""
    left = f" {found['left']} are in use and were left." if found["left"] else ""
    answers.line(
        f"{found['rows']} rows of {found['table']} deleted in {found['batches']} batches.{kept}{left}"
        f" {answers.size(found['freed'])} given back to the disk, about {answers.size(found['reusable'])} can be"
        " used again by new rows."
    )
    return refusals.DONE


def _rule(text: str, tables: list[str]) -> tuple[str, int | None]:
    """A table and for how many days its rows are kept; None for ever."""
    table, sign, number = text.partition("=")
    if not sign or not (number == FOR_EVER or (number.isascii() and number.isdigit())):
        raise click.BadParameter(f"TABLE=N or TABLE={FOR_EVER}", param_hint="--days")
    if table not in tables:
        raise NotFound(
            say("The application map names no log table “%(table)s”.", table=table[:80]),
            advice=say("It names: %(tables)s.", tables=", ".join(tables) or "-"),
        )
    return table, None if number == FOR_EVER else int(number)


def _night(one: Night) -> dict[str, Any]:
    return {"table": one.table, "days": one.days, "rows": one.preview.rows if one.preview else None}


def _facts(archive: LogArchive) -> dict[str, Any]:
    facts = archive.to_json()
    del facts["format"]
    return facts
