"""The pages of databases. A route reads, calls, and renders or redirects."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.backups.protection import protection
from storage.backups.strip import day_of, strip
from storage.backups.trend import trend
from storage.databases.profile import DatabaseProfile, Source
from storage.databases.session_store import shown_address
from storage.databases.testing import ConnectionTest
from storage.errors import Conflict, say
from storage.postgres.connection import SSL_MODES
from storage.secret import Secret
from webapp.answers import see
from webapp.audited import audited
from webapp.board import read_board, takes_of, zone_of
from webapp.current import current_name, storage, wants_fragment
from webapp.databases import forms
from webapp.databases.chart import chart
from webapp.databases.forms import DatabaseForm
from webapp.permissions import requires

bp = Blueprint("databases", __name__)

LATEST = 9
"""Backups on the page of a database; History has the others."""


@bp.get("/databases")
@requires("see backups")
def index() -> str:
    """Nothing here waits for a server: each line asks for its own."""
    return render_template("databases/index.html", rows=read_board(storage()).rows)


@bp.get("/databases/new")
@requires("manage databases")
def new() -> str:
    return _form_page(forms.empty())


@bp.post("/databases")
@requires("manage databases")
def create() -> Response | tuple[str, int]:
    form = forms.read(request.form, taken=[profile.name for profile in storage().databases.all()])
    if not form.good or form.connection is None:
        return _form_again(form), 422
    storage().databases.add(
        form.name,
        form.connection,
        log_tables=form.log_tables,
        digests=form.digests,
        session_store_url=form.session_store_url or None,
        by=current_name(),
    )
    audited("database_added", form.name, **_told(form))
    if form.first_backup:
        job, _new = storage().backups.take(form.name, by=current_name())
        audited("backup_requested", form.name, job=job.job_id)
    flash(_("%(name)s is added.", name=form.name))
    return see(url_for("databases.show", name=form.name))


@bp.post("/databases/new/test")
@requires("manage databases")
def test() -> str:
    return _tested(forms.read(request.form))


@bp.get("/databases/<name>")
@requires("see backups")
def show(name: str) -> str:
    profile = storage().databases.get(name)
    catalog = storage().backups.catalog
    records = catalog.check_newest(catalog.find(database=name))
    jobs = takes_of(storage().jobs.active(), name)
    zone = zone_of(storage())
    good = [record for record in records if record.good]
    now = storage().clock()
    return render_template(
        "databases/show.html",
        profile=profile,
        source=_source(profile),
        known_logs=storage().backups.known_log_tables(profile),
        status=None,
        standing=protection(name, records, jobs, now=now, late_after=storage().schedules.late_after(name)),
        cells=strip(records, jobs, storage().schedules.without_a_run(name), today=day_of(now, zone), zone=zone),
        schedule=storage().schedules.of(name),
        runs=storage().schedules.of(name).runs(now, count=3),
        latest=records[:LATEST],
        kept=len(good),
        kept_bytes=sum(record.bytes for record in good),
        trend=chart(trend(records)),
        tonight=storage().retention.tonight(name),
    )


@bp.get("/databases/<name>/status")
@requires("see backups")
def status(name: str) -> str:
    """The page; as a fragment the facts of the connection, or one line of the list."""
    profile = storage().databases.get(name)
    template = "databases/status.html"
    if wants_fragment():
        template = "databases/_status_line.html" if "line" in request.args else "databases/_facts.html"
    found = storage().statuses.of(profile)
    return render_template(
        template,
        profile=profile,
        status=found,
        source=_source(profile),
        known_logs=storage().backups.known_log_tables(profile),
    )


@bp.get("/databases/<name>/edit")
@requires("manage databases")
def edit(name: str) -> str:
    profile = _editable(name)
    return _form_page(forms.of_profile(profile), profile)


@bp.post("/databases/<name>")
@requires("manage databases")
def change(name: str) -> Response | tuple[str, int]:
    profile = _editable(name)
    form = forms.read(request.form, present=profile)
    if not form.good or form.connection is None:
        return _form_again(form, profile), 422
    storage().databases.change(
        name,
        form.connection,
        log_tables=form.log_tables,
        digests=form.digests,
        session_store_url=form.session_store_url,
    )
    audited("database_changed", name, **_told(form))
    flash(_("%(name)s is changed. Its backups are as they were.", name=name))
    return see(url_for("databases.show", name=name))


@bp.post("/databases/<name>/test")
@requires("manage databases")
def test_present(name: str) -> str:
    profile = _editable(name)
    return _tested(forms.read(request.form, present=profile), profile)


@bp.get("/databases/<name>/remove")
@requires("manage databases")
def confirm_remove(name: str) -> str:
    return _remove_page(_editable(name))


@bp.post("/databases/<name>/remove")
@requires("manage databases")
def remove(name: str) -> Response | tuple[str, int]:
    profile = _editable(name)
    typed = request.form.get("typed", "").strip()
    if typed != name:
        return _remove_page(profile, typed=typed, wrong=True), 422
    storage().databases.remove(name)
    audited("database_removed", name)
    flash(_("%(name)s is removed. Its backups are still in History.", name=name))
    return see(url_for("databases.index"))


@bp.app_template_filter()
def store_address(url: Secret) -> str:
    """Where a session store is, without its password."""
    return shown_address(url)


def _editable(name: str) -> DatabaseProfile:
    """The profile of one that may be changed here. Raises Conflict for one of the environment's."""
    profile: DatabaseProfile = storage().databases.get(name)
    if not profile.editable:
        raise Conflict(
            say("%(name)s is not from here: it cannot be changed in the browser.", name=name),
            advice=say("Change the variable it comes from, and start pghaven again."),
        )
    return profile


def _told(form: DatabaseForm) -> dict[str, Any]:
    """What the audit log keeps of a database's settings: where it is, and nothing that is secret."""
    connection = form.connection
    assert connection is not None, "a form that was refused is not recorded"
    store = form.session_store_url
    changed = {} if store is None else {"session_store": shown_address(store) if store else ""}
    return changed | {
        "address": connection.address,
        "dbname": connection.dbname,
        "user": connection.user,
        "log_tables": list(form.log_tables),
        "digests": form.digests,
    }


def _source(profile: DatabaseProfile) -> str:
    match profile.source:
        case Source.ENVIRONMENT:
            variable = storage().settings.database_variable
            return _("from the environment (%(variable)s), changed there only", variable=variable or "DATABASE_URL")
        case Source.EMBEDDED:
            return _("a demo database on pghaven's own server")
        case Source.ADDED:
            return _("added by %(name)s", name=profile.added_by) if profile.added_by else _("added here")


def _tested(form: DatabaseForm, profile: DatabaseProfile | None = None) -> str:
    """The answer of the server beside the form, which stays as it was typed. Nothing is saved."""
    found = storage().databases.test(form.connection) if form.connection else None
    if wants_fragment():
        return render_template("databases/_test.html", form=form, test=found, tested=True)
    return _form_page(form, profile, test=found, tested=True)


def _form_page(
    form: DatabaseForm,
    profile: DatabaseProfile | None = None,
    *,
    test: ConnectionTest | None = None,
    tested: bool = False,
) -> str:
    template = "databases/edit.html" if profile else "databases/new.html"
    return render_template(template, form=form, profile=profile, test=test, tested=tested, sslmodes=_ssl_modes())


def _form_again(form: DatabaseForm, profile: DatabaseProfile | None = None) -> str:
    if wants_fragment():
        return render_template("databases/_form.html", form=form, profile=profile, test=None, sslmodes=_ssl_modes())
    return _form_page(form, profile)


def _remove_page(profile: DatabaseProfile, *, typed: str = "", wrong: bool = False) -> str:
    kept = sum(record.good for record in storage().backups.catalog.find(database=profile.name))
    return render_template("databases/remove.html", profile=profile, kept=kept, typed=typed, wrong=wrong)


def _ssl_modes() -> list[tuple[str, str]]:
    words = {
        "disable": _("disable: never"),
        "allow": _("allow: only if the server insists"),
        "prefer": _("prefer: if the server offers it"),
        "require": _("require: always, any certificate"),
        "verify-ca": _("verify-ca: always, a certificate of the authority"),
        "verify-full": _("verify-full: always, and for this host name"),
    }
    return [(mode, words[mode]) for mode in SSL_MODES]
