"""Who is told of what, and how the last deliveries went."""

from __future__ import annotations

from flask import flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.alerts.drafts import Draft
from storage.alerts.model import RULES, Limits
from storage.alerts.outbox import DeliveryState
from storage.alerts.targets import EVERYTHING, Target
from storage.errors import Invalid, StorageError
from webapp.alerts import forms
from webapp.alerts.blueprint import bp
from webapp.answers import see
from webapp.audited import audited
from webapp.current import current_name, storage
from webapp.language import sentences
from webapp.permissions import requires

MOST_DELIVERIES = 25


@bp.get("/alerts")
@requires("manage alerts")
def index() -> str:
    return _index()


@bp.get("/alerts/new")
@requires("manage alerts")
def new() -> str:
    draft = Draft(kind=forms.kind_of(request.args.get("kind", "mail")), language=storage().alerts.language)
    return _form(draft)


@bp.post("/alerts/new")
@requires("manage alerts")
def add() -> Response | tuple[str, int]:
    draft = forms.draft(request.form, forms.kind_of(request.form.get("kind", "")))
    try:
        target = storage().alerts.add(draft, EVERYTHING, by=current_name())
    except Invalid as error:
        return _form(draft, error=error), 422
    audited("alert_channel_added", target.name, kind=target.kind.value, where=target.where)
    flash(_("%(name)s is added. Send a test to see that alerts arrive.", name=target.name))
    return see(url_for("alerts.index"))


@bp.get("/alerts/targets/<target_id>")
@requires("manage alerts")
def edit(target_id: str) -> str:
    target = storage().alerts.book().get(target_id)
    return _form(forms.draft_of(target), target)


@bp.post("/alerts/targets/<target_id>")
@requires("manage alerts")
def change(target_id: str) -> Response | tuple[str, int]:
    target = storage().alerts.book().get(target_id)
    draft = forms.draft(request.form, target.kind)
    try:
        changed = storage().alerts.change(target_id, draft)
    except Invalid as error:
        return _form(draft, target, error=error), 422
    audited("alert_channel_changed", changed.name, kind=changed.kind.value, where=changed.where)
    flash(_("%(name)s is changed.", name=changed.name))
    return see(url_for("alerts.index"))


@bp.post("/alerts/targets/<target_id>/test")
@requires("manage alerts")
def send_test(target_id: str) -> Response:
    delivery = storage().alerts.send_test(target_id)
    good = delivery.state is DeliveryState.DELIVERED
    audited("alert_tested", delivery.target, result="ok" if good else "failed")
    if good:
        flash(_("The test alert was handed over to %(name)s.", name=delivery.target))
    else:
        flash(
            _(
                "%(name)s was not reached: %(why)s",
                name=delivery.target,
                why=sentences(delivery.reason, delivery.advice),
            ),
            "failed",
        )
    return see(url_for("alerts.index"))


@bp.get("/alerts/targets/<target_id>/remove")
@requires("manage alerts")
def confirm_remove(target_id: str) -> str:
    return render_template("alerts/remove.html", target=storage().alerts.book().get(target_id))


@bp.post("/alerts/targets/<target_id>/remove")
@requires("manage alerts")
def remove(target_id: str) -> Response:
    target = storage().alerts.remove(target_id)
    audited("alert_channel_removed", target.name, kind=target.kind.value)
    flash(_("%(name)s is told nothing any more.", name=target.name))
    return see(url_for("alerts.index"))


@bp.post("/alerts/rules")
@requires("manage alerts")
def rules() -> Response | tuple[str, int]:
    alerts = storage().alerts
    try:
        limits = forms.limits(request.form)
        alerts.set_limits(limits)
    except Invalid as error:
        return _index(error=error), 422
    alerts.bind(forms.bindings(request.form, alerts.book()))
    audited("alerts_changed", limits=limits.to_json())
    flash(_("The rules are saved."))
    return see(url_for("alerts.index"))


def _index(*, error: StorageError | None = None) -> str:
    alerts = storage().alerts
    book, deliveries = alerts.book(), alerts.deliveries()
    return render_template(
        "alerts/index.html",
        book=book,
        last=alerts.last_deliveries(),
        rules=RULES,
        deliveries=deliveries[:MOST_DELIVERIES],
        waiting=alerts.unaddressed(),
        defaults=Limits(),
        error=error,
    )


def _form(draft: Draft, target: Target | None = None, *, error: StorageError | None = None) -> str:
    return render_template("alerts/target.html", draft=draft, target=target, error=error)
