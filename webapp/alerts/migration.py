"""Taking over the single-address webhooks of earlier systems: first the preview, then exactly that."""

from __future__ import annotations

from flask import flash, render_template, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from storage.alerts.migration import LegacySetting
from storage.alerts.model import RULES
from storage.errors import StorageError
from webapp.alerts.blueprint import bp
from webapp.answers import see
from webapp.audited import audited
from webapp.current import current_name, storage
from webapp.permissions import requires

ENVIRONMENT = ""
"""The source that is no database."""


@bp.get("/alerts/migration")
@requires("manage alerts")
def preview() -> str:
    source, error = request.args.get("source", ENVIRONMENT), None
    try:
        steps = storage().alerts.migration(_settings(source))
    except StorageError as refused:
        steps, error = (), refused
    return render_template(
        "alerts/migration.html",
        source=source,
        databases=[profile.name for profile in storage().databases.all()],
        steps=steps,
        rules=RULES,
        error=error,
    )


@bp.post("/alerts/migration")
@requires("manage alerts")
def apply() -> Response:
    source = request.form.get("source", ENVIRONMENT)
    steps = [step for step in storage().alerts.migrate(_settings(source), by=current_name()) if step.does_something]
    audited("alerts_changed", source or "environment", taken_over=[step.name for step in steps])
    flash(ngettext("%(num)s webhook is taken over.", "%(num)s webhooks are taken over.", len(steps)))
    return see(url_for("alerts.index"))


def _settings(source: str) -> tuple[LegacySetting, ...]:
    lookout = storage().lookout
    return lookout.legacy_of_database(source) if source else lookout.legacy_of_environment()
