"""The page of destinations, and the buttons of a backup's copies. A route reads, calls, and renders or redirects."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import Blueprint, flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.backups import copies_found
from storage.backups.copies import CopyState
from storage.destinations import encryption, testing
from storage.destinations.destination import DEFAULT_KEEP_DAYS, Destination, parse_url
from storage.errors import Invalid, StorageError, say
from storage.secret import Secret
from webapp.answers import see
from webapp.audited import audited
from webapp.current import current_name, storage
from webapp.errors import status_of
from webapp.permissions import requires

bp = Blueprint("destinations", __name__)

PERIODS = ("weekly", "monthly", "yearly")
CHANGEABLE = ("databases", "keep_days", *PERIODS, "recipients")
FIELDS = ("name", "url", *CHANGEABLE)
"""What the form shows again when it was refused; the secret is not among them."""


@dataclass(frozen=True, slots=True)
class Row:
    destination: Destination
    copies: int
    failed: int


@bp.get("/destinations")
@requires("manage destinations")
def index() -> str:
    return _page()


@bp.post("/destinations")
@requires("manage destinations")
def add() -> Response | tuple[str, int]:
    """Try the place out, and keep it; a place that cannot be used is not kept."""
    try:
        destination = _read()
        storage().destinations.check(destination)
        testing.try_out(destination)
        added = storage().destinations.add(destination, by=current_name())
    except StorageError as error:
        return _page(error=error), 422
    audited("destination_added", added.name, url=added.url)
    flash(_("%(name)s is added. Every new backup is copied there.", name=added.name))
    return see(url_for("destinations.index"))


@bp.post("/destinations/<name>/test")
@requires("manage destinations")
def test(name: str) -> Response | tuple[str, int]:
    destination = storage().destinations.get(name)
    try:
        testing.try_out(destination)
    except StorageError as error:
        return _page(error=error), status_of(error)
    flash(_("%(name)s can be written, read, listed and deleted from.", name=name))
    return see(url_for("destinations.index"))


@bp.get("/destinations/<name>")
@requires("manage destinations")
def edit(name: str) -> str:
    return _edit_page(storage().destinations.get(name))


@bp.post("/destinations/<name>")
@requires("manage destinations")
def change(name: str) -> Response | tuple[str, int]:
    """Everything but the name and the place; tried out with the new secret before it is kept."""
    present = storage().destinations.get(name)
    try:
        changed = _read_choices(present)
        testing.try_out(changed)
        storage().destinations.change(name, **{field: getattr(changed, field) for field in (*CHANGEABLE, "secret_key")})
    except StorageError as error:
        return _edit_page(present, error=error), 422
    audited("destination_changed", name)
    flash(_("%(name)s is changed.", name=name))
    return see(url_for("destinations.index"))


@bp.get("/destinations/<name>/remove")
@requires("manage destinations")
def ask_to_remove(name: str) -> str:
    return render_template("destinations/remove.html", destination=storage().destinations.get(name))


@bp.post("/destinations/<name>/remove")
@requires("manage destinations")
def remove(name: str) -> Response:
    storage().destinations.remove(name)
    audited("destination_removed", name)
    flash(_("Nothing is copied to %(name)s any more. The copies that lie there stay.", name=name))
    return see(url_for("destinations.index"))


@bp.post("/destinations/<name>/rebuild")
@requires("manage destinations")
def rebuild(name: str) -> Response:
    found = copies_found.rebuild(storage().backups.catalog, storage().destinations.get(name))
    audited("catalog_rebuilt", name, backups=len(found))
    flash(_("%(count)s backups were unknown here and are in the catalog now.", count=len(found)))
    return see(url_for("destinations.index"))


@bp.post("/backups/<backup_id>/copies/<name>")
@requires("manage destinations")
def copy(backup_id: str, name: str) -> Response:
    """Copy it there; or, where there is a copy, read that in full."""
    job, _new = storage().copying.copy(backup_id, name, by=current_name())
    audited("backup_copy_requested", backup_id, destination=name, job=job.job_id)
    return see(url_for("jobs.show", job_id=job.job_id))


@bp.post("/backups/<backup_id>/copies/<name>/fetch")
@requires("restore")
def fetch(backup_id: str, name: str) -> Response:
    identity = request.form.get("identity", "").strip()
    job, _new = storage().copying.fetch(
        backup_id, name, by=current_name(), identity=Secret(identity) if identity else None
    )
    audited("backup_fetch_requested", backup_id, destination=name, job=job.job_id)
    return see(url_for("jobs.show", job_id=job.job_id))


def _read() -> Destination:
    return _read_choices(parse_url(request.form.get("name", "").strip(), request.form.get("url", "")))


def _read_choices(destination: Destination) -> Destination:
    """The destination with what the form says of it beside its place."""
    form = request.form
    if secret := form.get("secret", "").strip():
        destination = destination.with_(secret_key=Secret(secret))
    numbers = {name: _number(form.get(name, ""), usual=0) for name in PERIODS}
    databases = (
        tuple(re.split(r"[\s,]+", form.get("databases", "").strip())) if form.get("databases", "").strip() else ()
    )
    for name in databases:
        storage().databases.get(name)
    return destination.with_(
        keep_days=_number(form.get("keep_days", ""), usual=DEFAULT_KEEP_DAYS),
        **numbers,
        databases=databases,
        recipients=encryption.checked_recipients(form.get("recipients", "").splitlines()),
    )


def _number(text: str, *, usual: int) -> int:
    text = text.strip()
    if not text:
        return usual
    if not text.isascii() or not text.isdigit():
        raise Invalid(say("“%(value)s” is not a whole number.", value=text[:20]))
    return int(text[:6])


def _page(error: StorageError | None = None) -> str:
    records = storage().backups.catalog.all()
    rows = []
    for destination in storage().destinations.all():
        states = [copy.state for record in records if (copy := record.copy_at(destination.name)) is not None]
        failed = sum(state in (CopyState.FAILED, CopyState.DAMAGED) for state in states)
        rows.append(Row(destination, states.count(CopyState.COMPLETE), failed))
    typed = {field: request.form.get(field, "") for field in FIELDS}
    typed["url"] = re.sub(r"(://[^:/@]*):[^@]*@", r"\1@", typed["url"])  # the secret is typed again
    typed["keep_days"] = typed["keep_days"] or str(DEFAULT_KEEP_DAYS)
    return render_template("destinations/index.html", rows=rows, typed=typed, error=error)


def _edit_page(destination: Destination, error: StorageError | None = None) -> str:
    if error is not None:
        typed = {field: request.form.get(field, "") for field in CHANGEABLE}
    else:
        typed = {field: str(getattr(destination, field) or "") for field in PERIODS}
        typed |= {
            "databases": " ".join(destination.databases),
            "keep_days": str(destination.keep_days),
            "recipients": "\n".join(destination.recipients),
        }
    return render_template("destinations/edit.html", destination=destination, typed=typed, error=error)
