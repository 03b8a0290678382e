"""Who is asking: a signed cookie with the id of a session that is kept on the server, or a bearer token.

The cookie holds the id, the CSRF secret and what a page still has to say back; nothing in it lets anybody in once the
session's record is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask
from flask import Flask, Request, request
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, login_user

from storage.accounts import sessions
from storage.accounts.account import Account
from webapp.current import bearer_token, storage

if TYPE_CHECKING:
    from storage.opening import Storage


class Visitor(UserMixin):
    """An account that is signed in, as Flask-Login wants it: its id is the session's."""

    def __init__(self, account: Account, session_id: str = "") -> None:
        self.account, self.session_id = account, session_id

    def get_id(self) -> str:
        return self.session_id


class _Cookies(SecureCookieSessionInterface):
    def get_cookie_secure(self, app: Flask) -> bool:
        return bool(app.config["SESSION_COOKIE_SECURE"]) or request.is_secure


def install(app: Flask, storage_: Storage) -> None:
    secure = storage_.settings.secure_cookies
    app.secret_key = storage_.box.signing_key("cookies")
    app.session_interface = _Cookies()
    app.config.update(
        SESSION_COOKIE_NAME="__Host-pghaven" if secure else "pghaven",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure,
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=sessions.LONGEST,
    )
    manager = LoginManager(app)
    manager.session_protection = None  # the record on the server decides, not a hash of the browser's name
    manager.user_loader(_by_cookie)
    manager.request_loader(_by_token)


def _by_cookie(session_id: str) -> Visitor | None:
    if bearer_token() is not None:
        return None  # a request with a token is the token's alone
    found = storage().accounts.session(session_id, by_person=_asked_by_person())
    return Visitor(found[1], session_id) if found else None


def _by_token(asked: Request) -> Visitor | None:
    token = bearer_token()
    account = storage().accounts.account_of_token(token) if token else None
    return Visitor(account) if account else None


def _asked_by_person() -> bool:
    """Not a page that polls: such a page, left open, must not keep its session open. (X-Poll: static/pghaven.js.)"""
    return "X-Poll" not in request.headers and not (request.path.startswith("/api/") and request.method == "GET")


def sign_in(session_id: str, account: Account, *, stay: bool) -> None:
    """Hand out the cookie of a new session: everything that was in the old one is dropped, the CSRF secret with it."""
    flask.session.clear()
    flask.session.permanent = stay
    login_user(Visitor(account, session_id))


def sign_out() -> None:
    """End the session on the server; the cookie, wherever a copy of it is, opens nothing any more."""
    if session_id := flask.session.get("_user_id"):
        storage().accounts.sign_out(session_id)
    flask.session.clear()
