"""Exports of logs: sent while they are made, or made by a job and fetched by who asked for them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Response, flash, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage.errors import Invalid, say
from storage.jobs.model import Job
from storage.logs import filters, scope, usage
from storage.logs.filters import UsageFilter
from storage.logs.formats import MEDIA_TYPES, STREAMED, Format
from webapp import files
from webapp.answers import see
from webapp.audited import audited, audited_if_broken_off
from webapp.current import current_account, current_name, storage
from webapp.logs.blueprint import bp
from webapp.permissions import requires
from webapp.transfer import transferred


@bp.get("/databases/<name>/logs/export")
@requires("see usage logs")
def export(name: str) -> Response:
    """What the filter shows, as a file that is whole when it ends, and as long as it has to be."""
    wanted, form = _wanted(name), format_named(request.args.get("format", "csv"))
    if form not in STREAMED:
        raise Invalid(
            say("A workbook is made by a job, and fetched when it is done."),
            effect=say("Nothing was exported."),
            advice=say("Choose it in the menu of the usage log."),
        )
    rows, file = usage.parameters(wanted), f"{file_stem()}.{form.value}"
    return transferred(
        lambda: storage().logs.exports.stream(name, rows, form),
        of=f"the usage log of {name}",
        name=file,
        mimetype=MEDIA_TYPES[form],
        begun=lambda _: audited("rows_exported", name, format=form.value, file=file, **wanted.to_query()),
        ended=audited_if_broken_off("rows_exported", name, format=form.value, file=file),
    )


@bp.post("/databases/<name>/logs/exports")
@requires("see usage logs")
def start_export(name: str) -> AnyResponse:
    """The same as a job: for a workbook, and for what somebody does not want to wait for."""
    wanted, form = _wanted(name), format_named(request.form.get("format", "csv"))
    job, new = storage().logs.exports.start(name, usage.parameters(wanted), form, name=file_stem(), by=current_name())
    if new:
        audited("rows_export_requested", name, format=form.value, job=job.job_id, **wanted.to_query())
    else:
        flash(_("You had asked for this export already."))
    return see(url_for("jobs.show", job_id=job.job_id))


@bp.get("/exports/<job_id>/download")
@requires("see usage logs")
def download_export(job_id: str) -> Response:
    """The file that a job has made, for who asked for it, within the hour."""
    made = storage().logs.exports.get(job_id, by=current_name())
    scope.refuse_wider(made.job.parameters["rows"], current_account(), made.job.database)
    return files.send(
        made.path, size=made.bytes, sha256=made.sha256, made_at=made.job.ended_at, mimetype=MEDIA_TYPES[made.form]
    )


@bp.post("/exports/<job_id>/cancel")
@requires("see usage logs")
def cancel_export(job_id: str) -> AnyResponse:
    """End one's own export; for those who may not end any job."""
    job = storage().logs.exports.job(job_id, by=current_name())
    if not job.ended:  # it may have ended while the page was on the screen
        storage().jobs.ask_to_stop(job.job_id, by=current_name())
        audited("job_cancel_requested", job.job_id, kind=job.kind.value, database=job.database)
    return see(url_for("jobs.show", job_id=job.job_id))


def format_named(text: str) -> Format:
    """Raises Invalid for one that nobody knows."""
    try:
        return Format(text)
    except ValueError as error:
        raise Invalid(
            say("“%(text)s” is not a format of exports; there are %(formats)s.",
                text=text[:20], formats=", ".join(one.value for one in Format))
        ) from error  # fmt: skip


def file_stem() -> str:
    """usage-logs-2026-11-22-131405, as claude-code-hub names it; of UTC."""
    return f"usage-logs-{storage().clock():%Y-%m-%d-%H%M%S}"


def _wanted(name: str) -> UsageFilter:
    """What is asked for, as far as the account may see it."""
    storage().databases.get(name)
    asked = filters.read(request.values, zone=ZoneInfo(storage().settings.time_zone), beside=("format", "csrf_token"))
    return scope.allowed(asked, current_account(), name)


@bp.app_template_global()
def export_kept_until(job: Job) -> datetime | None:
    """When the file of a finished export goes; None where it is gone."""
    until = storage().logs.exports.until(job)
    return until if until and until > storage().clock() else None
