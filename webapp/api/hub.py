"""The database's export as claude-code-hub's admin page knows it: addresses, names, and the JSON of its refusals."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from flask import Blueprint, Response, request
from flask_babel import force_locale
from werkzeug.exceptions import HTTPException

from storage.backups.exporting import Content, Export
from storage.backups.upload import TooLarge
from storage.errors import Damaged, Denied, Invalid, LockHeld, Message, NotFound, StorageError, Unreachable, say
from webapp import streams
from webapp.answers import answer
from webapp.audited import audited
from webapp.current import current_name, storage
from webapp.errors import status_of, with_headers
from webapp.language import sentences, translated
from webapp.openapi import described, shown
from webapp.permissions import SignInNeeded, requires
from webapp.transfer import transferred

logger = logging.getLogger(__name__)
bp = Blueprint("hub", __name__)

TAG = "Database export and import"
BUSY = say("Another admin is working on a backup; try again later.")
ONE_AT_A_TIME = say("So that the data stays consistent, one backup operation at a time can be carried out.")
OUT_OF_REACH = say("The database cannot be reached; look whether its server runs.")
NOT_EXPORTED = say("The database could not be exported.")
NOT_IMPORTED = say("The data could not be imported.")
OCTETS = "application/octet-stream"
DATABASE = "/api/admin/database/"
"""Below this, whatever fails is an export or an import."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubRefusal:
    error: str
    details: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportQuery:
    excludeLogs: Literal["true", "false"] = "false"
    mode: str = "full"
    """full, excludeLogs or ledgerOnly; any other is full, as claude-code-hub has it."""
    database: str = ""
    """The name of a database here; without it the default one."""


@bp.get("/api/admin/database/export")
@requires("download backups")
@described(
    {200: OCTETS}, tag=TAG, query=ExportQuery, refused=HubRefusal, refusals=(404, 409, 429, 500, 502, 503)
)  # fmt: skip
def export() -> Response:
    """A dump of the database in pg_dump's custom format, made while it is sent.

    Without `excludeLogs` or `mode` everything is in it. A transfer that ends without an error is whole.
    """
    database, content = database_asked_for(""), _content()
    record, actor, origin = storage().audit.record, current_name(), request.remote_addr or ""

    def ended(export: Export, result: str) -> None:
        if result != "ok":
            logger.error("the export of %s was broken off", database, extra={"action": "database_export_error"})
            record(
                "database_export_initiated",
                actor=actor,
                subject=database,
                origin=origin,
                result=result,
                bytes=export.sent,
            )

    return transferred(
        lambda: storage().exporter.open(database, content, by=actor),
        of=database,
        name=lambda export: export.file_name,
        mimetype=OCTETS,
        begun=lambda export: audited("database_export_initiated", database, file=export.file_name),
        ended=ended,
    )


def _content() -> Content:
    """What is asked for: the later `mode` counts more than `excludeLogs`, and one that nobody knows means all."""
    mode = request.args.get("mode")
    if mode is not None:
        return Content(mode) if mode in set(Content) else Content.FULL
    return Content.EXCLUDE_LOGS if request.args.get("excludeLogs", "").lower() == "true" else Content.FULL


def database_asked_for(name: str) -> str:
    """The registered name of the database asked for, or of the default one."""
    if name := name.strip() or request.args.get("database", "").strip():
        return storage().databases.get(name).name
    default = storage().databases.default()
    if default is None:
        raise NotFound(say("There is no database yet."))
    return default.name


def said(*parts: Message | None) -> str:
    """Sentences in the language asked for; who asks for none gets Chinese, as from claude-code-hub."""
    if "Accept-Language" in request.headers or "language" in request.cookies:
        return sentences(*parts)
    with force_locale("zh_Hans"):
        return "".join(translated(part) for part in parts)


class Unusable(Invalid):
    """What claude-code-hub refuses with 400."""


@bp.errorhandler(StorageError)
def refused(error: StorageError) -> Response:
    # 409 is for what may be tried again: a file that cannot be read stays one.
    status = 400 if isinstance(error, Unusable) else 422 if isinstance(error, Damaged) else status_of(error)
    if request.path.startswith(DATABASE) and (what := _trouble(error, status)):
        action = f"database_{'import' if request.method == 'POST' else 'export'}_{what}"
        logger.warning("%s: %s", action, error, extra={"action": action})
    return with_headers(answer(shown(_refusal(error)), status), error)


@bp.errorhandler(HTTPException)
def not_understood(error: HTTPException) -> Response:
    return answer(shown(HubRefusal(error=error.name, details=error.description)), error.code or 500)


def _trouble(error: StorageError, status: int) -> str:
    """What claude-code-hub's log calls it; '' for what only the asker got wrong."""
    match error:
        case SignInNeeded() | Denied() if status in (401, 403):
            return "unauthorized"
        case LockHeld():
            return "lock_conflict"
        case Unreachable():
            return "connection_unavailable"
    return "error" if status >= 500 else ""


def _refusal(error: StorageError) -> HubRefusal:
    match error:
        case SignInNeeded():
            return HubRefusal(error="Unauthorized")
        case LockHeld():
            return HubRefusal(error=said(BUSY), details=said(ONE_AT_A_TIME))
        case Unreachable():
            return HubRefusal(error=said(OUT_OF_REACH), details=said(error.cause, error.advice))
        case TooLarge():
            return _too_large()
        case NotFound() | Unusable() | streams.TooManyStreams():
            return HubRefusal(error=said(error.cause), details=said(error.advice) or None)
        case Denied() if not error.words:
            return HubRefusal(error=said(error.cause), details=said(error.advice) or None)
        case _ if not request.path.startswith(DATABASE):
            return HubRefusal(error=said(error.cause), details=said(error.advice) or None)
        case _:
            failed = NOT_IMPORTED if request.method == "POST" else NOT_EXPORTED
            return HubRefusal(error=said(failed), details=said(error.cause, error.advice))


def _too_large() -> HubRefusal:
    """With the size that was announced."""
    megabyte = 1024 * 1024
    limit = storage().uploads.limit / megabyte
    return HubRefusal(
        error=said(say("The file is too large; at most %(limit)sMB are supported.", limit=round(limit))),
        details=said(
            say(
                "This file: %(size)sMB, limit: %(limit)sMB",
                size=f"{(request.content_length or 0) / megabyte:.2f}",
                limit=round(limit),
            )
        ),
    )
