"""What a request may bring: a form of at most a megabyte, or, where a view says so, one file that goes into staging.

A file is never in memory, and never in a folder that others can read. What arrives cut off is refused: without that,
the parser would make an empty form of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, Any, TypeVar, cast

from flask import Flask, current_app, g, request
from htmx_flask.requests import HtmxAwareRequest
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import ClientDisconnected
from werkzeug.formparser import FormDataParser

from storage.backups.upload import NOTHING_KEPT, Incoming
from storage.errors import Invalid, say
from webapp.current import account_or_none, storage

MOST_IN_A_FORM = 1 << 20
MOST_BESIDE_A_FILE = 1 << 16
"""Bytes of the other fields of a form that brings a file, and of what stands between them."""

View = TypeVar("View", bound=Callable[..., Any])


class ArrivedIncomplete(Invalid):
    """The body ends before it should, or cannot be taken apart."""

    def __init__(self) -> None:
        super().__init__(
            say("The upload arrived incomplete."),
            effect=NOTHING_KEPT,
            advice=say("Send it again. If that happens every time, something between here and there cuts it off."),
        )


def takes_a_file(view: View) -> View:
    """Let the view's form bring one file, as large as an upload may be. The view finds it in `incoming()`, and has to
    name the permission that is needed: nobody else can send that much."""
    view.takes_a_file = True  # type: ignore[attr-defined]
    return view


def incoming() -> Incoming:
    """The file that the request brought; empty when it brought none. Gone after the request unless published."""
    return cast("Incoming", g.incoming)


def json_object(*, whatever_its_type: bool = False) -> dict[str, Any] | None:
    """The JSON object that the request brought; None when it brought something else, or text that no UTF-8 has (half a
    surrogate pair), which nothing behind here could keep."""
    try:
        body = request.get_json(silent=True, force=whatever_its_type)
        json.dumps(body, ensure_ascii=False).encode()
    except (RecursionError, UnicodeEncodeError):
        return None
    return body if isinstance(body, dict) else None


class Request(HtmxAwareRequest):
    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if "incoming" not in g or g.get("has_file"):
            raise Invalid(say("The form brought a file that nobody asked for."), effect=NOTHING_KEPT)
        g.has_file = True
        return cast("IO[bytes]", g.incoming)

    def make_form_data_parser(self) -> FormDataParser:
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser

    def _load_form_data(self) -> None:
        try:
            super()._load_form_data()
        except (ValueError, ClientDisconnected) as error:
            self.__dict__.update(form=ImmutableMultiDict(), files=ImmutableMultiDict())  # there is no second try
            raise ArrivedIncomplete from error


def install(app: Flask) -> None:
    app.request_class = Request
    app.config["MAX_FORM_MEMORY_SIZE"] = app.config["MAX_CONTENT_LENGTH"] = MOST_IN_A_FORM
    app.before_request(_make_room)
    app.teardown_request(_let_go)


def most_bytes(app: Flask, environ: dict[str, Any]) -> int:
    """How large the body of a request may be, as its head says: for the server, before the body is read."""
    with app.request_context(environ):
        view = _view()
        permission = getattr(view, "permission", None)
        if not getattr(view, "takes_a_file", False) or permission is None:
            return MOST_IN_A_FORM
        account = account_or_none()
        return most_with_a_file() if account is not None and account.may(permission) else MOST_IN_A_FORM


def most_with_a_file() -> int:
    return storage().uploads.limit + MOST_BESIDE_A_FILE


def _view() -> Callable[..., Any] | None:
    return current_app.view_functions.get(request.endpoint or "")


def _make_room() -> None:
    """A file in staging, before anybody looks into the form."""
    if request.method in ("GET", "HEAD", "OPTIONS") or not getattr(_view(), "takes_a_file", False):
        return
    request.max_content_length = most_with_a_file()
    expected = request.content_length
    g.body = ExitStack()
    g.incoming = g.body.enter_context(
        storage().uploads.receive(expected=max(0, expected - MOST_BESIDE_A_FILE) if expected else None)
    )


def _let_go(_error: BaseException | None) -> None:
    if (body := g.pop("body", None)) is not None:
        body.close()
