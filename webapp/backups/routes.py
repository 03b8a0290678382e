"""Routes of backups. Taking and verifying answer with the job; the archive is streamed."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage.backups.changes import changes
from storage.backups.record import BackupRecord, BackupState
from storage.errors import Invalid, NotFound, say
from storage.jobs.model import Job
from webapp import files
from webapp.answers import answer, see
from webapp.audited import audited
from webapp.backups import byhand
from webapp.current import current_name, storage, wants_json
from webapp.language import who
from webapp.openapi import Document, ListQuery, described
from webapp.permissions import requires
from webapp.queries import whole_number

bp = Blueprint("backups", __name__)

TABLES_AT_FIRST = 10
LOG_LINES = 200


@bp.get("/backups")
@requires("see backups")
def index() -> AnyResponse:
    """Backups are listed in the history."""
    return see(url_for("history.show"))


@bp.get("/backups/<backup_id>")
@requires("see backups")
def show(backup_id: str) -> str:
    catalog = storage().backups.catalog
    record = catalog.check_file(catalog.get(backup_id))
    before = catalog.before(record) if record.tables else None
    archive = catalog.archive_path(record) if record.archive else None
    return render_template(
        "backups/show.html",
        record=record,
        changes=changes(record, before),
        before=before,
        shown=None if "all" in request.args else TABLES_AT_FIRST,
        newest_good=None if record.good else _newest_good(record),
        log=storage().jobs.log(record.job_id, last=LOG_LINES) if record.job_id else [],
        job=_job(record.job_id),
        archive=archive,
        restore_lines=byhand.restore_lines(record, archive.name) if archive else (),
        fetch_line=byhand.fetch_line(record, url_for("backups.archive", backup_id=backup_id, _external=True))
        if archive
        else "",
        oldest_major=byhand.oldest_major(record),
        needs_pghaven=bool(record.good and archive and byhand.needs_more_than_pg_restore(archive)),
        destinations=[destination.name for destination in storage().destinations.all()],
        verifying=_verifying(record),
        registered=any(profile.name == record.database for profile in storage().databases.all()),
    )


@bp.get("/backups/<backup_id>/archive")
@requires("download backups")
def archive(backup_id: str) -> AnyResponse:
    """The archive itself. What is damaged, missing or not finished is refused, and the newest good one named."""
    catalog = storage().backups.catalog
    record = catalog.get(backup_id)
    path = catalog.good_archive(record)
    if request.method == "GET":
        part = {"range": request.headers["Range"][:100]} if "Range" in request.headers else {}
        audited("backup_downloaded", backup_id, database=record.database, bytes=record.bytes, **part)
    return files.send(path, size=record.bytes, sha256=record.sha256, made_at=record.ended_at)


@bp.post("/backups")
@requires("take backups")
def take() -> AnyResponse:
    """Start a backup of one database, of several, or of all; the answer is its job, or the list of jobs."""
    names = _asked_for()
    no_logs = _wants_no_logs()
    started = [storage().backups.take(name, no_logs=no_logs, by=current_name()) for name in names]
    for job, _new in started:
        audited("backup_requested", job.database, job=job.job_id, no_logs=no_logs)
    if wants_json():
        return answer([job.to_json() for job, _new in started], status=202)
    if len(started) > 1:
        return see(url_for("jobs.index"))
    return _to_job(*started[0])


@bp.post("/backups/<backup_id>/verify")
@requires("verify backups")
def verify(backup_id: str) -> AnyResponse:
    storage().backups.catalog.get(backup_id)
    job, new = storage().backups.verify(backup_id, by=current_name())
    audited("backup_verify_requested", backup_id, database=job.database, job=job.job_id)
    if wants_json():
        return answer(job.to_json(), status=202)
    return _to_job(job, new)


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupsQuery(ListQuery):
    database: str = ""


@bp.get("/api/backups")
@requires("see backups")
@described({200: list[Document]}, tag="pghaven", query=BackupsQuery, refusals=(404, 422))
def api_index() -> AnyResponse:
    """Newest first, without their tables; `database` narrows, `limit` is at most 1000."""
    database = request.args.get("database") or None
    limit = whole_number("limit", usual=100, least=1, most=1000)
    found = storage().backups.catalog.find(database=database)
    if database and not found:
        storage().databases.get(database)  # a name that nobody knows is a mistake, not an empty list
    return answer([{name: value for name, value in _facts(record).items() if name != "tables"}
                   for record in found[:limit]])  # fmt: skip


@bp.get("/api/backups/<backup_id>")
@requires("see backups")
@described({200: Document}, tag="pghaven", refusals=(404,))
def api_show(backup_id: str) -> AnyResponse:
    """Everything recorded of one backup; its file is looked at first."""
    catalog = storage().backups.catalog
    return answer(_facts(catalog.check_file(catalog.get(backup_id))))


def _facts(record: BackupRecord) -> dict[str, object]:
    path = storage().backups.catalog.archive_path(record) if record.archive else None
    download = url_for("backups.archive", backup_id=record.backup_id) if record.good else None
    return record.to_json() | {"archive": str(path) if path else "", "download": download}


def _asked_for() -> list[str]:
    if "all" in request.values:
        names = [profile.name for profile in storage().databases.all()]
        if not names:
            raise NotFound(say("There is no database yet."), advice=say("Add your first database."))
        return names
    names = list(dict.fromkeys(name for name in request.values.getlist("database") if name))
    if not names:
        raise Invalid(say("No database was chosen."), advice=say("Choose one, and try again."))
    for name in names:
        storage().databases.get(name)
    return names


def _wants_no_logs() -> bool:
    return request.values.get("no_logs", "").lower() in ("on", "1", "true", "yes")


def _to_job(job: Job, new: bool) -> AnyResponse:
    if not new and job.requested_by == current_name():
        flash(_("You asked for this already. It is the same job."))
    elif not new:
        flash(
            _("This was already asked for by %(name)s. There is one job for both of you.", name=who(job.requested_by))
        )
    return see(url_for("jobs.show", job_id=job.job_id))


def _newest_good(record: BackupRecord) -> BackupRecord | None:
    return storage().backups.catalog.newest_good(record.database, besides=record.backup_id)


def _job(job_id: str) -> Job | None:
    try:
        return storage().jobs.get(job_id) if job_id else None
    except NotFound:
        return None  # the record of a job may be gone long before its backup


def _verifying(record: BackupRecord) -> Job | None:
    if record.state not in (BackupState.COMPLETE, BackupState.DAMAGED, BackupState.MISSING):
        return None
    return next(
        (job for job in storage().jobs.active(record.database) if job.parameters.get("backup_id") == record.backup_id),
        None,
    )
