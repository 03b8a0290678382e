"""`pghaven audit`: who did what, and whether the log of it is as it was written."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

import click

from storage.audit.actions import ACTIONS
from storage.audit.chain import Event
from storage.audit.verify import Verdict
from storage.errors import Damaged, say, say_count
from webapp.cli import answers, refusals
from webapp.cli.program import opened

_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.group()
def audit() -> None:
    """Look at the audit log, and find out whether anybody changed it."""


@audit.command("list")
@click.option("--action", type=click.Choice(sorted(ACTIONS)), metavar="ACTION", help="Only this, such as signed_in.")
@click.option("--actor", help="Only what this account did.")
@click.option("--subject", help="Only what was done to this.")
@click.option("--from", "since", type=_DAY, help="Only from this day on, in UTC.")
@click.option("--until", type=_DAY, help="Only up to this day, and with it.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@answers.with_json
def list_(
    action: str | None,
    actor: str | None,
    subject: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what was done, newest first."""
    with opened() as storage:
        chosen = (
            event
            for event in storage.audit.newest_first()
            if action in (None, event.action)
            and actor in (None, event.actor)
            and subject in (None, event.subject)
            and (since is None or event.at.date() >= since.date())
            and (until is None or event.at.date() <= until.date())
        )
        found = list(islice(chosen, limit))
    if as_json:
        return answers.document([event.to_json() for event in found])
    if not found:
        return answers.line("Nothing is recorded.")
    rows = [
        (answers.moment(one.at), one.action, one.subject, one.actor, one.origin, one.result, _facts(one))
        for one in found
    ]
    return answers.table(("WHEN", "WHAT", "WHICH", "WHO", "FROM", "RESULT", ""), rows)


@audit.command()
@answers.with_json
def verify(as_json: bool) -> int:
    """Read the whole log and say which lines are not as they were written.

    Whoever may write the data folder can write a whole new log. Keep the last line's SHA-256 elsewhere, and that
    shows, too.
    """
    with opened() as storage:
        verdict = storage.audit.verify()
    if not verdict.good:
        return answers.refuse(_changed(verdict), as_json=as_json, **_verdict_facts(verdict))
    if as_json:
        answers.document(_verdict_facts(verdict))
    else:
        answers.line(
            f"The audit log is as it was written: {verdict.lines} lines, the last with SHA-256 {verdict.hash}."
        )
    return refusals.DONE


def _changed(verdict: Verdict) -> Damaged:
    listed = [f"{fault.file}:{fault.line}: {fault.what}" for fault in verdict.faults]
    if verdict.count > len(listed):
        listed.append(f"… and {verdict.count - len(listed)} more")
    return Damaged(
        say_count(
            "The audit log is not as it was written, in %(count)s place.",
            "The audit log is not as it was written, in %(count)s places.",
            count=verdict.count,
        ),
        effect=say("Backups and databases are not affected."),
        advice=say("Find out who wrote into metadata/audit of the data folder."),
        words="\n".join(listed),
    )


def _verdict_facts(verdict: Verdict) -> dict[str, Any]:
    return {
        "good": verdict.good,
        "lines": verdict.lines,
        "sha256": verdict.hash,
        "faults": [{"file": one.file, "line": one.line, "what": str(one.what)} for one in verdict.faults],
        "fault_count": verdict.count,
    }


def _facts(event: Event) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(event.facts.items()))
