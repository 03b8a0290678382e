"""The accounts of this instance, and what each role may do."""

from __future__ import annotations

import re

from flask import flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.accounts.permissions import PERMISSIONS, Role
from storage.errors import Invalid, Message, StorageError, say
from storage.secret import Secret
from webapp import cookies
from webapp.accounts.blueprint import bp
from webapp.accounts.forms import field_of
from webapp.accounts.linking import links_of
from webapp.audited import audited
from webapp.current import current_name, storage
from webapp.permissions import requires


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
    audited("account_added", name, role=_role().value)
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
    audited("account_password_changed", name)
    if name == current_name():
        cookies.sign_out()
        return redirect(url_for("accounts.login"), code=303)
    flash(_("%(name)s has a new password and is signed out everywhere.", name=name))
    return redirect(url_for("accounts.show", name=name), code=303)


@bp.post("/accounts/<name>/role")
@requires("manage accounts")
def change_role(name: str) -> Response:
    storage().accounts.change_role(name, _role())
    audited("account_role_changed", name, role=_role().value)
    flash(_("The role of %(name)s is changed.", name=name))
    lost_it = not storage().accounts.get(current_name()).may("manage accounts")
    return redirect(url_for("overview.show") if lost_it else url_for("accounts.show", name=name), code=303)


@bp.post("/accounts/<name>/sessions/end")
@requires("manage accounts")
def end_sessions(name: str) -> Response:
    storage().accounts.sessions.end_all(storage().accounts.get(name).name)
    audited("account_sessions_ended", name)
    flash(_("%(name)s is signed out everywhere.", name=name))
    return redirect(url_for("accounts.show", name=name), code=303)


@bp.get("/accounts/<name>/remove")
@requires("manage accounts")
def confirm_remove(name: str) -> str:
    """The question, for whom no dialog opens."""
    return render_template("accounts/remove.html", one=storage().accounts.get(name))


@bp.post("/accounts/<name>/remove")
@requires("manage accounts")
def remove(name: str) -> Response:
    storage().accounts.remove(name)
    audited("account_removed", name)
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
        field=field_of(error) if error else "",
    )


def _one(name: str, *, error: StorageError | None = None) -> str:
    accounts = storage().accounts
    return render_template(
        "accounts/show.html",
        one=accounts.get(name),
        sessions=accounts.sessions.of(name),
        tokens=accounts.tokens_of(name),
        links=links_of(accounts.get(name)),
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


# The permissions as a page says them; a test holds this list and the table together.
_PERMISSIONS = {
    "see backups": say("see databases, backups, history and jobs"),
    "change their own account": say("change their own password and tokens"),
    "take backups": say("take backups"),
    "verify backups": say("verify backups"),
    "download backups": say("download backups"),
    "prove backups": say("prove backups by restoring them"),
    "upload backups": say("upload backups"),
    "delete backups": say("delete backups, and say what is kept how long"),
    "manage schedules": say("say when backups are taken"),
    "manage destinations": say("add, change and remove destinations"),
    "manage alerts": say("say who is alerted, and of what"),
    "see the audit log": say("see the audit log"),
    "restore": say("restore"),
    "see usage logs": say("see usage logs: admins every request, users their own"),
    "see sessions and probes": say("see sessions and probes"),
    "clean up logs": say("clean up logs"),
    "make demo data": say("make demo data"),
    "export tables": say("export tables"),
    "manage databases": say("add, change and remove databases"),
    "cancel jobs": say("cancel jobs"),
    "manage accounts": say("manage accounts"),
    "see the system": say("see the system"),
}


def say_permission(permission: str) -> Message:
    return _PERMISSIONS[permission]
