"""Cleaning up logs as claude-code-hub's admin page knows it: one call that answers when all is done."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Response, url_for

from storage.errors import Message, StorageError, Unavailable, say
from storage.jobs.model import Job, JobState
from storage.logs.cleanup.request import CleanupRequest
from webapp import streams
from webapp.answers import answer
from webapp.api.hub import TAG, HubRefusal, bp, database_asked_for, said
from webapp.audited import audited
from webapp.bodies import json_object
from webapp.current import current_name, storage
from webapp.openapi import described, shown
from webapp.permissions import requires

WAIT_SECONDS = 240
"""How long a call is answered with the end of the work; clients give up after five minutes."""
LOOK_EVERY = 0.1
NOT_READABLE = say("The parameters of the request are wrong.")
MOST = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusCodeRange:
    min: int
    max: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanupOrder:
    beforeDate: str | None = None
    """ISO 8601 with a zone; rows of this very moment are meant, too."""
    afterDate: str | None = None
    userIds: list[int] | None = None
    providerIds: list[int] | None = None
    statusCodes: list[int] | None = None
    statusCodeRange: StatusCodeRange | None = None
    onlyBlocked: bool | None = None
    dryRun: bool | None = None
    """Count, and delete nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanupQuery:
    database: str = ""
    """The name of a database here; without it the default one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanupAnswer:
    success: bool
    totalDeleted: int
    """Of a dry run: how many would be."""
    batchCount: int
    durationMs: int
    softDeletedPurged: int | None = None
    """So many of them had been deleted in the application already."""
    vacuumPerformed: bool | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """One thing that is wrong with the body, and where."""

    code: str
    path: list[str]
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableOrder:
    error: str
    details: list[Issue]


@bp.post("/api/admin/log-cleanup/manual")
@requires("clean up logs")
@described(
    {200: CleanupAnswer, 202: CleanupAnswer, 400: UnreadableOrder},
    tag=TAG, query=CleanupQuery, json=CleanupOrder, refused=HubRefusal, refusals=(404, 415, 429),
)  # fmt: skip
def clean_up() -> Response:
    """Delete the rows of the usage log that fulfil every condition given, in short batches, and answer at the end.

    Without a condition nothing is deleted, and `success` is false; as it is with whatever goes wrong inside. A field
    that nobody knows is an error: a misspelt condition would be none. What takes longer than four minutes goes on, and
    is answered with 202 and the job's address in Location.
    """
    database = database_asked_for("")
    body = json_object()
    issues, order, dry_run = read(body)
    if issues:
        refused = UnreadableOrder(error=said(NOT_READABLE), details=issues)
        return answer(shown(refused), 400)
    started = time.monotonic()
    try:
        if dry_run:
            preview = storage().logs.cleanup.preview(database, order)
            return answer(shown(CleanupAnswer(success=True, totalDeleted=preview.rows, batchCount=0,
                                              durationMs=_since(started), softDeletedPurged=preview.soft_deleted,
                                              vacuumPerformed=False)))  # fmt: skip
        return _carried_out(database, order, started)
    except streams.TooManyStreams:
        raise
    except StorageError as error:
        return answer(shown(_failed(started, said(error.effect, error.cause, error.advice))))


def read(body: Any) -> tuple[list[Issue], CleanupRequest, bool]:
    """What is wrong with a body, what it asks for, and whether it is a dry run."""
    if not isinstance(body, dict):
        return [_issue("invalid_type", [], "Expected an object")], CleanupRequest(), False
    reader = _Reader(body)
    order = CleanupRequest(
        before=reader.moment("beforeDate"),
        after=reader.moment("afterDate"),
        users=tuple(map(str, reader.numbers("userIds"))),
        providers=tuple(map(str, reader.numbers("providerIds"))),
        statuses=tuple(reader.numbers("statusCodes")),
        status_range=reader.range("statusCodeRange"),
        blocked=reader.truth("onlyBlocked"),
    )
    dry_run = reader.truth("dryRun")
    reader.refuse_unknown()
    return reader.issues, order, dry_run


class _Reader:
    """Reads the fields of a body strictly, and collects what is wrong with each."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body, self.issues = body, list[Issue]()

    def moment(self, name: str) -> datetime | None:
        value = self._body.get(name)
        if value is None:
            return None
        moment = _time(value)
        if moment is None:
            self.issues.append(_issue("invalid_string", [name], "Expected an ISO 8601 time with its zone"))
        return moment

    def numbers(self, name: str) -> list[int]:
        value = self._body.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.issues.append(_issue("invalid_type", [name], "Expected an array"))
            return []
        found = []
        for place, one in enumerate(value):
            if _is_number(one):
                found.append(one)
            else:
                self.issues.append(_issue("invalid_type", [name, str(place)], "Expected a whole number"))
        return found

    def range(self, name: str) -> tuple[int, int] | None:
        value = self._body.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.issues.append(_issue("invalid_type", [name], "Expected an object"))
            return None
        for part in ("min", "max"):
            if not _is_number(value.get(part)):
                self.issues.append(_issue("invalid_type", [name, part], "Expected a whole number"))
        for part in value.keys() - {"min", "max"}:
            self.issues.append(_issue("unrecognized_keys", [name, str(part)], "Unrecognized key"))
        if self.issues:
            return None
        if value["min"] > value["max"]:
            self.issues.append(_issue("custom", [name], "min is greater than max"))
        return value["min"], value["max"]

    def truth(self, name: str) -> bool:
        value = self._body.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.issues.append(_issue("invalid_type", [name], "Expected true or false"))
        return False

    def refuse_unknown(self) -> None:
        known = set(CleanupOrder.__dataclass_fields__)
        for name in sorted(self._body.keys() - known):
            self.issues.append(_issue("unrecognized_keys", [str(name)[:80]], "Unrecognized key"))


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
        return moment if moment and datetime.fromisoformat(value).tzinfo else None
    except (ValueError, OverflowError):
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -MOST <= value <= MOST


def _issue(code: str, path: list[str], message: str) -> Issue:
    return Issue(code=code, path=path, message=message)


def _carried_out(database: str, order: CleanupRequest, started: float) -> Response:
    order.checked()
    if not storage().working:
        raise Unavailable(say("pghaven is starting or stopping, and carries out no jobs."))
    with streams.enter():
        job, _new = storage().logs.cleanup.start(database, order, by=current_name())
        audited("logs_cleanup_requested", database, job=job.job_id, request=order.to_json())
        while not job.ended and time.monotonic() < started + WAIT_SECONDS:
            time.sleep(LOOK_EVERY)
            job = storage().jobs.get(job.job_id)
    response = answer(shown(_answer(job, started)), 200 if job.ended else 202)
    if not job.ended:
        response.headers["Location"] = url_for("jobs.api_show", job_id=job.job_id)
    return response


def _answer(job: Job, started: float) -> CleanupAnswer:
    if job.state in (JobState.COMPLETED, JobState.RUNNING, JobState.WAITING):
        found = job.result
        return CleanupAnswer(
            success=True,
            totalDeleted=found.get("rows", job.progress.rows or 0),
            batchCount=found.get("batches", 0),
            durationMs=_since(started),
            softDeletedPurged=found.get("soft_deleted", 0),
            vacuumPerformed=found.get("vacuumed", False),
        )
    error = job.error or {}
    parts = [Message.from_json(error[part]) for part in ("effect", "cause", "advice") if error.get(part)]
    return _failed(started, said(*parts), deleted=job.progress.rows or 0)


def _failed(started: float, error: str, *, deleted: int = 0) -> CleanupAnswer:
    return CleanupAnswer(success=False, totalDeleted=deleted, batchCount=0, durationMs=_since(started), error=error)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
