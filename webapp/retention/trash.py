"""The trash: what is in it and until when, putting back, and erasing for good."""

from __future__ import annotations

from flask import flash, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from storage.backups.record import BackupRecord, BackupState
from storage.errors import Conflict, say
from webapp.answers import see
from webapp.audited import audited
from webapp.current import storage
from webapp.permissions import requires
from webapp.retention.blueprint import bp

WORD = "trash"
"""What has to be typed to empty it: the same in every language."""


@bp.get("/trash")
@requires("see backups")
def trash() -> str:
    records = storage().trash.all()
    registered = {profile.name for profile in storage().databases.all()}
    return render_template(
        "retention/trash.html",
        records=records,
        registered=registered,
        bytes=sum(record.bytes for record in records),
    )


@bp.post("/trash/<backup_id>/put-back")
@requires("delete backups")
def put_back(backup_id: str) -> Response:
    record = storage().trash.put_back(backup_id)
    audited("backup_put_back", backup_id, database=record.database)
    flash(_("The backup is back in its place."))
    return see(url_for("backups.show", backup_id=backup_id))


@bp.get("/trash/<backup_id>/erase")
@requires("delete backups")
def confirm_erase(backup_id: str) -> str:
    return _erase_page(_in_trash(backup_id))


@bp.post("/trash/<backup_id>/erase")
@requires("delete backups")
def erase(backup_id: str) -> Response | tuple[str, int]:
    record = _in_trash(backup_id)
    typed = request.form.get("typed", "").strip()
    if typed != record.database:
        return _erase_page(record, typed=typed, wrong=True), 422
    storage().trash.erase(backup_id)
    audited("backup_erased", backup_id, database=record.database)
    flash(_("The backup is erased."))
    return see(url_for("retention.trash"))


@bp.get("/trash/empty")
@requires("delete backups")
def confirm_empty() -> str:
    return _empty_page()


@bp.post("/trash/empty")
@requires("delete backups")
def empty() -> Response | tuple[str, int]:
    typed = request.form.get("typed", "").strip()
    if typed != WORD:
        return _empty_page(typed=typed, wrong=True), 422
    erased = storage().trash.empty()
    for record in erased:
        audited("backup_erased", record.backup_id, database=record.database)
    flash(ngettext("%(num)s backup is erased.", "%(num)s backups are erased.", len(erased)))
    return see(url_for("retention.trash"))


def _in_trash(backup_id: str) -> BackupRecord:
    record = storage().backups.catalog.get(backup_id)
    if record.state is not BackupState.TRASHED:
        raise Conflict(say("The backup %(id)s is not in the trash.", id=backup_id))
    return record


def _erase_page(record: BackupRecord, *, typed: str = "", wrong: bool = False) -> str:
    return render_template("retention/erase.html", record=record, typed=typed, wrong=wrong)


def _empty_page(*, typed: str = "", wrong: bool = False) -> str:
    records = storage().trash.all()
    return render_template(
        "retention/empty.html",
        records=records,
        bytes=sum(record.bytes for record in records),
        word=WORD,
        typed=typed,
        wrong=wrong,
    )
