"""Which user of an application an account is: chosen by an admin, from the users that the application has."""

from __future__ import annotations

from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.accounts.account import Account
from storage.errors import StorageError
from storage.logs.choices import MOST
from webapp.accounts.blueprint import bp
from webapp.audited import audited
from webapp.current import storage
from webapp.permissions import requires


@dataclass(frozen=True, slots=True)
class Link:
    database: str
    user: str
    title: str
    """As the application calls the user; "" where it cannot be asked now."""


@bp.get("/accounts/<name>/link")
@requires("manage accounts")
def choose_user(name: str) -> str:
    account, database = storage().accounts.get(name), request.args.get("database", "")
    users = storage().logs.usage.users(storage().databases.get(database).name)
    return render_template(
        "accounts/link.html",
        one=account,
        database=database,
        users=users,
        all_there=len(users) < MOST,
        linked=account.linked.get(database, ""),
    )


@bp.post("/accounts/<name>/link")
@requires("manage accounts")
def link(name: str) -> Response:
    """Link to a user of the application, or to none."""
    form, account = request.form, storage().accounts.get(name)
    database, user = form.get("database", ""), (form.get("id") or form.get("user", "")).strip()
    if user:
        title = storage().logs.usage.user_named(storage().databases.get(database).name, user)
        storage().accounts.link(account.name, database, user)
        audited("account_linked", name, database=database, user=user)
        flash(_("%(name)s sees the requests of %(user)s in the usage logs of %(database)s.",
                name=name, user=title or user, database=database))  # fmt: skip
    else:
        storage().accounts.link(account.name, database, "")
        audited("account_unlinked", name, database=database)
        flash(_("%(name)s sees no usage logs of %(database)s any more.", name=name, database=database))
    return redirect(url_for("accounts.show", name=name), code=303)


def links_of(account: Account) -> list[Link]:
    return [Link(database, user, _title(database, user)) for database, user in sorted(account.linked.items())]


def _title(database: str, user: str) -> str:
    try:
        return storage().logs.usage.user_named(database, user, patience=2)
    except StorageError:
        return ""
