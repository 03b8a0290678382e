"""The log of an endpoint's checks, as claude-code-hub's availability page asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response

from storage.clock import to_text
from storage.errors import Invalid
from webapp.answers import answer
from webapp.api.hub import TAG, HubRefusal, Unusable, bp, database_asked_for
from webapp.current import storage
from webapp.openapi import described
from webapp.permissions import requires
from webapp.queries import whole_number

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
    database = database_asked_for("")
    try:
        endpoint = whole_number("endpointId", usual=None, most=2**31 - 1)
        limit = whole_number("limit", usual=USUAL, least=1, most=MOST)
        offset = whole_number("offset", usual=0, most=MOST_OFFSET)
        found, logs = storage().logs.probes.documents(database, str(endpoint), limit=limit, offset=offset)
    except Invalid as error:
        raise Unusable(error.cause, advice=error.advice) from error
    return answer(
        {
            "endpoint": {_camel(name): _value(value) for name, value in found.items()},
            "logs": [{name: _value(value) for name, value in row.items()} for row in logs],
        }
    )


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _value(value: Any) -> Any:
    return to_text(value) if isinstance(value, datetime) else value
