"""One's own account: its password, where it is signed in, its tokens."""

from __future__ import annotations

import flask
from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.accounts.accounts import TooManyTries, WrongPassword
from storage.errors import Invalid, StorageError
from storage.secret import Secret
from webapp.accounts.blueprint import bp
from webapp.accounts.forms import begin_session, field_of, refused
from webapp.audited import audited
from webapp.current import current_name, storage
from webapp.permissions import requires


@bp.get("/account")
@requires("change their own account")
def own() -> str:
    return _page()


@bp.post("/account/password")
@requires("change their own account")
def change_password() -> Response:
    accounts, form = storage().accounts, request.form
    try:
        account = accounts.change_password(
            current_name(),
            present=Secret(form.get("present", "")),
            new=Secret(form.get("password", "")),
            address=request.remote_addr or "",
        )
    except (Invalid, WrongPassword, TooManyTries) as error:
        if isinstance(error, WrongPassword):
            audited("account_password_changed", current_name(), result="refused")
        return refused(_page(error=error), error)
    audited("account_password_changed", account.name)
    begin_session(account)
    flash(_("The password is changed. Everywhere else you are signed out."))
    return redirect(url_for("accounts.own"), code=303)


@bp.post("/account/sessions/end")
@requires("change their own account")
def end_other_sessions() -> Response:
    present = flask.session.get("_user_id")
    storage().accounts.sessions.end_all(current_name(), but=present)
    audited("account_sessions_ended", current_name())
    flash(_("Everywhere else you are signed out."))
    return redirect(url_for("accounts.own"), code=303)


@bp.post("/account/tokens")
@requires("change their own account")
def create_token() -> str:
    token = storage().accounts.create_token(current_name())
    audited("account_token_made", current_name())
    return _page(new_token=token)


@bp.post("/account/tokens/<key>/revoke")
@requires("change their own account")
def revoke_token(key: str) -> Response:
    storage().accounts.tokens.revoke(current_name(), key)
    audited("account_token_removed", current_name(), token=key)
    flash(_("The token is worth nothing any more."))
    return redirect(url_for("accounts.own"), code=303)


def _page(*, error: StorageError | None = None, new_token: str = "") -> str:
    accounts, name = storage().accounts, current_name()
    return render_template(
        "accounts/own.html",
        sessions=accounts.sessions.of(name),
        present=accounts.sessions.find(flask.session.get("_user_id", ""), by_person=False),
        tokens=accounts.tokens_of(name),
        new_token=new_token,
        error=error,
        field=field_of(error) if error else "",
    )
