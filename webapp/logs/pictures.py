"""Requests, cost and failures by day, as small pictures: a fragment that other pages ask for, and a page of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flask import Response, make_response, render_template, request
from flask_babel import gettext as _
from markupsafe import Markup

from storage.errors import Denied, NotFound, StorageError
from storage.logs import filters, scope
from storage.logs.daily import Daily, within_day
from storage.logs.filters import UsageFilter
from webapp.current import current_account, storage, wants_fragment
from webapp.errors import status_of
from webapp.formats import number
from webapp.logs.bars import Bar, bars
from webapp.logs.blueprint import bp
from webapp.logs.numbers import money
from webapp.permissions import requires


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One number of each day."""

    code: str
    word: str
    total: str | Markup
    values: list[float]
    bars: tuple[Bar, ...]
    currency: str = ""


@bp.get("/databases/<name>/logs/pictures")
@requires("see usage logs")
def pictures(name: str) -> Response:
    profile = storage().databases.get(name)
    fragment, overview = wants_fragment(), "overview" in request.args
    zone = ZoneInfo(storage().settings.time_zone)
    wanted, daily, trouble = UsageFilter(), None, None
    try:
        wanted = scope.allowed(filters.read(request.args, zone=zone, beside=("overview",)), current_account(), name)
        daily = storage().logs.daily.look(name, wanted, zone=zone)
    except StorageError as error:
        has_logs = bool(profile.log_tables or storage().backups.known_log_tables(profile))
        if fragment and overview and (isinstance(error, NotFound | Denied) or not has_logs):
            return make_response(
                ""
            )  # no usage log, or none that this account may see: the overview has no place for it
        trouble = error
    page = render_template(
        "logs/_pictures.html" if fragment else "logs/pictures.html",
        name=name,
        wanted=wanted,
        overview=overview,
        daily=daily,
        trouble=trouble,
        pictures=drawn(daily) if daily else [],
        times=[int(datetime(day.day.year, day.day.month, day.day.day, tzinfo=UTC).timestamp()) for day in daily.days]
        if daily
        else [],
        on_day=lambda asked, day: within_day(asked, day, zone),
    )
    return make_response(page, status_of(trouble) if trouble and not fragment else 200)


def drawn(daily: Daily) -> list[Picture]:
    """What the log knows of; the last bar is the newest day."""
    requests = [float(day.requests) for day in daily.days]
    found = [
        Picture(code="requests", word=_("Requests"), total=number(daily.requests), values=requests, bars=bars(requests))
    ]
    if daily.cost is not None:
        costs = [float(day.cost or 0) for day in daily.days]
        found.append(
            Picture(
                code="cost",
                word=_("Cost"),
                total=money(daily.cost, daily.currency),
                values=costs,
                bars=bars(costs),
                currency=daily.currency,
            )
        )
    if daily.failures is not None:
        failures = [float(day.failures or 0) for day in daily.days]
        found.append(
            Picture(
                code="failures", word=_("Failures"), total=number(daily.failures), values=failures, bars=bars(failures)
            )
        )
    return found
