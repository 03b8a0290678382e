"""What belongs to the request being answered: the storage, the account, and what kind of answer is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import current_app, request
from flask_login import current_user

from storage.accounts.account import Account
from storage.databases.profile import Source

if TYPE_CHECKING:
    from storage.opening import Storage


def storage() -> Storage:
    return cast("Storage", current_app.extensions["storage"])


def account_or_none() -> Account | None:
    return current_user.account if current_user and current_user.is_authenticated else None


def current_account() -> Account:
    """The account that asks. Only where `@requires` has let somebody in."""
    account = account_or_none()
    assert account is not None, "a view without @requires asked who is signed in"
    return account


def current_name() -> str:
    return current_account().name


def is_own_server(address: str) -> bool:
    """Whether it is the socket of pghaven's own server: a long path, which says nothing to a person."""
    return address.startswith("/") and any(
        profile.source is Source.EMBEDDED and profile.connection.address == address
        for profile in storage().databases.all()
    )


def bearer_token() -> str | None:
    """The token of an Authorization header, as scripts send it."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def wants_fragment() -> bool:
    """Whether htmx asks for a part of a page; a boosted link or a step back in history wants the whole."""
    htmx = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def wants_json() -> bool:
    """Whether a program asks: under /api/, for the metrics, with a token, or by its Accept header."""
    if request.path.startswith("/api/") or request.path == "/metrics" or bearer_token() is not None:
        return True
    accepted = request.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]
