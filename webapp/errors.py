"""From a refusal to an answer: one table of status codes, and the page, the fragment or the JSON that says it."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Flask, Response, current_app, make_response, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError

from storage.accounts.accounts import TooManyTries
from storage.backups.upload import TooLarge
from storage.errors import (
    Conflict,
    Damaged,
    Denied,
    Invalid,
    Message,
    NotFound,
    ProgramFailed,
    StorageError,
    Unavailable,
    say,
)
from webapp.answers import answer, refusal_json
from webapp.bodies import ArrivedIncomplete
from webapp.current import wants_fragment, wants_json
from webapp.permissions import SignInNeeded
from webapp.streams import TooManyStreams

STATUS: dict[type[BaseException], int] = {
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    ArrivedIncomplete: 400,
    TooLarge: 413,
    TooManyTries: 429,
    SignInNeeded: 401,
    Denied: 403,
    Unavailable: 503,
    Damaged: 409,
    ProgramFailed: 502,
    StorageError: 500,
}

TITLES: dict[int, Message] = {
    403: say("This is not open to you"),
    404: say("There is no such page"),
    405: say("This page cannot do that"),
    409: say("This cannot be done now"),
    400: say("This could not be read"),
    413: say("This is too large"),
    422: say("This cannot be used"),
    429: say("Too many tries"),
    502: say("A program failed"),
    503: say("Something is out of reach"),
}
FAILED = say("This page could not be made")

_HTTP: dict[int, StorageError] = {
    403: Denied(say("Your account may not do this.")),
    404: NotFound(
        say("Nothing is at this address."), advice=say("It may have been mistyped, or what was here is gone.")
    ),
    405: StorageError(
        say("This address does not take what was sent."), advice=say("Go back and use the page's own buttons.")
    ),
    413: StorageError(say("More was sent than this page takes.")),
}


def status_of(error: StorageError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def install(app: Flask) -> None:
    app.register_error_handler(StorageError, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _failed)


def _refused(error: StorageError) -> Response:
    response = _say(error, status_of(error))
    return with_headers(response, error)


def with_headers(response: Response, error: StorageError) -> Response:
    """Add what a refusal says in headers: how to sign in, when to come back."""
    if isinstance(error, SignInNeeded):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyTries):
        response.headers["Retry-After"] = str(error.seconds)
    if isinstance(error, TooManyStreams):
        response.headers["Retry-After"] = str(error.RETRY_SECONDS)
    return response


def _http(error: HTTPException) -> Response:
    code = error.code or 500
    if error.response is not None or code < 400:
        return error.get_response()  # type: ignore[return-value]
    refusal = _HTTP.get(code) or StorageError(say("The request could not be understood (%(code)s).", code=code))
    response = _say(refusal, code)
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _failed(error: Exception) -> Response:
    """A mistake of ours: a number to find it by in the log, and nothing of its inside on the page."""
    number = secrets.token_hex(4)
    current_app.logger.error("request %s: %s %s", number, request.method, request.path, exc_info=error)
    refusal = StorageError(
        say("pghaven made a mistake; it is number %(number)s in its log.", number=number),
        effect=say("Jobs that run go on."),
        advice=say("Try again. If it stays, whoever runs the box finds the reason in the log."),
    )
    return _say(refusal, InternalServerError.code)


def _say(error: StorageError, status: int) -> Response:
    if wants_json():
        return answer(refusal_json(error), status)
    context: dict[str, Any] = {"error": error, "status": status, "title": TITLES.get(status, FAILED)}
    template = "_refusal.html" if wants_fragment() else "refusal.html"
    return make_response(render_template(template, **context), status)
