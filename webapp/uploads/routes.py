"""Routes of uploads: the page with its form, and what takes the file in."""

from __future__ import annotations

from flask import Blueprint, flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage.backups.upload import NOTHING_KEPT
from storage.errors import Invalid, say
from webapp.answers import answer, see
from webapp.audited import audited
from webapp.bodies import incoming, takes_a_file
from webapp.current import current_name, storage, wants_json
from webapp.permissions import requires

bp = Blueprint("uploads", __name__)


@bp.get("/backups/upload")
@requires("upload backups")
def show() -> str:
    return render_template(
        "uploads/show.html",
        limit=storage().uploads.limit,
        databases=[profile.name for profile in storage().databases.all()],
        database=request.args.get("database", "")[:63],
    )


@bp.post("/backups/upload")
@requires("upload backups")
@takes_a_file
def upload() -> AnyResponse:
    """Take an archive in: the answer is its backup."""
    file, database = request.files.get("archive"), request.form.get("database", "").strip()
    if file is None or not file.filename:
        raise Invalid(say("No file was chosen."), effect=NOTHING_KEPT, advice=say("Choose one, and try again."))
    if not database:
        raise Invalid(
            say("Of which database it is was not said."),
            effect=NOTHING_KEPT,
            advice=say("Name one; it need not be there yet."),
        )
    record = storage().uploads.publish(incoming(), database=database, name=file.filename, by=current_name())
    audited("backup_uploaded", record.backup_id, database=database, bytes=record.bytes, sha256=record.sha256)
    if wants_json():
        return answer(record.to_json(), status=201)
    flash(_("The archive was read in full and is kept."))
    return see(url_for("backups.show", backup_id=record.backup_id))
