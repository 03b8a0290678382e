"""Routes of the history: the page, its part that a filter changes, and the same as CSV."""

from __future__ import annotations

import csv
import io

from flask import Blueprint, Response, render_template, request

from storage.backups.strip import day_of, start_of
from storage.clock import to_text
from webapp.board import zone_of
from webapp.current import storage, wants_fragment
from webapp.history.listing import read_history
from webapp.history.query import Query
from webapp.permissions import requires

bp = Blueprint("history", __name__)


@bp.get("/history")
@requires("see backups")
def show() -> str:
    history = read_history(storage(), Query.read(request.args))
    return render_template("history/_history.html" if wants_fragment() else "history/show.html", history=history)


@bp.get("/history.csv")
@requires("see backups")
def table() -> Response:
    """Every backup of the view, not only one page of it; times in UTC."""
    query, zone = Query.read(request.args), zone_of(storage())
    first, last = query.days_shown(day_of(storage().clock(), zone))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        ["id", "database", "state", "started_at", "ended_at", "seconds", "bytes", "rows", "no_logs", "taken_by"]
    )
    for record in query.chosen(storage().backups.catalog.find(since=start_of(first, zone))):
        if day_of(record.started_at, zone) <= last:
            writer.writerow(
                [record.backup_id, record.database, record.state.value, to_text(record.started_at),
                 to_text(record.ended_at), record.seconds, record.bytes, record.rows, record.no_logs,
                 _harmless(record.taken_by)]
            )  # fmt: skip
    answer = Response(text.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f"attachment; filename=backups_{first}_{last}.csv"
    return answer


def _harmless(name: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name
