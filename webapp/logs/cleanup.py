"""Cleaning up logs: a dry run in the address, its confirmation, rules for every night, archives and their way back."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from flask import flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.backups.record import BackupRecord, BackupState
from storage.errors import Invalid, NotFound, say
from storage.logs.cleanup import request as requests
from storage.logs.cleanup.archive import ArchiveFormat, LogArchive
from storage.logs.cleanup.preview import Preview
from storage.logs.cleanup.request import AGES, CleanupRequest
from webapp.answers import see
from webapp.audited import audited
from webapp.current import current_name, storage
from webapp.logs.bars import bars
from webapp.logs.blueprint import bp
from webapp.permissions import requires

NOT_ARCHIVED, HERE, AT = "none", "here", "at:"
"""What the choice of an archive can be; behind AT stands the name of a destination."""


@bp.get("/databases/<name>/logs/cleanup")
@requires("clean up logs")
def cleanup(name: str) -> str:
    """The form, and below it what a run would delete, once anything is asked for."""
    return _page(name)


@bp.post("/databases/<name>/logs/cleanup")
@requires("clean up logs")
def clean_up(name: str) -> Response | tuple[str, int]:
    storage().databases.get(name)
    wanted = _read(request.form).checked()
    if request.form.get("typed", "").strip() != name:
        return _page(name, wanted=wanted, wrong=True), 422
    job, _new = storage().logs.cleanup.start(
        name, wanted, by=current_name(), archive=_archive(request.form.get("archive", "")), form=_form()
    )
    audited("logs_cleanup_requested", name, job=job.job_id, request=wanted.to_json())
    return see(url_for("jobs.show", job_id=job.job_id))


@bp.post("/databases/<name>/logs/cleanup/retention")
@requires("clean up logs")
def change_log_retention(name: str) -> Response:
    """One field of days for each log table; an empty one keeps its rows for ever."""
    storage().databases.get(name)
    days = {
        target.table: _days(request.form.get(f"days_{target.table}", ""), target.table)
        for target in storage().logs.cleanup.targets(name)
    }
    rule = storage().logs.cleanup.retentions.change(
        name,
        {table: number for table, number in days.items() if number},
        archive=_archive(request.form.get("archive", "")),
        by=current_name(),
    )
    audited("log_retention_changed", name, days=dict(rule.days), archive=rule.archive)
    flash(_("How long the logs of %(name)s are kept is changed.", name=name))
    return see(url_for("logs.cleanup", name=name))


@bp.get("/databases/<name>/logs/archives/<archive_id>/put-back")
@requires("clean up logs")
def confirm_put_back(name: str, archive_id: str) -> str:
    return render_template("logs/put_back.html", name=name, archive=_archive_of(name, archive_id))


@bp.post("/databases/<name>/logs/archives/<archive_id>/put-back")
@requires("clean up logs")
def put_back(name: str, archive_id: str) -> Response:
    archive = _archive_of(name, archive_id)
    job, _new = storage().logs.cleanup.put_back(archive.archive_id, by=current_name())
    audited("logs_put_back_requested", archive.archive_id, job=job.job_id, database=name, table=archive.table)
    return see(url_for("jobs.show", job_id=job.job_id))


def _page(name: str, *, wanted: CleanupRequest | None = None, wrong: bool = False) -> str:
    storage().databases.get(name)
    cleanup = storage().logs.cleanup
    targets = cleanup.targets(name)
    asked = wanted is not None or any(request.args.get(field) for field in (*requests.NAMES, "preview"))
    preview = cleanup.preview(name, wanted or _read(request.args)) if asked else None
    return render_template(
        "logs/cleanup.html",
        name=name,
        targets=targets,
        ages=AGES,
        given=request.form if wanted else request.args,
        preview=preview,
        bars=bars([day.rows for day in preview.days]) if preview else (),
        backup=_backup_with(name, preview) if preview and preview.rows else None,
        newest=_newest(name),
        destinations=[one.name for one in cleanup.destinations.all()],
        wrong=wrong,
        rule=cleanup.retentions.of(name),
        tonight=cleanup.tonight(name),
        at=cleanup.next_night(),
        archives=cleanup.archives.of(name)[:50],
    )


def _read(values: object) -> CleanupRequest:
    assert hasattr(values, "get")
    return requests.read(
        values,  # type: ignore[arg-type]
        zone=ZoneInfo(storage().settings.time_zone),
        now=storage().clock(),
        beside=("preview", "csrf_token", "typed", "archive", "form"),
    )


def _archive(choice: str) -> str | None:
    """The destination, "" for the data folder, None for no archive."""
    match choice:
        case "" | "none":
            return None
        case "here":
            return ""
        case _ if choice.startswith(AT):
            return storage().destinations.get(choice.removeprefix(AT)).name
        case _:
            raise Invalid(say("There is no such place for an archive: “%(name)s”", name=choice[:80]))


def _form() -> ArchiveFormat:
    wanted = request.form.get("form", "csv")
    if wanted not in set(ArchiveFormat):
        raise Invalid(say("There is no format “%(name)s”.", name=wanted[:40]))
    return ArchiveFormat(wanted)


def _days(text: str, table: str) -> int:
    """0 for an empty field: for ever."""
    text = text.strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= requests.MOST_DAYS):
        raise Invalid(
            say("The rows of %(table)s can be kept from 1 to %(most)s days.", table=table, most=requests.MOST_DAYS)
        )
    return int(text)


def _archive_of(name: str, archive_id: str) -> LogArchive:
    archive = storage().logs.cleanup.archives.get(archive_id)
    if archive.database != name:
        raise NotFound(say("There is no archive of log rows %(id)s.", id=archive_id[:80]))
    return archive


def _newest(name: str) -> BackupRecord | None:
    """The newest good backup that has the rows of log tables."""
    good = storage().backups.catalog.find(database=name, states={BackupState.COMPLETE})
    return next((record for record in good if record.good and not record.no_logs), None)


def _backup_with(name: str, preview: Preview) -> BackupRecord | None:
    """The newest backup with log rows, where it is younger than every row that goes. When rows were written nobody
    knows, only which time they bear."""
    newest = _newest(name)
    return newest if newest and preview.last and newest.started_at > preview.last else None
