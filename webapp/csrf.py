"""Writes come from our own pages: a token in every form and htmx request, and the browser's own word for it."""

from __future__ import annotations

from flask import Flask, request
from flask_wtf.csrf import CSRFError, CSRFProtect

from storage.errors import Denied, say
from webapp.current import bearer_token

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_protection = CSRFProtect()


class NotFromOurPage(Denied):
    """A write by a browser that another site may have asked for."""


def install(app: Flask) -> None:
    app.config.update(
        WTF_CSRF_CHECK_DEFAULT=False,  # looked at below, because requests with a bearer token need none
        WTF_CSRF_TIME_LIMIT=None,  # a form is good for as long as the session
        WTF_CSRF_HEADERS=["X-CSRF-Token"],
        WTF_CSRF_SECRET_KEY=app.secret_key,
    )
    _protection.init_app(app)
    app.before_request(_check)


def _check() -> None:
    """Refuse a write that did not come from one of our pages.

    A bearer token is never sent by a browser on its own, so that a request with one needs no other proof.
    """
    if request.method in _SAFE or request.routing_exception is not None or bearer_token() is not None:
        return
    try:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise CSRFError("cross-site")
        _protection.protect()
    except CSRFError as error:
        raise NotFromOurPage(
            say("The form did not come from a page of this session."),
            advice=say("Go back, load the page again and send it once more. Cookies have to be allowed."),
        ) from error
