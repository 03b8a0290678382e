"""Routes of jobs. The job's page polls its panel and the end of its log; both stop asking when the job has ended."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, make_response, render_template, request, send_file, url_for
from werkzeug.wrappers import Response as AnyResponse

from storage.backups.protection import protection
from storage.backups.record import BackupRecord, BackupState
from storage.errors import NotFound
from storage.jobs.model import Job, JobKind
from webapp.answers import answer, see
from webapp.audited import audited
from webapp.current import current_name, storage, wants_fragment, wants_json
from webapp.jobs.milestones import milestone
from webapp.openapi import Document, ListQuery, described
from webapp.permissions import requires
from webapp.queries import whole_number
from webapp.unchanged import stamp_of
from webapp.visible_jobs import the_job, visible

bp = Blueprint("jobs", __name__)

LINES = 200
"""How much of a log is shown; the whole of it can be downloaded."""
PAGE_SIZE = 50


@bp.get("/jobs")
@requires("see backups")
def index() -> str:
    jobs = visible(storage().jobs.newest_first())
    active = [job for job in reversed(jobs) if not job.ended]
    ended = [job for job in jobs if job.ended]
    pages = max(1, -(-len(ended) // PAGE_SIZE))
    page = min(max(1, request.args.get("page", 1, type=int)), pages)
    return render_template(
        "jobs/_active_again.html" if wants_fragment() else "jobs/index.html",
        active=active,
        ended=ended[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
        total=len(ended),
        page=page,
        pages=pages,
        changed=request.args.get("seen") != stamp_of(active),
    )


@bp.get("/jobs/<job_id>")
@requires("see backups")
def show(job_id: str) -> AnyResponse:
    job = the_job(job_id)
    if wants_fragment():
        return _panel(job)
    return make_response(
        render_template(
            "jobs/show.html",
            **_facts(job),
            lines=storage().jobs.log(job_id, last=LINES),
            read=len(storage().jobs.log(job_id)),
            last_time=_last_time(job),
            registered=any(profile.name == job.database for profile in storage().databases.all()),
        )
    )


@bp.get("/jobs/<job_id>/log")
@requires("see backups")
def log(job_id: str) -> AnyResponse:
    """The lines after the first `after`; 204 when there are none and more may come."""
    job = the_job(job_id)
    after = max(0, request.args.get("after", 0, type=int))
    lines = storage().jobs.log(job_id)
    if len(lines) <= after and not job.ended:
        return Response(status=204)
    new = lines[after:][-LINES:]
    return make_response(render_template("jobs/_log_lines.html", job=job, lines=new, read=max(after, len(lines))))


@bp.get("/jobs/<job_id>/log.txt")
@requires("see backups")
def whole_log(job_id: str) -> AnyResponse:
    path = storage().jobs.log_file(the_job(job_id).job_id)
    if not path.exists():
        return Response("", mimetype="text/plain")
    return send_file(path, mimetype="text/plain", as_attachment=True, download_name=f"job_{job_id}.log")


@bp.get("/jobs/<job_id>/cancel")
@requires("cancel jobs")
def confirm_cancel(job_id: str) -> AnyResponse:
    """The question, for whom no dialog opens."""
    job = the_job(job_id)
    if job.ended:
        return see(url_for("jobs.show", job_id=job_id))
    return make_response(render_template("jobs/cancel.html", **_facts(job)))


@bp.post("/jobs/<job_id>/cancel")
@requires("cancel jobs")
def cancel(job_id: str) -> AnyResponse:
    job = the_job(job_id)
    if not job.ended:  # it may have ended while the question was on the screen
        job = storage().jobs.ask_to_stop(job_id, by=current_name())
        audited("job_cancel_requested", job_id, kind=job.kind.value, database=job.database)
    if wants_json():
        return answer(storage().jobs.get(job_id).to_json(), status=202)
    return see(url_for("jobs.show", job_id=job_id))


@bp.get("/api/jobs")
@requires("see backups")
@described({200: list[Document]}, tag="pghaven", query=ListQuery, refusals=(422,))
def api_index() -> AnyResponse:
    """Jobs, newest first; `limit` is at most 1000."""
    limit = whole_number("limit", usual=100, least=1, most=1000)
    return answer([job.to_json() for job in visible(storage().jobs.newest_first())[:limit]])


@bp.get("/api/jobs/<job_id>")
@requires("see backups")
@described({200: Document}, tag="pghaven", refusals=(404,))
def api_show(job_id: str) -> AnyResponse:
    """One job: its steps, its progress and what came of it."""
    return answer(the_job(job_id).to_json())


def _panel(job: Job) -> AnyResponse:
    response = make_response(render_template("jobs/_panel.html", **_facts(job)))
    response.headers["Cache-Control"] = "no-store"
    return response


def _facts(job: Job) -> dict[str, object]:
    now = storage().clock()
    reached = milestone(job)
    stopping = not job.ended and storage().jobs.asked_to_stop(job.job_id) is not None
    running_for = (job.ended_at or now) - job.started_at if job.started_at else timedelta()
    return {
        "job": job,
        "stopping": stopping,
        # The page's head is sent again only when it says something else than the one that is there.
        "changed": (request.args.get("was"), request.args.get("stopping", "0"))
        != (job.state.value, str(int(stopping))),
        "milestone": reached,
        # What the page has heard already. A page that asks for the first time has been told by itself.
        "news": request.args.get("said", reached) != reached,
        "pace": 1 if running_for < timedelta(minutes=2) else 2,
        "running_for": running_for.total_seconds(),
        "record": _record(job),
        "before_this": _before_this(job),
        "kept": _kept(job),
    }


def _record(job: Job) -> BackupRecord | None:
    """The backup that the job made or looked at."""
    backup_id = job.result.get("backup_id") or job.parameters.get("backup_id")
    try:
        return storage().backups.catalog.get(str(backup_id)) if backup_id else None
    except NotFound:
        return None


def _before_this(job: Job) -> int:
    """How many jobs a waiting one waits for, at most; those that are not shown as well."""
    if job.started_at or job.ended:
        return 0
    return sum(other.requested_at < job.requested_at for other in storage().jobs.active())


def _kept(job: Job) -> tuple[int, BackupRecord | None]:
    """How many good backups the database has, and the newest: what stays when this job is cancelled."""
    if job.ended:
        return 0, None
    good = storage().backups.catalog.find(database=job.database, states={BackupState.COMPLETE})
    return len(good), protection(job.database, good, now=storage().clock()).newest_good


def _last_time(job: Job) -> BackupRecord | None:
    """The good backup of the same sort before this one: what size and duration to expect."""
    if job.kind is not JobKind.TAKE:
        return None
    good = storage().backups.catalog.find(database=job.database, states={BackupState.COMPLETE})
    return next(
        (
            record
            for record in good
            if record.ours
            and record.started_at < job.requested_at
            and record.no_logs == bool(job.parameters.get("no_logs"))
        ),
        None,
    )
