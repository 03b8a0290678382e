"""Refusals as claude-code-hub's REST API tells them: application/problem+json (RFC 9457) with codes of its own."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from storage.errors import Conflict, Denied, Invalid, NotFound, StorageError, Unavailable
from webapp.answers import answer
from webapp.csrf import NotFromOurPage
from webapp.errors import status_of, with_headers
from webapp.language import sentences
from webapp.openapi import shown
from webapp.permissions import SignInNeeded
from webapp.streams import TooManyStreams

PROBLEM = "application/problem+json"
_URN = "urn:claude-code-hub:problem:"


@dataclass(frozen=True, kw_only=True, slots=True)
class InvalidParam:
    path: list[str]
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    MEDIA_TYPE: ClassVar[str] = PROBLEM
    type: str
    title: str
    status: int
    detail: str
    instance: str
    errorCode: str
    invalidParams: list[InvalidParam] | None = None


class Unfit(Invalid):
    """What is wrong with the fields of a request, each by its path; or a code of its own for all of it."""

    def __init__(self, error: Invalid, *, code: str = "request.validation_failed", path: str = "") -> None:
        super().__init__(error.cause, effect=error.effect, advice=error.advice, words=error.words)
        self.code, self.path = code, path


def install(bp: Blueprint) -> None:
    bp.register_error_handler(StorageError, _refused)
    bp.register_error_handler(HTTPException, _http)


def _refused(error: StorageError) -> Response:
    code, status = _code(error)
    problem = _problem(status, code, sentences(error.effect, error.cause, error.advice))
    params = None
    if isinstance(error, Unfit) and error.path:
        params = [InvalidParam(path=[error.path], code=code, message=str(error.cause))]
    return with_headers(_answer(problem, params), error)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    return _answer(_problem(status, "request.invalid" if status < 500 else "internal.error", error.description or ""))


def _code(error: StorageError) -> tuple[str, int]:
    match error:
        case Unfit():
            return error.code, 400
        case SignInNeeded():
            return "auth.invalid", 401
        case TooManyStreams():
            return "rate_limit.exceeded", 429
        case NotFromOurPage():
            return "auth.csrf_invalid", 403
        case Denied():
            return "auth.forbidden", 403
        case NotFound():
            return "resource.not_found", 404
        case Conflict() | Invalid():
            return "request.invalid", 400
        case Unavailable():
            return "dependency.unavailable", 503
        case _:
            return "internal.error", status_of(error)


def _problem(status: int, code: str, detail: str) -> Problem:
    return Problem(
        type=_URN + code,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.path,
        errorCode=code,
    )


def _answer(problem: Problem, params: list[InvalidParam] | None = None) -> Response:
    facts = shown(problem) | ({"invalidParams": [shown(one) for one in params]} if params else {})
    response = answer(facts, problem.status)
    response.mimetype = PROBLEM
    return response
