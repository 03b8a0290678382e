"""What the forms of accounts have in common: a refusal, the refused field, and the session that follows."""

from __future__ import annotations

from flask import make_response, request
from werkzeug.wrappers import Response

from storage.accounts.account import Account
from storage.accounts.accounts import TooManyTries, WrongPassword
from storage.errors import Conflict, Denied, StorageError
from webapp import cookies
from webapp.current import storage


def refused(page: str, error: StorageError) -> Response:
    """The form again; 429 with the seconds to wait after too many wrong passwords."""
    response = make_response(page, 422)
    if isinstance(error, TooManyTries):
        response.status_code = 429
        response.headers["Retry-After"] = str(error.seconds)
    return response


def begin_session(account: Account) -> None:
    session_id = storage().accounts.sessions.begin(
        account.name, address=request.remote_addr or "", browser=request.user_agent.string
    )
    cookies.sign_in(session_id, account, stay=False)


def field_of(error: StorageError) -> str:
    """Which field of the form was refused."""
    if isinstance(error, WrongPassword | TooManyTries):
        return "present"
    if isinstance(error, Denied):
        return "token"
    return "name" if isinstance(error, Conflict) or "name" in error.cause.facts else "password"
