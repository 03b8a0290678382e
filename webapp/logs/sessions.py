"""The sessions of a hub's users: the newest, one with its requests, and the same as JSON."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request

from storage.errors import Invalid, say
from storage.logs import filters, session_request
from storage.logs.query import After
from storage.logs.session_query import Behind
from storage.logs.session_stream import SessionStream
from webapp.audited import audited, audited_if_broken_off
from webapp.current import storage, wants_fragment
from webapp.logs.blueprint import bp
from webapp.permissions import requires
from webapp.transfer import transferred

JSON = "application/json"
REVEAL = "shown"
"""The value of `secrets` that an export is asked with by whoever wants to have them as they are."""


@bp.get("/databases/<name>/logs/sessions")
@requires("see sessions and probes")
def sessions(name: str) -> str:
    after = After.from_text(request.args.get("after", ""))
    page = storage().logs.sessions.page(name, after=after)
    return render_template("logs/sessions.html", name=name, page=page, after=after)


@bp.get("/databases/<name>/logs/session")
@requires("see sessions and probes")
def session(name: str) -> str:
    """One session; as a fragment one of its requests. Its id is whatever clients made of it, so no part of the path."""
    wanted, number = _id(), _sequence()
    if wants_fragment() and number is not None:
        view = storage().logs.sessions.request(name, wanted, number)
        return render_template("logs/_request.html", name=name, session=wanted, number=number, view=view)
    after = Behind.from_text(request.args.get("after", ""))
    page = storage().logs.sessions.show(name, wanted, after=after)
    number = page.chosen if number is None else number
    chosen = None if number is None else storage().logs.sessions.request(name, wanted, number)
    return render_template(
        "logs/session.html", name=name, session=wanted, page=page, number=number, view=chosen, after=after
    )


@bp.get("/databases/<name>/logs/session/request.json")
@requires("see sessions and probes")
def session_request_json(name: str) -> Response:
    """One request as claude-code-hub exports it; without `sequence` the newest of which there are details."""
    wanted, number, reveal = _id(), _sequence(), _reveal()
    document = storage().logs.sessions.export_request(name, wanted, number, reveal=reveal)
    audited("session_exported", name, session=wanted, sequence=document["sequence"], **_told(reveal))
    response = Response(session_request.written(document), mimetype=JSON)
    response.headers.set("Content-Disposition", "attachment", filename=session_request.file_name(wanted, number))
    return response


@bp.get("/databases/<name>/logs/session/requests.json")
@requires("see sessions and probes")
def session_requests_json(name: str) -> Response:
    """All requests of a session, sent while they are read."""
    wanted, reveal = _id(), _reveal()

    def opened() -> SessionStream:
        stream = storage().logs.sessions.export_session(name, wanted, reveal=reveal)
        audited("session_exported", name, session=wanted, **_told(reveal))
        return stream

    return transferred(
        opened,
        of=f"a session of {name}",
        name=session_request.whole_file_name(wanted),
        mimetype=JSON,
        ended=audited_if_broken_off("session_exported", name, session=wanted),
    )


def _id() -> str:
    return request.args.get("id", "").strip()


def _sequence() -> int | None:
    return filters.whole_number(request.args.get("sequence", "").strip(), "sequence")


def _reveal() -> bool:
    """Whether secrets are to be exported as they are: said by the one word for it, and by nothing else."""
    wanted = request.args.get("secrets", "")
    if wanted not in ("", REVEAL):
        raise Invalid(say("Secrets are masked, or with secrets=shown they are not; nothing else can be asked for."))
    return wanted == REVEAL


def _told(reveal: bool) -> dict[str, Any]:
    return {"secrets": REVEAL} if reveal else {}
