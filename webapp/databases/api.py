"""The status of a database as claude-code-hub's page asks for it: six fields, and 200 also when the server is down."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, request

from storage.databases.profile import DatabaseProfile
from storage.databases.status import to_api
from storage.errors import NotFound, say
from webapp.answers import answer
from webapp.current import storage
from webapp.databases.views import bp
from webapp.openapi import described
from webapp.permissions import requires


@dataclass(frozen=True, kw_only=True, slots=True)
class HubStatus:
    isAvailable: bool
    containerName: str
    databaseName: str
    databaseSize: str
    tableCount: int
    postgresVersion: str
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusQuery:
    database: str = ""


@bp.get("/api/admin/database/status")
@requires("manage databases")
@described({200: HubStatus}, tag="claude-code-hub", query=StatusQuery, refusals=(404,))
def api_status() -> Response:
    """Of the database named by `database`, or of the default one."""
    return answer(to_api(storage().statuses.of(_asked_for())))


def _asked_for() -> DatabaseProfile:
    name = request.args.get("database", "").strip()
    profile: DatabaseProfile | None = storage().databases.get(name) if name else storage().databases.default()
    if profile is None:
        raise NotFound(say("There is no database yet."))
    return profile
