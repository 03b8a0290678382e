"""How long the backups of a database are kept, and what the next run will do before it does it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask import flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.backups.record import BackupRecord
from storage.backups.retention import Decision
from webapp.answers import answer, see
from webapp.audited import audited
from webapp.current import current_name, storage, wants_json
from webapp.permissions import requires
from webapp.retention import forms
from webapp.retention.blueprint import bp
from webapp.retention.forms import PolicyForm

MOST_SHOWN = 200
"""Of each of the two: what goes and what stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    record: BackupRecord
    decision: Decision


@bp.get("/databases/<name>/retention")
@requires("see backups")
def show(name: str) -> str:
    storage().databases.get(name)
    return _page(name, forms.of_policy(storage().retention.policies.of(name)))


@bp.post("/databases/<name>/retention")
@requires("delete backups")
def change(name: str) -> Response | tuple[str, int]:
    storage().databases.get(name)
    form = forms.read(request.form)
    if form.errors:
        return _page(name, form), 422
    policy = storage().retention.policies.change(name, form.changes, by=current_name())
    audited("retention_changed", name, policy=dict(form.changes))
    if wants_json():
        return answer(policy.to_json())
    flash(_("What is kept of %(name)s is changed. This is what the next run will do.", name=name))
    return see(url_for("retention.show", name=name))


@bp.get("/databases/<name>/retention/run")
@requires("delete backups")
def confirm_run(name: str) -> str:
    """What a run would do now; the answer names the backups that were shown."""
    storage().databases.get(name)
    plan = storage().retention.preview(name)
    return render_template("retention/run.html", name=name, plan=plan, expired=_lines(plan.expired))


@bp.post("/databases/<name>/retention/run")
@requires("delete backups")
def run(name: str) -> Response:
    storage().databases.get(name)
    only = request.form.getlist("backup")
    job, _new = storage().retention.run(name, by=current_name(), only=only)
    if wants_json():
        return answer(job.to_json(), status=202)
    return see(url_for("jobs.show", job_id=job.job_id))


def _page(name: str, form: PolicyForm) -> str:
    retention = storage().retention
    at = retention.next_run()
    plan = retention.preview(name, at=at)
    return render_template(
        "retention/show.html",
        name=name,
        form=form,
        policy=retention.policies.of(name),
        plan=plan,
        at=at,
        expired=_lines(plan.expired[:MOST_SHOWN]),
        kept=_lines(plan.kept[:MOST_SHOWN]),
        more=max(0, len(plan.expired) - MOST_SHOWN) + max(0, len(plan.kept) - MOST_SHOWN),
        expired_bytes=sum(one.bytes for one in plan.expired),
        kept_bytes=sum(one.bytes for one in plan.kept),
    )


def _lines(decisions: Iterable[Decision]) -> list[Line]:
    return [Line(record=storage().backups.catalog.get(one.backup_id), decision=one) for one in decisions]
