"""The pages of accounts. A route reads, calls, and renders or redirects."""

from __future__ import annotations

import re

import flask
from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.accounts.account import Account
from storage.accounts.accounts import TooManyTries, WrongPassword
from storage.accounts.permissions import PERMISSIONS, Role
from storage.errors import Conflict, Denied, Invalid, Message, StorageError, say
from storage.secret import Secret
from webapp import cookies
from webapp.addresses import local_path
from webapp.current import account_or_none, current_name, storage
from webapp.permissions import public, requires

bp = Blueprint("accounts", __name__)


# Signing in and out


@bp.get("/login")
@public
def login() -> Response | str:
    if storage().accounts.needs_setup():
        return redirect(url_for("accounts.setup"), code=303)
    if account_or_none() is not None:
        return redirect(_next(), code=303)
    return render_template("accounts/login.html", next=_next(), name="", error=None)


@bp.post("/login")
@public
def sign_in() -> Response:
    name, stay = request.form.get("name", "").strip()[:80], "stay" in request.form
    accounts = storage().accounts
    try:
        session_id = accounts.sign_in(
            name,
            Secret(request.form.get("password", "")),
            request.remote_addr or "",
            browser=request.user_agent.string,
            stay=stay,
        )
    except (WrongPassword, TooManyTries) as error:
        return _refused(render_template("accounts/login.html", next=_next(), name=name, stay=stay, error=error), error)
    cookies.sign_out()
    found = accounts.session(session_id)
    assert found is not None
    cookies.sign_in(session_id, found[1], stay=stay)
    return redirect(_next(), code=303)


@bp.post("/logout")
@public
def logout() -> Response:
    cookies.sign_out()
    return redirect(url_for("accounts.login"), code=303)


def _refused(page: str, error: StorageError) -> Response:
    """The form again; 429 with the seconds to wait after too many wrong passwords."""
    response = make_response(page, 422)
    if isinstance(error, TooManyTries):
        response.status_code = 429
        response.headers["Retry-After"] = str(error.seconds)
    return response


def _begin_session(account: Account) -> None:
    session_id = storage().accounts.sessions.begin(
        account.name, address=request.remote_addr or "", browser=request.user_agent.string
    )
    cookies.sign_in(session_id, account, stay=False)


def _next() -> str:
    return local_path(request.values.get("next"), otherwise=url_for("overview.show"))


# The first set-up


@bp.get("/setup")
@public
def setup() -> Response | str:
    if not storage().accounts.needs_setup():
        return redirect(url_for("accounts.login"), code=303)
    token = request.args.get("token", "")
    try:
        if token:
            # Said before a name and a password are thought of.
            storage().accounts.check_setup_token(token)
    except Denied as error:
        page = render_template("accounts/setup.html", token="", name="admin", error=error, field="token")
        return make_response(page, 422)
    return render_template("accounts/setup.html", token=token, name="admin", error=None, field="")


@bp.post("/setup")
@public
def complete_setup() -> Response:
    token, name = request.form.get("token", ""), request.form.get("name", "").strip().lower()
    password = Secret(request.form.get("password", ""))
    try:
        account = storage().accounts.complete_setup(token, name, password)
    except (Invalid, Denied) as error:
        page = render_template("accounts/setup.html", token=token, name=name, error=error, field=_field_of(error))
        return make_response(page, 422)
    _begin_session(account)
    flash(_("pghaven is yours. Nobody else can set it up any more."))
    return redirect(url_for("overview.show"), code=303)


# One's own account


@bp.get("/account")
@requires("change their own account")
def own() -> str:
    return _own_page()


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
        return _refused(_own_page(error=error), error)
    _begin_session(account)
    flash(_("The password is changed. Everywhere else you are signed out."))
    return redirect(url_for("accounts.own"), code=303)


@bp.post("/account/sessions/end")
@requires("change their own account")
def end_other_sessions() -> Response:
    present = flask.session.get("_user_id")
    storage().accounts.sessions.end_all(current_name(), but=present)
    flash(_("Everywhere else you are signed out."))
    return redirect(url_for("accounts.own"), code=303)


@bp.post("/account/tokens")
@requires("change their own account")
def create_token() -> str:
    return _own_page(new_token=storage().accounts.create_token(current_name()))


@bp.post("/account/tokens/<key>/revoke")
@requires("change their own account")
def revoke_token(key: str) -> Response:
    storage().accounts.tokens.revoke(current_name(), key)
    flash(_("The token is worth nothing any more."))
    return redirect(url_for("accounts.own"), code=303)


def _own_page(*, error: StorageError | None = None, new_token: str = "") -> str:
    accounts, name = storage().accounts, current_name()
    return render_template(
        "accounts/own.html",
        sessions=accounts.sessions.of(name),
        present=accounts.sessions.find(flask.session.get("_user_id", ""), by_person=False),
        tokens=accounts.tokens_of(name),
        new_token=new_token,
        error=error,
        field=_field_of(error) if error else "",
    )


# The accounts of this instance


@bp.get("/accounts")
@requires("manage accounts")
def index() -> str:
    return _list()


@bp.post("/accounts")
@requires("manage accounts")
def add() -> Response:
    form = request.form
    name = form.get("name", "").strip().lower()
    try:
        storage().accounts.add(name, _role(), Secret(form.get("password", "")), by=current_name())
    except StorageError as error:
        return make_response(_list(error=error, name=name), 422)
    flash(_("%(name)s may sign in now.", name=name))
    return redirect(url_for("accounts.index"), code=303)


@bp.get("/accounts/<name>")
@requires("manage accounts")
def show(name: str) -> str:
    return _one(name)


@bp.post("/accounts/<name>/password")
@requires("manage accounts")
def reset_password(name: str) -> Response:
    try:
        storage().accounts.reset_password(name, Secret(request.form.get("password", "")))
    except Invalid as error:
        return make_response(_one(name, error=error), 422)
    if name == current_name():
        cookies.sign_out()
        return redirect(url_for("accounts.login"), code=303)
    flash(_("%(name)s has a new password and is signed out everywhere.", name=name))
    return redirect(url_for("accounts.show", name=name), code=303)


@bp.post("/accounts/<name>/role")
@requires("manage accounts")
def change_role(name: str) -> Response:
    storage().accounts.change_role(name, _role())
    flash(_("The role of %(name)s is changed.", name=name))
    lost_it = not storage().accounts.get(current_name()).may("manage accounts")
    return redirect(url_for("overview.show") if lost_it else url_for("accounts.show", name=name), code=303)


@bp.post("/accounts/<name>/sessions/end")
@requires("manage accounts")
def end_sessions(name: str) -> Response:
    storage().accounts.sessions.end_all(storage().accounts.get(name).name)
    flash(_("%(name)s is signed out everywhere.", name=name))
    return redirect(url_for("accounts.show", name=name), code=303)


@bp.post("/accounts/<name>/remove")
@requires("manage accounts")
def remove(name: str) -> Response:
    storage().accounts.remove(name)
    flash(_("%(name)s cannot sign in any more. What the account did stays in the records.", name=name))
    return redirect(url_for("accounts.index"), code=303)


def _list(*, error: StorageError | None = None, name: str = "") -> str:
    accounts = storage().accounts
    return render_template(
        "accounts/index.html",
        rows=[(one, accounts.sessions.of(one.name), len(accounts.tokens_of(one.name))) for one in accounts.all()],
        permissions=[(say_permission(permission), roles) for permission, roles in PERMISSIONS.items()],
        error=error,
        name=name,
        field=_field_of(error) if error else "",
    )


def _one(name: str, *, error: StorageError | None = None) -> str:
    accounts = storage().accounts
    return render_template(
        "accounts/show.html",
        one=accounts.get(name),
        sessions=accounts.sessions.of(name),
        tokens=accounts.tokens_of(name),
        error=error,
    )


def _role() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError:
        raise Invalid(say("There is no such role.")) from None


@bp.app_template_filter()
def browser_name(agent: str) -> str:
    """Firefox 140, Linux: as much of a User-Agent header as a person knows their browser by."""
    product = re.search(r"(Edg|OPR|Firefox|Chrome|Version|curl)/(\d+)", agent)
    system = re.search(r"Android|iPhone|iPad|Windows|Macintosh|Linux", agent)
    names = {"Edg": "Edge", "OPR": "Opera", "Version": "Safari"}
    parts = [f"{names.get(product[1], product[1])} {product[2]}" if product else agent[:40]]
    return ", ".join([*parts, system[0]] if system and product else parts)


def _field_of(error: StorageError) -> str:
    """Which field of the form was refused."""
    if isinstance(error, WrongPassword | TooManyTries):
        return "present"
    if isinstance(error, Denied):
        return "token"
    return "name" if isinstance(error, Conflict) or "name" in error.cause.facts else "password"


# The permissions as a page says them; a test holds this list and the table together.
_PERMISSIONS = {
    "see backups": say("see databases, backups, history and jobs"),
    "change their own account": say("change their own password and tokens"),
    "take backups": say("take backups"),
    "verify backups": say("verify backups"),
    "download backups": say("download backups"),
    "restore": say("restore"),
    "manage databases": say("add, change and remove databases"),
    "cancel jobs": say("cancel jobs"),
    "manage accounts": say("manage accounts"),
    "see the system": say("see the system"),
}


def say_permission(permission: str) -> Message:
    return _PERMISSIONS[permission]
