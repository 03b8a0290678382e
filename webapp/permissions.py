"""Who may open what: every view names a permission or says that it is public; a view that does neither is shut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, abort, current_app, redirect, request, url_for
from werkzeug.wrappers import Response

from storage.accounts.permissions import PERMISSIONS
from storage.errors import Denied, say
from webapp.addresses import asked_for, is_local_path, path_of
from webapp.current import account_or_none, bearer_token, storage, wants_json


class SignInNeeded(Denied):
    """Nobody is signed in, and no token that is known was sent."""


View = TypeVar("View", bound=Callable[..., Any])


def requires(permission: str) -> Callable[[View], View]:
    """Open the view to accounts with this permission of `storage.accounts.permissions`."""
    if permission not in PERMISSIONS:
        raise ValueError(f"{permission!r} is not in the table of permissions")

    def mark(view: View) -> View:
        view.permission = permission  # type: ignore[attr-defined]
        return view

    return mark


def public(view: View) -> View:
    """Open the view to everybody, signed in or not."""
    view.public = True  # type: ignore[attr-defined]
    return view


def install(app: Flask) -> None:
    public(app.view_functions["static"])
    app.before_request(_let_in)
    app.add_template_global(_may, "may")


def _may(permission: str) -> bool:
    account = account_or_none()
    return account is not None and account.may(permission)


def _let_in() -> Any:
    """Answer in place of the view unless the account may open it."""
    if request.routing_exception is not None:
        return None  # 404 and 405 say the same to everybody
    view = current_app.view_functions[request.endpoint or ""]
    if getattr(view, "public", False):
        return None
    account = account_or_none()
    if account is None:
        return _to_the_door()
    permission = getattr(view, "permission", None)
    if permission is None:
        abort(403)
    if not account.may(permission):
        raise Denied(
            say("Your account may not do this."), advice=say("Ask an admin of this instance, or sign in as one.")
        )
    return None


def _to_the_door() -> Any:
    """Where somebody who is not signed in is sent, in the form that the asker understands."""
    if wants_json():
        if bearer_token() is not None:
            raise SignInNeeded(
                say("The bearer token is not known here, or has ended."),
                advice=say("A new one: pghaven accounts token NAME."),
            )
        raise SignInNeeded(say("Sign in, or send a bearer token."))
    setup = storage().accounts.needs_setup()
    door = url_for("accounts.setup") if setup else url_for("accounts.login", next=_wanted())
    if request.htmx:  # type: ignore[attr-defined]
        # A redirect would be followed by the browser, and the page of the sign-in swapped into the fragment.
        return Response("", 401, {"HX-Redirect": door})
    return redirect(door, code=303)


def _wanted() -> str | None:
    """The page to come back to: the one that is open when htmx asks, the one asked for otherwise."""
    wanted = asked_for() if request.method == "GET" else None
    if request.htmx:  # type: ignore[attr-defined]
        wanted = path_of(request.htmx.current_url)  # type: ignore[attr-defined]
    return wanted if wanted and wanted != url_for("overview.show") and is_local_path(wanted) else None
