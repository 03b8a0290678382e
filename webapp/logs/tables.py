"""Any table of a database: a list of them, a look at the rows of one, and its exports. Everything is in the address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from flask import Response, flash, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage.errors import Invalid, StorageError, say
from storage.logs.formats import MEDIA_TYPES, STREAMED, Format
from storage.logs.tables import request as requests
from storage.logs.tables.catalogue import Described
from storage.logs.tables.request import Operator, TableRequest
from storage.logs.tables.tables import Preview
from webapp.answers import see
from webapp.audited import audited, audited_if_broken_off
from webapp.current import current_name, storage
from webapp.errors import status_of
from webapp.logs.blueprint import bp
from webapp.logs.exports import format_named
from webapp.permissions import requires
from webapp.transfer import transferred

MOST_LISTED = 200
EMPTY_CONDITIONS = 2
"""Lines for further conditions, so that a form without a script has some."""


@dataclass(frozen=True, slots=True)
class Typed:
    """One line of the form, as it was sent."""

    column: str = ""
    operator: str = Operator.EQUAL.value
    value: str = ""


@bp.get("/databases/<name>/tables")
@requires("export tables")
def tables(name: str) -> str:
    """Those whose name has all of the words that are looked for."""
    storage().databases.get(name)
    search = request.args.get("search", "").strip()
    there = storage().logs.tables.all(name)
    words = search.casefold().split()
    found = [one for one in there if all(word in one.full.casefold() for word in words)]
    return render_template(
        "logs/tables.html", name=name, search=search, there=len(there), found=found[:MOST_LISTED], all=len(found)
    )


@bp.get("/databases/<name>/tables/<table>")
@requires("export tables")
def table(name: str, table: str) -> Response:
    """The form, and the first rows of what it asks for. A refusal stands on the page, with what was typed."""
    storage().databases.get(name)
    described = storage().logs.tables.describe(name, table)
    try:
        wanted = requests.read(described.table.key, request.args)
        preview = storage().logs.tables.preview(name, wanted)
    except StorageError as refusal:
        return make_response(_page(name, described, refusal=refusal), status_of(refusal))
    return make_response(_page(name, described, wanted=wanted, preview=preview))


@bp.get("/databases/<name>/tables/<table>/export")
@requires("export tables")
def export_table(name: str, table: str) -> Response:
    """All rows that the address asks for, sent while the server makes them."""
    wanted, form = _wanted(name, table, request.args), format_named(request.args.get("format", Format.CSV))
    if form not in STREAMED:
        raise Invalid(
            say("A workbook is made by a job, and fetched when it is done."),
            effect=say("Nothing was exported."),
            advice=say("Choose it in the menu of the table's page."),
        )
    file = f"{_file_stem(wanted.table)}.{form.value}"
    return transferred(
        lambda: storage().logs.exports.stream(name, wanted.to_json(), form),
        of=f"{wanted.table} of {name}",
        name=file,
        mimetype=MEDIA_TYPES[form],
        begun=lambda _: audited("rows_exported", name, format=form.value, file=file, **_facts(wanted)),
        ended=audited_if_broken_off("rows_exported", name, format=form.value, file=file),
    )


@bp.post("/databases/<name>/tables/<table>/exports")
@requires("export tables")
def start_table_export(name: str, table: str) -> AnyResponse:
    """The same as a job: for a workbook, and for what somebody does not want to wait for."""
    wanted, form = _wanted(name, table, request.form), format_named(request.form.get("format", Format.CSV))
    job, new = storage().logs.exports.start(
        name, wanted.to_json(), form, name=_file_stem(wanted.table), by=current_name()
    )
    if new:
        audited("rows_export_requested", name, format=form.value, job=job.job_id, **_facts(wanted))
    else:
        flash(_("You had asked for this export already."))
    return see(url_for("jobs.show", job_id=job.job_id))


def _page(
    name: str,
    described: Described,
    *,
    wanted: TableRequest | None = None,
    preview: Preview | None = None,
    refusal: StorageError | None = None,
) -> str:
    ticked = set(request.args.getlist("columns")) or set(described.usual or (one.name for one in described.columns))
    return render_template(
        "logs/table.html",
        name=name,
        described=described,
        wanted=wanted,
        preview=preview,
        refusal=refusal,
        ticked=ticked,
        conditions=_typed(),
        operators=list(Operator),
        order=request.args.get("order", ""),
        descending=request.args.get("descending", "") not in ("", "off"),
    )


def _typed() -> list[Typed]:
    """The conditions as they were sent, and some lines to fill in."""
    sent = zip_longest(*(request.args.getlist(field) for field in ("where", "op", "value")), fillvalue="")
    filled = [Typed(*line) for line in sent if line[0]]
    return [*filled, *[Typed()] * EMPTY_CONDITIONS]


def _wanted(name: str, table: str, values: requests.Values) -> TableRequest:
    """What is asked for, after the database has been asked whether it can be."""
    storage().databases.get(name)
    return storage().logs.tables.check(name, requests.read(table, values, beside=("format", "csrf_token")))


def _file_stem(key: str) -> str:
    """public.orders-2026-11-22-131405; of UTC, and of letters that every file system takes."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', key)[:80]}-{storage().clock():%Y-%m-%d-%H%M%S}"


def _facts(wanted: TableRequest) -> dict[str, Any]:
    facts = wanted.to_json()
    return {"table": wanted.table, "columns": facts["columns"], "where": facts["where"], "order": wanted.order}
