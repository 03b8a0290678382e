"""The usage log of a database: filtered, paged, and exported."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from flask import render_template, request

from storage.errors import NotFound, say
from storage.logs import filters
from webapp.current import storage
from webapp.logs.blueprint import bp
from webapp.permissions import requires


@bp.get("/logs")
@requires("see usage logs")
def index() -> str:
    """The logs of the default database."""
    default = storage().databases.default()
    if default is None:
        raise NotFound(say("There is no database yet."))
    return show(default.name)


@bp.get("/databases/<name>/logs")
@requires("see usage logs")
def show(name: str) -> str:
    wanted = filters.read(request.args, zone=ZoneInfo(storage().settings.time_zone))
    logs = storage().logs.usage
    return render_template(
        "logs/usage.html", name=name, wanted=wanted, page=logs.page(name, wanted), totals=logs.totals(name, wanted)
    )
