"""Routes of the audit log: the page, the same as CSV, and the answer of reading all of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice

from flask import Blueprint, Response, render_template, request

from storage.audit.actions import ACTIONS
from storage.audit.chain import Event
from storage.clock import to_text
from storage.errors import Message
from webapp.audit.query import Query
from webapp.audited import audited
from webapp.board import zone_of
from webapp.current import storage, wants_fragment
from webapp.permissions import requires

bp = Blueprint("audit", __name__)

PAGE_SIZE = 50
_COLUMNS = ("number", "at", "action", "actor", "subject", "origin", "result", "facts", "sha256")


@bp.get("/audit")
@requires("see the audit log")
def index() -> str:
    query = Query.read(request.args)
    start = (query.page - 1) * PAGE_SIZE
    found = query.chosen(storage().audit.newest_first(), zone_of(storage()))
    events = list(islice(found, start, start + PAGE_SIZE + 1))
    return render_template(
        "audit/_log.html" if wants_fragment() else "audit/index.html",
        query=query,
        events=events[:PAGE_SIZE],
        more=len(events) > PAGE_SIZE,
        actions=ACTIONS,
    )


@bp.get("/audit/verify")
@requires("see the audit log")
def verify() -> str:
    """Reads the whole log, so it is a part of its own that the page asks for."""
    verdict = storage().audit.verify()
    return render_template("audit/_verdict.html" if wants_fragment() else "audit/verify.html", verdict=verdict)


@bp.get("/audit.csv")
@requires("see the audit log")
def table() -> Response:
    """Every event of the view, not only one page of it, sent while it is read; times in UTC."""
    query = Query.read(request.args)
    audited("audit_exported")
    answer = Response(_rows(query.chosen(storage().audit.newest_first(), zone_of(storage()))), mimetype="text/csv")
    answer.headers["Content-Disposition"] = "attachment; filename=audit.csv"
    return answer


@bp.app_template_filter()
def action_words(action: str) -> Message | str:
    """What was done, in words; the name itself of what this version does not know."""
    return ACTIONS.get(action, action)


def _rows(events: Iterable[Event]) -> Iterator[str]:
    yield _line(_COLUMNS)
    for event in events:
        facts = json.dumps(event.facts, ensure_ascii=False, sort_keys=True) if event.facts else ""
        yield _line(
            (str(event.number), to_text(event.at) or "", event.action, event.actor, event.subject, event.origin,
             event.result, facts, event.hash)
        )  # fmt: skip


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_harmless(cell) for cell in cells])
    return text.getvalue()


def _harmless(cell: str) -> str:
    """What a spreadsheet does not take for a formula."""
    return f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell
