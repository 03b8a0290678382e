"""`pghaven demo`: rows that are made up, in databases that are nothing but demos."""

from __future__ import annotations

import click

from storage.errors import NotFound, say
from storage.logs.generator.request import MOST_DAYS, MOST_ROWS, MOST_SEED, GeneratorRequest
from storage.opening import Storage
from storage.schedules.schedules import read_until
from webapp.cli import answers, foreground, refusals
from webapp.cli.audited import audited
from webapp.cli.program import opened


@click.group()
def demo() -> None:
    """Fill a demo's usage log with made-up requests. Nothing is ever made up in another database.

    `pghaven logs cleanup` removes them by their age, as any others.
    """


@demo.command()
@click.argument("name", required=False)
@click.option("--rows", default=10_000, show_default=True, type=click.IntRange(1, MOST_ROWS), help="How many.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, MOST_DAYS), help="Which they fill.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, MOST_SEED),
              help="The same seed, rows, days and end give the same requests.")  # fmt: skip
@click.option("--until", metavar="DATE", help="Where the days end: 2026-11-22, 2026-11-22T13:00; now without it.")
@answers.with_json
def generate(name: str | None, rows: int, days: int, seed: int, until: str | None, as_json: bool) -> int:
    """Make requests up in the database NAME, or in the default one. They come beside those that are there.

    What they belong to, users, keys and providers, is made up first where there are none.
    """
    with opened() as storage:
        database = name or _default(storage)
        end = read_until(until, storage.settings.time_zone) if until else storage.clock()
        request = GeneratorRequest(rows=rows, days=days, seed=seed, until=end)
        job, ours = storage.logs.generator.start(database, request, by=answers.who(), background=False)
        if ours:
            audited(storage, "demo_rows_requested", database, job=job.job_id, **request.to_json())
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
    made = {"database": database, "rows": job.result["rows"], "seed": seed, "days": days, "job": job.job_id}
    if as_json:
        answers.document(made)
    else:
        answers.line(f"{made['rows']} requests were made up in {database}.")
    return refusals.DONE


@demo.command()
@click.argument("name")
@answers.with_json
def mark(name: str, as_json: bool) -> None:
    """Mark the database NAME as a demo: an installed application that nobody has used yet.

    The mark is a line in the comment of its log's table. A database with users, keys or requests is refused.
    """
    with opened() as storage:
        new = storage.logs.generator.mark(name)
        if new:
            audited(storage, "demo_marked", name)
    if as_json:
        return answers.document({"database": name, "demo": True, "new": new})
    return answers.line(f"{name} is a demo now." if new else f"{name} is a demo already.")


def _default(storage: Storage) -> str:
    profile = storage.databases.default()
    if profile is None:
        raise NotFound(say("There is no database yet."), effect=say("No rows were made."))
    return profile.name
