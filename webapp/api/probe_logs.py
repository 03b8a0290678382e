"""The log of an endpoint's checks, as claude-code-hub's availability page asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, request

from storage.clock import to_text
from storage.errors import Invalid, Message, say
from webapp.answers import answer
from webapp.api.hub import TAG, HubRefusal, Unusable, bp, database_asked_for
from webapp.current import storage
from webapp.openapi import described
from webapp.permissions import requires

USUAL, MOST = 200, 1000
MOST_OFFSET = 10_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeLogQuery:
    endpointId: int
    limit: int = USUAL
    """At most 1000."""
    offset: int = 0
    database: str = ""
    """The name of a database here; without it the default one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbedEndpoint:
    """The application's own row, with more in it than is promised."""

    id: int
    url: str
    label: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    id: int
    endpointId: int
    source: str
    ok: bool
    statusCode: int | None
    latencyMs: int | None
    errorType: str | None
    errorMessage: str | None
    createdAt: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeLog:
    endpoint: ProbedEndpoint
    logs: list[Probe]


@bp.get("/api/availability/endpoints/probe-logs")
@requires("see sessions and probes")
@described({200: ProbeLog}, tag=TAG, query=ProbeLogQuery, refused=HubRefusal, refusals=(400, 404, 500, 503))
def probe_logs() -> Response:
    """Checks of an endpoint, newest first."""
    endpoint = _whole("endpointId", None, most=2**31 - 1)
    limit = _whole("limit", USUAL, least=1, most=MOST)
    offset = _whole("offset", 0, most=MOST_OFFSET)
    database = database_asked_for("")
    try:
        found, logs = storage().logs.probes.documents(database, str(endpoint), limit=limit, offset=offset)
    except Invalid as error:
        raise Unusable(error.cause, advice=error.advice) from error
    return answer(
        {
            "endpoint": {_camel(name): _value(value) for name, value in found.items()},
            "logs": [{name: _value(value) for name, value in row.items()} for row in logs],
        }
    )


def _whole(name: str, otherwise: int | None, *, least: int = 0, most: int) -> int:
    text = request.args.get(name, "").strip()
    if not text and otherwise is not None:
        return otherwise
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or not least <= int(text) <= most:
        raise Unusable(_refusal(name, least, most))
    return int(text)


def _refusal(name: str, least: int, most: int) -> Message:
    return say("%(name)s must be a whole number from %(least)s to %(most)s.", name=name, least=least, most=most)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _value(value: Any) -> Any:
    return to_text(value) if isinstance(value, datetime) else value
