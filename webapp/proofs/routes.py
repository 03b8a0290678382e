"""Routes of proofs: asking for one, and the certificate, as a page to print and as JSON."""

from __future__ import annotations

from flask import Blueprint, flash, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage.backups.record import BackupRecord
from storage.errors import NotFound, say
from storage.proofs import certificate
from webapp.answers import answer, see
from webapp.audited import audited
from webapp.current import current_name, storage, wants_json
from webapp.openapi import Certificate, described
from webapp.permissions import requires

bp = Blueprint("proofs", __name__)


@bp.post("/backups/<backup_id>/prove")
@requires("prove backups")
def prove(backup_id: str) -> AnyResponse:
    job, new = storage().proofs.prove(backup_id, by=current_name())
    audited("backup_prove_requested", backup_id, database=job.database, job=job.job_id)
    if wants_json():
        return answer(job.to_json(), status=202)
    if not new:
        flash(_("This proof was already asked for. It is the same job."))
    return see(url_for("jobs.show", job_id=job.job_id))


@bp.get("/backups/<backup_id>/proof")
@requires("see backups")
def show(backup_id: str) -> str | AnyResponse:
    """The certificate; of a proof that did not come off, why not."""
    record = _tried(backup_id)
    assert record.proof is not None
    if wants_json():
        return api_show(backup_id)
    return render_template(
        "proofs/show.html",
        record=record,
        proof=record.proof,
        unchanged=certificate.unchanged(record, record.proof),
    )


@bp.get("/api/backups/<backup_id>/proof")
@requires("see backups")
@described({200: Certificate}, tag="pghaven", refusals=(404,))
def api_show(backup_id: str) -> AnyResponse:
    """The certificate of a backup's proof."""
    record = _tried(backup_id)
    assert record.proof is not None
    return answer(certificate.signed(record, record.proof) | {"proof": record.proof.to_json()})


def _tried(backup_id: str) -> BackupRecord:
    record = storage().backups.catalog.get(backup_id)
    if record.proof is None:
        raise NotFound(
            say("The backup %(id)s was never proven.", id=backup_id), advice=say("Ask for it on the backup's page.")
        )
    return record
