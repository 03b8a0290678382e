"""Usage logs as claude-code-hub's REST API knows them: pages by cursor or by number, and exports."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from flask import Blueprint, Response, request, url_for

from storage.errors import Conflict, Invalid, say
from storage.jobs.model import Job, JobState
from storage.logs import scope, usage
from storage.logs.filters import MAX_INTEGER, UsageFilter
from storage.logs.formats import MEDIA_TYPES, Format
from storage.logs.query import After
from storage.logs.stream import RowStream
from webapp import files
from webapp.answers import answer
from webapp.api import problems
from webapp.api.hub import TAG, database_asked_for
from webapp.api.problems import Unfit
from webapp.audited import audited, audited_if_broken_off
from webapp.bodies import json_object
from webapp.current import current_account, current_name, storage
from webapp.language import sentences
from webapp.openapi import described, shown
from webapp.permissions import requires
from webapp.transfer import transferred

bp = Blueprint("usage_logs", __name__, url_prefix="/api/v1/usage-logs")
problems.install(bp)

MOST = 100
USUAL = 50
REFUSALS = (400, 404, 429, 500, 503)
NAMES: Mapping[str, str] = {
    "user": "userName",
    "key": "keyName",
    "provider": "providerName",
    "model": "model",
    "original_model": "originalModel",
    "endpoint": "endpoint",
    "status": "statusCode",
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_write_5m": "cacheCreation5mInputTokens",
    "cache_write_1h": "cacheCreation1hInputTokens",
    "cache_read": "cacheReadInputTokens",
    "total_tokens": "totalTokens",
    "cost": "costUsd",
    "duration": "durationMs",
    "session": "sessionId",
    "retries": "retryCount",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LogsQuery:
    userId: int | None = None
    keyId: int | None = None
    providerId: int | None = None
    sessionId: str | None = None
    startTime: int | None = None
    """Milliseconds since 1970; requests of this moment are in."""
    endTime: int | None = None
    """Milliseconds since 1970; requests of this moment are not in."""
    statusCode: int | None = None
    excludeStatusCode200: bool | None = None
    """Those without an answer are among the others."""
    model: str | None = None
    endpoint: str | None = None
    minRetryCount: int | None = None
    cursor: str | None = None
    """The nextCursor of the page before."""
    cursorCreatedAt: str | None = None
    cursorId: str | None = None
    limit: int | None = None
    """1 to 100."""
    page: int | None = None
    """Counted from 1: pages by number know their total, and are slow far behind."""
    pageSize: int | None = None
    database: str | None = None
    """The name of a database here; without it the default one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Requests, newest first, with more in each than is promised; and how to go on."""

    items: list[Item]
    pageInfo: PageInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    id: str
    createdAt: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PageInfo:
    """By cursor: nextCursor, hasMore, limit. By number: page, pageSize, total, totalPages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseQuery:
    database: str | None = None
    """The name of a database here; without it the default one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOrder:
    userId: int | None = None
    keyId: int | None = None
    providerId: int | None = None
    sessionId: str | None = None
    startTime: int | None = None
    endTime: int | None = None
    statusCode: int | None = None
    excludeStatusCode200: bool | None = None
    model: str | None = None
    endpoint: str | None = None
    minRetryCount: int | None = None
    format: Literal["csv", "xlsx", "ndjson"] = "csv"


@dataclass(frozen=True, kw_only=True, slots=True)
class Csv:
    csv: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    jobId: str
    status: Literal["queued", "running", "completed", "failed"]
    statusUrl: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportStatus:
    jobId: str
    status: Literal["queued", "running", "completed", "failed"]
    processedRows: int
    totalRows: int
    progressPercent: int
    format: Literal["csv", "xlsx", "ndjson"]
    error: str | None = None


@bp.get("")
@requires("see usage logs")
@described({200: Page}, tag=TAG, query=LogsQuery, refused=problems.Problem, refusals=REFUSALS)
def list_() -> Response:
    """Requests of the usage log, newest first: by cursor, or by the number of a page."""
    database = database_asked_for("")
    given = {name: value for name, value in request.args.items() if name != "database"}
    wanted = _allowed(read(given, known=set(LogsQuery.__dataclass_fields__)), database)
    if "page" in given or "pageSize" in given:
        return answer(_by_number(database, wanted, given))
    limit = _number(given, "limit", 1, MOST) or USUAL
    page = storage().logs.usage.page(database, wanted, after=_after(given), size=limit)
    return answer(
        {
            "items": [_item(row) for row in page.rows],
            "pageInfo": {
                "nextCursor": _cursor(page.next) if page.next else None,
                "hasMore": page.next is not None,
                "limit": limit,
            },
        }
    )


@bp.post("/exports")
@requires("see usage logs")
@described(
    {200: Csv, 202: Queued}, tag=TAG, query=DatabaseQuery, json=ExportOrder, refused=problems.Problem,
    refusals=(*REFUSALS, 415),
)  # fmt: skip
def export() -> Response:
    """Every request that the filters mean. With `Prefer: respond-async` by a job whose address is in Location."""
    database, body = database_asked_for(""), json_object()
    if body is None:
        raise Unfit(Invalid(say("The body is not a JSON object.")))
    wanted = _allowed(read(body, known=set(ExportOrder.__dataclass_fields__)), database)
    form = body.get("format", "csv")
    if not isinstance(form, str) or form not in set(Format):
        raise Unfit(Invalid(say("format is one of csv, xlsx and ndjson.")), path="format")
    rows, stem = usage.parameters(wanted), f"usage-logs-{storage().clock():%Y-%m-%d-%H%M%S}"
    if "respond-async" in request.headers.get("Prefer", ""):
        job, new = storage().logs.exports.start(database, rows, Format(form), name=stem, by=current_name())
        if new:
            audited("rows_export_requested", database, format=form, job=job.job_id, **wanted.to_query())
        address = url_for(".status", job_id=job.job_id)
        response = answer(shown(Queued(jobId=job.job_id, status=_state(job), statusUrl=address)), 202)
        response.headers["Location"] = address
        response.headers["Preference-Applied"] = "respond-async"
        return response
    if form != Format.CSV:
        raise Unfit(
            Invalid(say("This format is made by a job."), advice=say("Send the header Prefer: respond-async.")),
            code=f"usage_logs.{form}_requires_async",
        )
    return transferred(
        lambda: _InJson(storage().logs.exports.stream(database, rows, Format.CSV)),
        of=f"the usage log of {database}",
        name="",
        mimetype="application/json",
        begun=lambda _: audited("rows_exported", database, format=form, **wanted.to_query()),
        ended=audited_if_broken_off("rows_exported", database, format=form),
    )


@bp.get("/exports/<job_id>")
@requires("see usage logs")
@described({200: ExportStatus}, tag=TAG, refused=problems.Problem, refusals=REFUSALS)
def status(job_id: str) -> Response:
    """How far an export is, for who asked for it."""
    job = storage().logs.exports.job(job_id, by=current_name())
    done, total = job.progress.rows or 0, job.progress.total or 0
    if job.state is JobState.COMPLETED:
        done = total = job.result["rows"]
    error = sentences(*(job.error.get(part) for part in ("effect", "cause", "advice"))) if job.error else None
    return answer(
        shown(
            ExportStatus(
                jobId=job.job_id,
                status=_state(job),
                processedRows=done,
                totalRows=total,
                progressPercent=100 if job.state is JobState.COMPLETED else job.percent or 0,
                format=job.parameters["format"],
                error=error,
            )
        )
    )


@bp.get("/exports/<job_id>/download")
@requires("see usage logs")
@described({200: "application/octet-stream"}, tag=TAG, refused=problems.Problem, refusals=REFUSALS)
def download(job_id: str) -> Response:
    """The file of a finished export, for who asked for it; in parts, where a client asks for them."""
    try:
        made = storage().logs.exports.get(job_id, by=current_name())
    except Conflict as error:
        raise Unfit(Invalid(error.cause, advice=error.advice), code="request.invalid") from error
    scope.refuse_wider(made.job.parameters["rows"], current_account(), made.job.database)
    path = made.path
    response = files.send(
        path, size=made.bytes, sha256=made.sha256, made_at=made.job.ended_at, mimetype=MEDIA_TYPES[made.form]
    )
    response.headers.set("Content-Disposition", "attachment", filename=f"usage-logs-{job_id}.{made.form.value}")
    return response


def read(given: Mapping[str, Any], *, known: set[str]) -> UsageFilter:
    """The filters of a query or of a body. Raises Unfit for a field that nobody knows, and for what cannot be read."""
    for name in sorted(given.keys() - known):
        raise Unfit(Invalid(say("There is no field %(name)s.", name=str(name)[:60])), path=str(name)[:60])
    status = _number(given, "statusCode", 0, MAX_INTEGER)
    return UsageFilter(
        user=_id(given, "userId"),
        key=_id(given, "keyId"),
        provider=_id(given, "providerId"),
        session=_text(given, "sessionId").strip(),
        since=_moment(given, "startTime"),
        until=_moment(given, "endTime"),
        status=status,
        not_200=status is None and _truth(given, "excludeStatusCode200"),
        model=_text(given, "model"),
        endpoint=_text(given, "endpoint"),
        min_retries=_number(given, "minRetryCount", 0, MAX_INTEGER),
    )


class _InJson:
    """A stream of text as the one string of a JSON document, escaped on the way. Pieces end with whole lines."""

    def __init__(self, stream: RowStream) -> None:
        self._stream, self._ended = stream, False
        self.first = b'{"csv":"' + _escaped(stream.first)

    def read(self) -> bytes:
        if self._ended:
            return b""
        if piece := self._stream.read():
            return _escaped(piece)
        self._ended = True
        return b'"}'

    def end(self) -> None:
        self._stream.end()

    def close(self) -> None:
        self._stream.close()


def _escaped(piece: bytes) -> bytes:
    return json.dumps(piece.decode(), ensure_ascii=False)[1:-1].encode()


def _allowed(wanted: UsageFilter, database: str) -> UsageFilter:
    return scope.allowed(wanted, current_account(), database)


def _by_number(database: str, wanted: UsageFilter, given: Mapping[str, str]) -> dict[str, Any]:
    number, size = _number(given, "page", 1, MAX_INTEGER) or 1, _number(given, "pageSize", 1, MOST) or USUAL
    total = storage().logs.exports.count(database, usage.parameters(wanted))
    rows = storage().logs.usage.page(database, wanted, size=size, skip=(number - 1) * size).rows
    return {
        "items": [_item(row) for row in rows],
        "pageInfo": {"page": number, "pageSize": size, "total": total, "totalPages": -(-total // size)},
    }


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    created = {"id": str(row["id"]), "createdAt": row["moment"].isoformat() if row["moment"] else None}
    return created | {NAMES.get(name, name): _plain(value) for name, value in row.items() if name not in _APART}


_APART = ("id", "moment", "time")


def _plain(value: Any) -> Any:
    """Numbers with a point as text: JSON's readers would round them."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, datetime) else value


def _after(given: Mapping[str, str]) -> After | None:
    if "cursor" in given:
        return _from_cursor(given["cursor"])
    if ("cursorId" in given) != ("cursorCreatedAt" in given):
        raise Unfit(Invalid(say("cursorCreatedAt and cursorId belong together.")), path="cursorId")
    if "cursorId" not in given:
        return None
    return _place(given["cursorCreatedAt"], given["cursorId"])


def _cursor(after: After) -> str:
    """base64url of {"createdAt", "id"}, as claude-code-hub makes it."""
    place = {"createdAt": after.time.isoformat() if after.time else "", "id": after.id}
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _from_cursor(text: str) -> After | None:
    try:
        place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return _place(str(place["createdAt"] or ""), str(place["id"]))
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unfit(Invalid(say("This cursor is none of ours.")), path="cursor") from error


def _place(created: str, row: str) -> After | None:
    try:
        return After.from_text(f"{datetime.fromisoformat(created).isoformat() if created else ''}_{row}")
    except (ValueError, Invalid) as error:
        raise Unfit(Invalid(say("This cursor is none of ours.")), path="cursorCreatedAt") from error


def _state(job: Job) -> Literal["queued", "running", "completed", "failed"]:
    match job.state:
        case JobState.WAITING:
            return "queued"
        case JobState.RUNNING:
            return "running"
        case JobState.COMPLETED:
            return "completed"
        case _:
            return "failed"


def _number(given: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = given.get(name)
    if value in (None, ""):
        return None
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Unfit(
            Invalid(say("%(name)s is not a whole number from %(least)s to %(most)s.",
                        name=name, least=least, most=most)),
            path=name,
        )  # fmt: skip
    return value


def _id(given: Mapping[str, Any], name: str) -> str:
    number = _number(given, name, 0, MAX_INTEGER)
    return "" if number is None else str(number)


def _moment(given: Mapping[str, Any], name: str) -> datetime | None:
    # The year 9999 in milliseconds.
    number = _number(given, name, -62_135_596_800_000, 253_402_300_799_999)
    return None if number is None else datetime.fromtimestamp(number / 1000, UTC)


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise Unfit(Invalid(say("%(name)s is not a text.", name=name)), path=name)
    return value


def _truth(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name)
    if value in (None, "", False, "false", "0"):
        return False
    if value in (True, "true", "1"):
        return True
    raise Unfit(Invalid(say("%(name)s is neither true nor false.", name=name)), path=name)
