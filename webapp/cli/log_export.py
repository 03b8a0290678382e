"""`pghaven logs export`: the rows of a usage log as a file."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import click

from storage.logs import filters, usage
from storage.logs.formats import Format
from webapp.cli import answers, foreground, outputs
from webapp.cli.audited import audited
from webapp.cli.program import opened


@click.command()
@click.argument("name")
@click.option("--format", "form", type=click.Choice([one.value for one in Format]), default="csv", show_default=True,
              help="Of the file.")  # fmt: skip
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to; - is standard output.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--from", "since", metavar="TIME", help="Requests from this time on: 2026-01-31, 2026-01-31T13:00.")
@click.option("--to", "until", metavar="TIME", help="Requests before this time.")
@click.option("--user", metavar="ID", help="Of this user of the application.")
@click.option("--key", metavar="ID", help="With this key.")
@click.option("--provider", metavar="ID", help="Answered by this provider.")
@click.option("--status", metavar="CODE", help="Answered with this status code.")
@click.option("--not-200", is_flag=True, help="All but those answered with 200; also those without an answer.")
@click.option("--model", help="Of this model.")
@click.option("--endpoint", help="To this endpoint.")
@click.option("--session", metavar="ID", help="Of this session.")
@click.option("--min-retries", metavar="N", help="Tried again at least so often.")
@answers.with_json
def export(
    name: str, form: str, output: str, force: bool, since: str | None, until: str | None, not_200: bool,
    as_json: bool, **given: str | None,
) -> int:  # fmt: skip
    """Write the usage log of the database NAME into FILE: every row that fulfils all that is given, newest first.

    FILE appears whole or not at all.
    """
    outputs.refuse_both(output, as_json=as_json)
    if not_200 and given["status"]:
        raise click.UsageError("--status and --not-200 exclude each other.")
    values: dict[str, Any] = {key: value for key, value in given.items() if value}
    values |= {"from": since or "", "to": until or "", "status": "not-200" if not_200 else values.get("status", "")}
    with opened() as storage:
        storage.databases.get(name)
        wanted = filters.read(values, zone=ZoneInfo(storage.settings.time_zone))
        target = outputs.target(output, force=force)
        stem = f"usage-logs-{storage.clock():%Y-%m-%d-%H%M%S}"
        job, _ = storage.logs.exports.start(
            name, usage.parameters(wanted), Format(form), name=stem, by=answers.who(), background=False
        )
        audited(storage, "rows_export_requested", name, format=form, job=job.job_id, **wanted.to_query())
        job = foreground.carry_out(storage, job, ours=True)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        made = storage.logs.exports.get(job.job_id, by=answers.who())
        outputs.hand_over(made.path, target)
    return outputs.say_file(target, rows=job.result["rows"], size=made.bytes, sha256=made.sha256, as_json=as_json)
