"""Backups and restores as Story 1.7's client knows them: its addresses, its fields, and the errors of its framework."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal

from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import HTTPException

from storage.backups.record import BackupRecord, BackupState
from storage.clock import to_text
from storage.errors import Conflict, Invalid, NotFound, StorageError, Unavailable, say
from storage.jobs.model import Job, JobKind, JobState
from storage.restores.request import Mode, RestoreRequest
from webapp import streams
from webapp.answers import answer
from webapp.api.hub import database_asked_for
from webapp.audited import audited
from webapp.bodies import json_object
from webapp.current import current_name, storage
from webapp.errors import status_of, with_headers
from webapp.language import sentences, translated
from webapp.openapi import described, shown
from webapp.permissions import requires
from webapp.queries import whole_number

bp = Blueprint("story", __name__)

TAG = "Backups and restores"
SUCCESSFUL = frozenset({BackupState.COMPLETE, BackupState.TRASHED, BackupState.ERASED})
"""Retention lets go of backups that were good."""
UNDER_WAY = frozenset({BackupState.TAKING})
USUAL_SPAN = timedelta(days=30)
WAIT_SECONDS = 240
"""How long POST /api/backup is answered with the backup's end; clients of HTTP give up after five minutes."""
LOOK_EVERY = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class StoryRefusal:
    statusCode: int
    message: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupMetadata:
    id: str
    timestamp: str
    status: Literal["success", "failed", "running"]
    """Their two, and `running` for one that has not ended."""
    fileSize: int
    filePath: str
    """Inside the folder of BACKUP_STORAGE_PATH: where that is on the machine is nobody's business."""
    checksum: str
    """SHA-256 of the archive."""
    workspaceId: str
    """The name under which the database is looked after here."""
    databaseName: str
    errorMessage: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupStatus:
    """Of the newest backup that has ended; nothing when there is none."""

    lastBackupTime: str | None = None
    lastBackupStatus: Literal["success", "failed"] | None = None
    lastBackupFileSize: int | None = None
    lastBackupFilePath: str | None = None
    lastBackupError: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    backups: list[BackupMetadata]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreAnswer:
    restoreId: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreStatus:
    restoreId: str
    status: Literal["running", "completed", "failed"]
    progress: int
    """Percent."""
    message: str
    startedAt: str
    completedAt: str | None = None
    errorMessage: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseQuery:
    database: str = ""
    """The name of a database here; without it the default one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryQuery(DatabaseQuery):
    startDate: str = ""
    """ISO 8601; 30 days ago without it."""
    endDate: str = ""
    status: str = ""
    """success or failed."""
    limit: int = 50
    """1 to 100."""
    offset: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupOrder(DatabaseQuery):
    wait: int = WAIT_SECONDS
    """For how many seconds at most the answer may wait for the end of the backup."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreOrder:
    backupId: str


@bp.get("/api/backup/status")
@requires("see backups")
@described({200: BackupStatus}, tag=TAG, query=DatabaseQuery, refused=StoryRefusal, refusals=(404,))
def backup_status() -> Response:
    """How the newest backup that has ended went."""
    newest = next(iter(_ended(database_asked_for(""))), None)
    if newest is None:
        return answer({})
    facts = _metadata(newest)
    return _answer(
        BackupStatus(
            lastBackupTime=facts.timestamp,
            lastBackupStatus="success" if facts.status == "success" else "failed",
            lastBackupFileSize=facts.fileSize or None,
            lastBackupFilePath=facts.filePath or None,
            lastBackupError=facts.errorMessage,
        )
    )


@bp.get("/api/backup/history")
@requires("see backups")
@described({200: History}, tag=TAG, query=HistoryQuery, refused=StoryRefusal, refusals=(400, 404))
def history() -> Response:
    """Backups that have ended, newest first; those of the last 30 days unless asked otherwise."""
    arguments = request.args
    limit = whole_number("limit", usual=50, least=1, most=100)
    offset = whole_number("offset", usual=0, most=10**9)
    status = arguments.get("status", "")
    if status not in ("", "success", "failed"):
        raise Invalid(say("status is success or failed."))
    now = storage().clock()
    until = _moment(arguments.get("endDate", ""), "endDate", end=True) or now
    since = _moment(arguments.get("startDate", ""), "startDate") or min(now, until) - USUAL_SPAN
    found = [
        record
        for record in _ended(database_asked_for(""))
        if since <= record.started_at <= until and status in ("", _status(record))
    ]
    return answer(
        {
            "backups": [shown(_metadata(record)) for record in found[offset : offset + limit]],
            "total": len(found),
            "limit": limit,
            "offset": offset,
        }
    )


@bp.get("/api/backup/<backup_id>")
@requires("see backups")
@described({200: BackupMetadata}, tag=TAG, refused=StoryRefusal, refusals=(404,))
def backup(backup_id: str) -> Response:
    """One backup, by its id or by that of the job that takes it."""
    try:
        facts = _metadata(storage().backups.catalog.get(backup_id))
    except NotFound as error:
        try:
            facts = _of_job(storage().jobs.get(backup_id))
        except NotFound:
            raise error from None
    return _answer(facts)


@bp.post("/api/backup")
@requires("take backups")
@described(
    {201: BackupMetadata, 202: BackupMetadata},
    tag=TAG, query=BackupOrder, refused=StoryRefusal, refusals=(400, 404, 415, 429, 500, 503),
)  # fmt: skip
def take() -> Response:
    """Take a backup and answer when it has ended: 201, or 400 saying why it failed.

    One that takes longer than `wait` goes on, and is answered with 202 and its address in Location.
    """
    wait = whole_number("wait", usual=WAIT_SECONDS, most=3600)
    database = database_asked_for(_text(_body(), "database"))
    if not storage().working:
        raise Unavailable(say("pghaven is starting or stopping, and carries out no jobs."))
    if storage().jobs.active(database, JobKind.TAKE):
        raise _AlreadyTaking
    with streams.enter():
        job, new = storage().backups.take(database, by=current_name())
        if not new:
            raise _AlreadyTaking
        audited("backup_requested", database, job=job.job_id)
        job = _await_end(job, seconds=wait)
    return _taken(job)


@bp.post("/api/restore")
@requires("restore")
@described(
    {202: RestoreAnswer}, tag=TAG, json=RestoreOrder, refused=StoryRefusal, refusals=(400, 404, 409, 415, 500, 503)
)
def restore() -> Response:
    """Replace the backup's database with the backup. The database as it was is kept under another name."""
    record = storage().backups.catalog.get(_text(_body(), "backupId", needed=True))
    storage().backups.catalog.good_archive(record)
    target = storage().databases.get(record.database).connection.dbname
    if storage().jobs.active(record.database, JobKind.RESTORE):
        # Waiting for its turn, this one would replace what the other has just restored.
        raise Conflict(say("A restore of %(name)s is under way.", name=record.database))
    order = RestoreRequest(backup_id=record.backup_id, mode=Mode.REPLACE, target=target)
    # Whoever calls this has said by it what the page asks to be typed.
    job, _new = storage().restores.start(order, by=current_name(), confirmed=target)
    audited("restore_requested", record.backup_id, job=job.job_id, mode=order.mode.value, target=target)
    return answer({"restoreId": job.job_id}, 202)


@bp.get("/api/restore/<restore_id>/status")
@requires("see backups")
@described({200: RestoreStatus}, tag=TAG, refused=StoryRefusal)
def restore_status(restore_id: str) -> Response:
    """How far a restore is. One that nobody knows is answered with 200, as failed."""
    try:
        job = storage().jobs.get(_job_of(restore_id))
    except NotFound:
        return _answer(_unknown(restore_id))
    if job.kind is not JobKind.RESTORE:
        return _answer(_unknown(restore_id))
    return _answer(_progress(job, restore_id))


def _answer(facts: Any, status: int = 200) -> Response:
    return answer(shown(facts), status)


class _AlreadyTaking(Invalid):
    def __init__(self) -> None:
        super().__init__(say("A backup operation is already in progress. Please wait for it to complete."))


class _BackupFailed(Invalid): ...


def _ended(database: str) -> list[BackupRecord]:
    return [record for record in storage().backups.catalog.find(database=database) if record.state not in UNDER_WAY]


def _status(record: BackupRecord) -> Literal["success", "failed", "running"]:
    if record.state in UNDER_WAY:
        return "running"
    return "success" if record.state in SUCCESSFUL else "failed"


def _metadata(record: BackupRecord) -> BackupMetadata:
    error = None
    if record.error:
        error = sentences(record.error["cause"], record.error["advice"])
    return BackupMetadata(
        id=record.backup_id,
        timestamp=to_text(record.started_at) or "",
        status=_status(record),
        fileSize=record.bytes,
        filePath=record.archive,
        checksum=record.sha256,
        workspaceId=record.database,
        databaseName=record.source.database or record.database,
        errorMessage=error,
    )


def _await_end(job: Job, *, seconds: int) -> Job:
    until = time.monotonic() + seconds
    while not job.ended and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        job = storage().jobs.get(job.job_id)
    return job


def _taken(job: Job) -> Response:
    if job.ended and job.state is not JobState.COMPLETED:
        error = job.error or {}
        cause = sentences(error.get("cause"), error.get("advice"))
        raise _BackupFailed(say("Backup failed: %(reason)s", reason=cause))
    facts = _of_job(job)
    response = _answer(facts, 201 if job.ended else 202)
    response.headers["Location"] = url_for("api.story.backup", backup_id=facts.id)
    return response


def _of_job(job: Job) -> BackupMetadata:
    """The backup of a job, which has none as long as it waits for its turn."""
    if job.kind is not JobKind.TAKE:
        raise NotFound(say("There is no backup %(id)s.", id=job.job_id))
    if backup_id := job.result.get("backup_id"):
        return _metadata(storage().backups.catalog.get(str(backup_id)))
    return BackupMetadata(
        id=job.job_id,
        timestamp=to_text(job.requested_at) or "",
        status="failed" if job.ended else "running",
        fileSize=0,
        filePath="",
        checksum="",
        workspaceId=job.database,
        databaseName=job.database,
    )


def _job_of(restore_id: str) -> str:
    """The id that we gave, a job's; or that of a restore as the pages name it."""
    try:
        return storage().restores.get(restore_id).job_id
    except StorageError:
        return restore_id


def _progress(job: Job, restore_id: str) -> RestoreStatus:
    state: Literal["running", "completed", "failed"] = "running"
    if job.ended:
        state = "completed" if job.state is JobState.COMPLETED else "failed"
    step = next((step for step in reversed(job.steps) if step.started_at), None)
    message = translated(step.title if step else say("Waiting for its turn"))
    if job.ended:
        message = translated(say("Data restored") if state == "completed" else say("The restore did not complete."))
    return RestoreStatus(
        restoreId=restore_id,
        status=state,
        progress=100 if state == "completed" else job.percent or 0,
        message=message,
        startedAt=to_text(job.started_at or job.requested_at) or "",
        completedAt=to_text(job.ended_at),
        errorMessage=sentences(job.error["effect"], job.error["cause"], job.error["advice"]) if job.error else None,
    )


def _unknown(restore_id: str) -> RestoreStatus:
    text = translated(say("Restore status not found"))
    return RestoreStatus(
        restoreId=restore_id,
        status="failed",
        progress=0,
        message=text,
        startedAt=to_text(storage().clock()) or "",
        errorMessage=text,
    )


def _body() -> dict[str, Any]:
    """The JSON object sent; nothing at all is an empty one."""
    if not request.content_length:
        return {}
    body = json_object(whatever_its_type=True)
    if body is None:
        raise Invalid(say("The body is not a JSON object."), advice=say("Nothing was begun. Send it again as JSON."))
    return body


def _text(body: dict[str, Any], name: str, *, needed: bool = False) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or (needed and not value):
        raise Invalid(say("%(name)s should be a text that is not empty.", name=name))
    return value


def _moment(text: str, name: str, *, end: bool = False) -> datetime | None:
    """A time, or a day: its beginning, or its end where it closes a span. Without a zone it is in UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if not 1970 < moment.year < MAXYEAR:
            raise ValueError(f"no backup is of the year {moment.year}")
        return moment + timedelta(days=1, microseconds=-1) if end and len(text) == len("2026-11-22") else moment
    except (ValueError, OverflowError) as error:
        raise Invalid(say("%(name)s is not a date in ISO 8601.", name=name)) from error


@bp.errorhandler(StorageError)
def refused(error: StorageError) -> Response:
    """400 for what their framework's validation refuses, and for a backup that did not work."""
    status = 400 if isinstance(error, Invalid) else status_of(error)
    advice = None if isinstance(error, Conflict) else error.advice
    return with_headers(_refusal(status, sentences(error.cause, advice)), error)


@bp.errorhandler(HTTPException)
def not_understood(error: HTTPException) -> Response:
    return _refusal(error.code or 500, error.description or error.name)


def _refusal(status: int, message: str) -> Response:
    return answer({"statusCode": status, "message": message, "error": HTTPStatus(status).phrase}, status)
