"""The usage log of a database: filtered, paged, and summed up. The whole page, and the parts that htmx asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from storage.errors import Invalid, NotFound, StorageError
from storage.logs import filters, scope
from storage.logs.filters import UsageFilter
from storage.logs.query import After
from storage.logs.usage import HASTY, PATIENT, USUAL, UsageView
from webapp.addresses import path_of
from webapp.current import current_account, storage, wants_fragment
from webapp.errors import status_of
from webapp.formats import local
from webapp.logs.addresses import address
from webapp.logs.blueprint import bp
from webapp.permissions import requires

KNOWN = frozenset({"time", "user", "key", "provider", "model", "original_model", "endpoint", "status", "input_tokens",
                   "output_tokens", "cache_write_5m", "cache_write_1h", "cache_read", "total_tokens", "cost",
                   "duration", "session", "retries"})  # fmt: skip
"""The columns that have their place in the table; those of another map come behind them."""
USUAL_STATUSES = (200, 400, 401, 403, 404, 408, 413, 429, 499, 500, 502, 503, 504, 529)
PARTS = {"log": "logs/_log.html", "usage": "logs/_usage.html", "requests": "logs/_requests.html"}
"""By the id of what htmx will put it in the place of."""


@bp.get("/logs")
@requires("see usage logs")
def index() -> AnyResponse | str:
    """The log of the default database, or of the first that has one."""
    visible = scope.visible([profile.name for profile in storage().databases.all()], current_account())
    found = storage().logs.first_with_usage(visible)
    if found.name:
        return redirect(url_for("logs.show", name=found.name))
    return render_template("logs/none.html", visible=visible, silent=found.silent)


@bp.get("/databases/<name>/logs")
@requires("see usage logs")
def show(name: str) -> Response:
    storage().databases.get(name)
    own = scope.own_user(current_account(), name)
    part = _part()
    try:
        asked = filters.read(request.args, zone=ZoneInfo(storage().settings.time_zone), beside=("after", "wait"))
        after = After.from_text(request.args.get("after", ""))
    except Invalid as error:
        return _refused(name, error, own=own, part=part)
    wanted = scope.allowed(asked, current_account(), name)
    if part == "totals":
        return make_response(_totals(name, wanted))
    patience = PATIENT if "wait" in request.args else USUAL if part else HASTY
    try:
        view = storage().logs.usage.view(name, wanted, own=own, after=after, patience=patience)
    except StorageError as error:
        return _refused(name, error, own=own, part=part)
    response = make_response(_page(name, wanted, view, own=own, part=part, after=after))
    if part in ("usage", "requests"):
        response.headers["HX-Push-Url"] = _not_twice(address(name, wanted, after))
    return response


def _not_twice(url: str) -> str:
    """What htmx puts into the browser's history: a field that is left with Enter changes, and submits the form."""
    return "false" if path_of(request.headers.get("HX-Current-URL")) == url else url


def _part() -> str:
    """What htmx asks for; "" for the whole page."""
    target = request.headers.get("HX-Target", "")
    return target if wants_fragment() and target in (*PARTS, "totals") else ""


def _refused(name: str, error: StorageError, *, own: str, part: str) -> Response:
    """On the page itself, so that another time, another database or another tab can be chosen there.

    A part that cannot be made leaves what is shown as it is. Of the part that was still to come nothing is shown yet.
    """
    invalid = isinstance(error, Invalid)
    if part not in ("", "log") and not (part == "usage" and invalid):
        raise error
    page = _page(name, UsageFilter(), UsageView(), own=own, part=part, refusal=error)
    return make_response(page, status_of(error) if invalid or not part else 200)


def _page(
    name: str,
    wanted: UsageFilter,
    view: UsageView,
    *,
    own: str,
    part: str,
    after: After | None = None,
    refusal: StorageError | None = None,
) -> str:
    return render_template(
        PARTS.get(part, "logs/usage.html"),
        name=name,
        part=part,
        wanted=wanted,
        typed=request.args if refusal else typed(wanted),
        view=view,
        refusal=refusal,
        no_map=isinstance(refusal, NotFound),
        invalid=isinstance(refusal, Invalid),
        own=own,
        after=after,
        waited="wait" in request.args,
        others=[column for column in view.log.columns if column.name not in KNOWN] if view.log else [],
        statuses=sorted({*USUAL_STATUSES, *map(int, view.choices.statuses)}),
    )


def _totals(name: str, wanted: UsageFilter) -> str:
    """What takes long to sum up, when it is there; what went wrong with it stands in its place."""
    logs, view, error = storage().logs.usage, UsageView(), None
    try:
        view = UsageView(log=logs.log_of(name), totals=logs.totals(name, wanted))
    except StorageError as refusal:
        error = refusal
    return render_template("logs/_totals.html", name=name, wanted=wanted, view=view, refusal=error, waited=True)


def typed(wanted: UsageFilter) -> Mapping[str, str]:
    """A filter as the fields of the form have it: times as the clocks of this instance show them."""
    times = {name: in_field(moment) for name, moment in (("from", wanted.since), ("to", wanted.until)) if moment}
    return wanted.to_query() | times


def in_field(moment: datetime) -> str:
    """2026-11-22T13:14, and only where it has to be the seconds: the form of a field for date and time."""
    here = local(moment).replace(tzinfo=None)
    return here.isoformat(timespec="milliseconds" if here.microsecond else "seconds" if here.second else "minutes")
