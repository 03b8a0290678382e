"""`pghaven schedules`: when databases are backed up by themselves. The web process of the data folder does it."""

from __future__ import annotations

from typing import Any

import click

from storage.clock import to_text
from storage.opening import Storage
from storage.schedules import cron
from storage.schedules.schedule import Schedule
from storage.schedules.schedules import read_until
from webapp.cli import answers
from webapp.cli.program import opened


@click.group()
def schedules() -> None:
    """Look at the schedules of databases, and change them. Every database has one."""


@schedules.command("list")
@answers.with_json
def list_(as_json: bool) -> None:
    """List the schedules and their next runs."""
    with opened() as storage:
        found = storage.schedules.all()
        if as_json:
            return answers.document([_facts(storage, schedule) for schedule in found])
        rows = [
            (
                schedule.database,
                schedule.expression,
                schedule.zone,
                _next(storage, schedule),
                _pause(storage, schedule),
                "yes" if schedule.ping_url else "no",
            )
            for schedule in found
        ]
    if not rows:
        return answers.line("There are no databases yet.")
    return answers.table(("DATABASE", "CRON", "ZONE", "NEXT", "PAUSED UNTIL", "PING"), rows)


@schedules.command("next")
@click.argument("name", metavar="NAME")
@click.option("--count", default=5, show_default=True, type=click.IntRange(1, 100), help="How many.")
@answers.with_json
def next_(name: str, count: int, as_json: bool) -> None:
    """Show the next runs of a database, and what the clocks do to them."""
    with opened() as storage:
        schedule = storage.schedules.of(name)
        runs = schedule.runs(storage.clock(), count=count)
    if as_json:
        return answers.document([_run(run) for run in runs])
    for run in runs:
        answers.line(f"{_local(run)}{f'  {cron.NOTES[run.note]}' if run.note else ''}")
    return None


@schedules.command("set")
@click.argument("name", metavar="NAME")
@click.option(
    "--cron", "expression", metavar="EXPR", help="Five fields, such as '0 2 * * *'; the present ones by default."
)
@click.option("--zone", default="", metavar="ZONE", help="Such as Europe/Berlin; the present one by default.")
@click.option(
    "--ping", metavar="URL", help="Told of scheduled backups: /start, then nothing behind it, or /fail. '' ends it."
)
@answers.with_json
def set_(name: str, expression: str | None, zone: str, ping: str | None, as_json: bool) -> None:
    """Say when a database is backed up from now on; what is not named stays as it is."""
    if expression is None and not zone and ping is None:
        raise click.UsageError("Say what is to be changed: --cron, --zone or --ping.")
    with opened() as storage:
        changed = storage.schedules.change(
            name,
            expression=storage.schedules.of(name).expression if expression is None else expression,
            zone=zone,
            ping_url=ping,
            by=answers.who(),
        )
        storage.audit.record(
            "schedule_changed", actor=answers.who(), subject=name, cron=changed.expression, zone=changed.zone
        )
        return _changed(storage, changed, as_json=as_json)


@schedules.command()
@click.argument("name", metavar="NAME")
@click.option("--until", required=True, metavar="DATE", help="2026-12-24, or 2026-12-24T18:00, in the schedule's zone.")
@answers.with_json
def pause(name: str, until: str, as_json: bool) -> None:
    """Have a database not backed up by itself before DATE."""
    with opened() as storage:
        end = read_until(until, storage.schedules.of(name).zone)
        paused = storage.schedules.pause(name, end, by=answers.who())
        storage.audit.record("schedule_paused", actor=answers.who(), subject=name, until=to_text(end))
        return _changed(storage, paused, as_json=as_json)


@schedules.command()
@click.argument("name", metavar="NAME")
@answers.with_json
def resume(name: str, as_json: bool) -> None:
    """End a pause. What would have come during it is not made up for."""
    with opened() as storage:
        resumed = storage.schedules.resume(name, by=answers.who())
        storage.audit.record("schedule_resumed", actor=answers.who(), subject=name)
        return _changed(storage, resumed, as_json=as_json)


def _changed(storage: Storage, schedule: Schedule, *, as_json: bool) -> None:
    if as_json:
        return answers.document(_facts(storage, schedule))
    words = cron.in_words(schedule.expression) or cron.explained(schedule.expression)
    answers.line(f"{schedule.database}: {words} ({schedule.zone}).")
    if schedule.paused(storage.clock()):
        answers.line(f"Paused until {answers.moment(schedule.paused_until)}.")
    return answers.line(f"Next: {_next(storage, schedule)}")


def _facts(storage: Storage, schedule: Schedule) -> dict[str, Any]:
    now = storage.clock()
    return {
        "database": schedule.database,
        "cron": schedule.expression,
        "zone": schedule.zone,
        "ping": bool(schedule.ping_url),
        "paused_until": to_text(schedule.paused_until) if schedule.paused(now) else None,
        "next": [_run(run) for run in schedule.runs(now)],
    }


def _run(run: cron.Run) -> dict[str, Any]:
    return {
        "at": to_text(run.at),
        "local": run.local.isoformat(),
        "note": run.note.value if run.note else None,
    }


def _next(storage: Storage, schedule: Schedule) -> str:
    run = next(iter(schedule.runs(storage.clock(), count=1)), None)
    return _local(run) if run else "–"


def _local(run: cron.Run) -> str:
    return f"{run.local:%a %Y-%m-%d %H:%M} {run.offset}"


def _pause(storage: Storage, schedule: Schedule) -> str:
    return answers.moment(schedule.paused_until) if schedule.paused(storage.clock()) else "–"
