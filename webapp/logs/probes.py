"""The checks of an application's endpoints, as a terminal shows them: filtered, followed, and as a text file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from flask import Response, make_response, render_template, request, url_for

from storage.errors import Invalid, NotFound, say
from storage.logs import filters, probe_query
from storage.logs.probe_query import ProbeFilter
from storage.logs.probes import Endpoint, file_name
from storage.logs.query import After
from storage.logs.stream import RowStream
from webapp.audited import audited, audited_if_broken_off
from webapp.current import storage, wants_fragment
from webapp.logs.blueprint import bp
from webapp.permissions import requires
from webapp.transfer import transferred

FOLLOW_SECONDS = 2
MOST_SHOWN = 2000
"""Lines on a page that follows; then it begins anew with the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an address of this page says."""

    endpoint: str
    wanted: ProbeFilter
    zone: str
    follow: bool
    before: After | None

    def to_query(self, **changes: Any) -> dict[str, Any]:
        """The parameters of the same page, or of one that differs; what is usual is left out."""
        usual = storage().settings.time_zone
        values: dict[str, Any] = {
            "id": self.endpoint,
            **self.wanted.to_query(),
            "zone": "" if self.zone == usual else self.zone,
            "follow": "" if self.follow else "no",
            "before": self.before.to_text() if self.before else "",
        } | changes
        return {name: value for name, value in values.items() if value}

    def typed(self) -> dict[str, str]:
        """The fields of the form: times as the clocks of the zone show them."""
        times = {"from": self.wanted.since, "to": self.wanted.until}
        return self.wanted.to_query() | {
            name: moment.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None).isoformat(timespec="seconds")
            for name, moment in times.items()
            if moment
        }

    @property
    def follows(self) -> bool:
        """Whether there can be new lines on this page, and they are wanted."""
        return self.follow and self.before is None and self.wanted.until is None


@bp.get("/databases/<name>/logs/probes")
@requires("see sessions and probes")
def probes(name: str) -> Response:
    logs = storage().logs.probes
    endpoints = logs.endpoints(name)
    asked = _asked(endpoints[0].id if endpoints else "")
    page = logs.page(name, asked.endpoint, asked.wanted, before=asked.before) if asked.endpoint else None
    response = make_response(
        render_template(
            "logs/_probes.html" if wants_fragment() else "logs/probes.html",
            name=name,
            asked=asked,
            endpoints=endpoints,
            endpoint=_named(endpoints, asked.endpoint),
            sources=logs.sources(name),
            page=page,
            pace=FOLLOW_SECONDS,
            zones=_zones(asked.zone),
        )
    )
    if wants_fragment():
        response.headers["HX-Push-Url"] = url_for("logs.probes", name=name, **asked.to_query())
    return response


@bp.get("/databases/<name>/logs/probes/lines")
@requires("see sessions and probes")
def probe_lines(name: str) -> Response:
    """What came since `newest`: lines for the end of the page, and the element that asks again."""
    asked = _asked("")
    newest = filters.whole_number(request.args.get("newest", "0"), "newest") or 0
    shown = filters.whole_number(request.args.get("shown", "0"), "shown") or 0
    page = storage().logs.probes.since(name, asked.endpoint, asked.wanted, newest=newest)
    shown += len(page.lines)
    if shown > MOST_SHOWN:
        return Response("", 200, {"HX-Refresh": "true"})
    return make_response(
        render_template(
            "logs/_probe_lines.html",
            name=name,
            asked=asked,
            page=page,
            pace=FOLLOW_SECONDS,
            day=request.args.get("day", ""),
            shown=shown,
        )
    )


@bp.get("/databases/<name>/logs/probes.txt")
@requires("see sessions and probes")
def probes_text(name: str) -> Response:
    """Every line of the filter, oldest first. With `days` each says its day, too."""
    asked, days = _asked(""), request.args.get("days", "") == "yes"

    def opened() -> RowStream:
        stream = storage().logs.probes.text(name, asked.endpoint, asked.wanted, zone=asked.zone, days=days)
        audited("probes_exported", name, endpoint=asked.endpoint, filter=asked.wanted.to_query())
        return stream

    return transferred(
        opened,
        of=f"the probe log of {name}",
        name=file_name(storage().clock()),
        mimetype="text/plain",
        ended=audited_if_broken_off("probes_exported", name, endpoint=asked.endpoint),
    )


@bp.app_template_filter()
def in_zone(moment: datetime, zone: str) -> datetime:
    """A moment as the clocks of a zone show it."""
    return moment.astimezone(ZoneInfo(zone))


def _asked(endpoint: str) -> Asked:
    """The address that was asked for, with the endpoint that is meant where it names none."""
    zone = request.args.get("zone", "").strip() or storage().settings.time_zone
    if zone != storage().settings.time_zone and zone not in available_timezones():
        raise Invalid(say("There is no time zone “%(name)s”.", name=zone[:60]))
    if "\0" in request.args.get("id", ""):
        raise Invalid(say("%(name)s has a letter that no database holds.", name="id"))
    return Asked(
        endpoint=request.args.get("id", "").strip() or endpoint,
        wanted=probe_query.read(request.args, zone=ZoneInfo(zone)),
        zone=zone,
        follow=request.args.get("follow", "") != "no",
        before=After.from_text(request.args.get("before", "")),
    )


def _named(endpoints: list[Endpoint], wanted: str) -> Endpoint | None:
    """Raises NotFound for one that is asked for and not there."""
    found = next((one for one in endpoints if one.id == wanted), None)
    if wanted and found is None:
        raise NotFound(say("The application has no such endpoint."), advice=say("Choose one of the list."))
    return found


def _zones(chosen: str) -> list[str]:
    """To choose from: of this instance, UTC, and what is chosen; the browser adds its own."""
    return list(dict.fromkeys([storage().settings.time_zone, "UTC", chosen]))
