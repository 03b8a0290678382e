"""What is done with one backup from its page: pinning, and moving to the trash, from where it can be put back."""

from __future__ import annotations

from flask import flash, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.answers import see
from webapp.audited import audited
from webapp.current import current_name, storage
from webapp.permissions import requires
from webapp.retention.blueprint import bp


@bp.post("/backups/<backup_id>/pin")
@requires("delete backups")
def pin(backup_id: str) -> Response:
    return _pinned(backup_id, pinned=True)


@bp.post("/backups/<backup_id>/unpin")
@requires("delete backups")
def unpin(backup_id: str) -> Response:
    return _pinned(backup_id, pinned=False)


@bp.post("/backups/<backup_id>/trash")
@requires("delete backups")
def discard(backup_id: str) -> Response:
    """No question is asked before: the page that follows puts it back with one press."""
    record = storage().trash.discard(backup_id, by=current_name())
    audited("backup_deleted", backup_id, database=record.database)
    return see(url_for("backups.show", backup_id=backup_id))


def _pinned(backup_id: str, *, pinned: bool) -> Response:
    record = storage().backups.catalog.change(backup_id, lambda record: record.with_(pinned=pinned))
    audited("backup_pinned" if pinned else "backup_unpinned", backup_id, database=record.database)
    flash(_("This backup never expires.") if pinned else _("This backup may expire again."))
    return see(url_for("backups.show", backup_id=backup_id))
