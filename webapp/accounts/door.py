"""Signing in and out, and the first set-up."""

from __future__ import annotations

from flask import flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.accounts.accounts import TooManyTries, WrongPassword
from storage.errors import Denied, Invalid
from storage.secret import Secret
from webapp import cookies
from webapp.accounts.blueprint import bp
from webapp.accounts.forms import begin_session, field_of, refused
from webapp.addresses import local_path
from webapp.audited import audited
from webapp.current import account_or_none, storage
from webapp.permissions import public


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
        _audit_refusal(name, error)
        return refused(render_template("accounts/login.html", next=_next(), name=name, stay=stay, error=error), error)
    cookies.sign_out()
    found = accounts.session(session_id)
    assert found is not None
    cookies.sign_in(session_id, found[1], stay=stay)
    audited("signed_in", found[1].name, actor=found[1].name)
    return redirect(_next(), code=303)


@bp.post("/logout")
@public
def logout() -> Response:
    if account := account_or_none():
        audited("signed_out", account.name)
    cookies.sign_out()
    return redirect(url_for("accounts.login"), code=303)


def _audit_refusal(name: str, error: WrongPassword | TooManyTries) -> None:
    # In the pause after too many wrong tries nothing is tried; recording those too would let anybody fill the disk.
    if isinstance(error, WrongPassword):
        # A password that was typed into the field of the name must not stay readable for ever.
        known = name.lower() in {account.name for account in storage().accounts.all()}
        audited("signed_in", name.lower() if known else "", result="refused", actor="", known=known)


def _next() -> str:
    return local_path(request.values.get("next"), otherwise=url_for("overview.show"))


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
        page = render_template("accounts/setup.html", token=token, name=name, error=error, field=field_of(error))
        return make_response(page, 422)
    begin_session(account)
    audited("instance_set_up", account.name, actor=account.name)
    flash(_("pghaven is yours. Nobody else can set it up any more."))
    return redirect(url_for("overview.show"), code=303)
