"""`pghaven tables`: any table of a database, and its rows as a file."""

from __future__ import annotations

import csv
import re
from typing import Any

import click

from storage.errors import Invalid, say
from storage.logs.formats import Format
from storage.logs.tables import request as requests
from storage.logs.tables.catalogue import Table
from storage.logs.tables.request import Condition, TableRequest
from webapp.cli import answers, foreground, outputs
from webapp.cli.audited import audited
from webapp.cli.program import opened

_CONDITION = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>\S+))\s+(?P<operator>\S+)(?: (?P<value>.*))?', re.DOTALL
)


@click.group()
def tables() -> None:
    """List the tables of a database, and export their rows."""


@tables.command("list")
@click.argument("name")
@answers.with_json
def list_(name: str, as_json: bool) -> None:
    """List the tables and views of the database NAME, with about how many rows they have."""
    with opened() as storage:
        storage.databases.get(name)
        found = storage.logs.tables.all(name)
    if as_json:
        return answers.document([_facts(one) for one in found])
    rows = [
        (
            one.key,
            "view" if one.is_view else "table",
            "–" if one.rows is None else str(one.rows),
            answers.size(one.bytes),
        )
        for one in found
    ]
    return answers.table(("TABLE", "KIND", "ROWS, ABOUT", "SIZE"), rows, right=("ROWS, ABOUT", "SIZE"))


@tables.command()
@click.argument("name")
@click.argument("table")
@click.option("--columns", metavar="A,B", help="These columns; without it all but those whose names say secrets.")
@click.option("--where", "conditions", metavar="'COLUMN OPERATOR VALUE'", multiple=True,
              help="Only rows that fulfil this; several: all of them. Operators: = != < <= > >= contains begins empty"
                   " not-empty. A column with a space in its name stands in double quotes.")  # fmt: skip
@click.option("--order", metavar="COLUMN", help="In the order of this column.")
@click.option("--descending", is_flag=True, help="The largest first.")
@click.option("--format", "form", type=click.Choice([one.value for one in Format]), default="csv", show_default=True,
              help="Of the file.")  # fmt: skip
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to; - is standard output.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@answers.with_json
def export(
    name: str, table: str, columns: str | None, conditions: tuple[str, ...], order: str | None, descending: bool,
    form: str, output: str, force: bool, as_json: bool,
) -> int:  # fmt: skip
    """Write rows of a table or view of the database NAME into FILE. TABLE is what `tables list` says, or its name.

    FILE appears whole or not at all.
    """
    outputs.refuse_both(output, as_json=as_json)
    asked = TableRequest(
        table=table,
        columns=_columns(columns),
        conditions=tuple(map(_condition, conditions)),
        order=order or "",
        descending=descending,
    )
    with opened() as storage:
        storage.databases.get(name)
        wanted = storage.logs.tables.check(name, requests.checked(asked))
        target = outputs.target(output, force=force)
        job, _ = storage.logs.exports.start(
            name, wanted.to_json(), Format(form), name="rows", by=answers.who(), background=False
        )
        facts = wanted.to_json()
        audited(storage, "rows_export_requested", name, format=form, job=job.job_id,
                **{key: facts[key] for key in ("table", "columns", "where", "order")})  # fmt: skip
        job = foreground.carry_out(storage, job, ours=True)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        made = storage.logs.exports.get(job.job_id, by=answers.who())
        outputs.hand_over(made.path, target)
    return outputs.say_file(target, rows=job.result["rows"], size=made.bytes, sha256=made.sha256, as_json=as_json)


def _columns(text: str | None) -> tuple[str, ...]:
    """What stands between commas, in double quotes where a name has a comma of its own."""
    return tuple(dict.fromkeys(next(csv.reader([text], skipinitialspace=True), ()))) if text else ()


def _condition(text: str) -> Condition:
    """'age >= 18', '"first name" contains Ana', 'note empty'. Raises Invalid for anything else."""
    read = _CONDITION.fullmatch(text)
    if read is None:
        raise Invalid(
            say("“%(text)s” is not a condition.", text=text[:80]),
            effect=say("Nothing was read."),
            advice=say("Write it like: 'created_at >= 2026-01-31'."),
        )
    column = read["quoted"].replace('""', '"') if read["quoted"] else read["plain"]
    return Condition(column, requests.operator(read["operator"]), read["value"] or "")


def _facts(table: Table) -> dict[str, Any]:
    return {
        "key": table.key,
        "schema": table.schema,
        "name": table.name,
        "view": table.is_view,
        "rows": table.rows,
        "bytes": table.bytes,
    }
