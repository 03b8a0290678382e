"""`pghaven retention`: what is kept of a database and why, and letting go of the rest; and pinning single backups."""

from __future__ import annotations

from typing import Any

import click

from storage.backups.policies import BOUNDS, Policy
from storage.backups.retention import Plan
from storage.clock import to_text
from storage.opening import Storage
from webapp.cli import answers, foreground, refusals
from webapp.cli.audited import audited
from webapp.cli.program import opened

FOR_EVER = "forever"


@click.group()
def retention() -> None:
    """See and decide how long backups are kept."""


@retention.command()
@click.argument("name")
@answers.with_json
def preview(name: str, as_json: bool) -> None:
    """Say of each backup of the database NAME whether the next nightly run keeps it, and why. Changes nothing."""
    with opened() as storage:
        storage.databases.get(name)
        at = storage.retention.next_run()
        plan = storage.retention.preview(name, at=at)
        policy = storage.retention.policies.of(name)
        if as_json:
            facts = {"database": name, "at": to_text(at), "policy": _policy(policy), **_plan(storage, plan)}
            return answers.document(facts)
        _print(storage, plan)
    return answers.line(f"{_sum(plan)} The next run: {answers.moment(at)}, and after each good backup.")


@retention.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@answers.with_json
def run(name: str, yes: bool, as_json: bool) -> int:
    """Move what has expired of the database NAME to the trash now. It can be put back for 7 days."""
    with opened() as storage:
        storage.databases.get(name)
        plan = storage.retention.preview(name)
        if plan.expired and not yes and not as_json:
            _print(storage, plan, expired_only=True)
            answers.confirm_where_asked(f"Move {len(plan.expired)} to the trash?")
        only = [one.backup_id for one in plan.expired]
        job, ours = storage.retention.run(name, by=answers.who(), only=only, background=False)
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
    moved = job.result["moved"]
    if as_json:
        answers.document({"database": name, "job": job.job_id, **job.result})
    else:
        answers.line(
            f"{len(moved)} moved to the trash, {answers.size(job.result['bytes'])}; {job.result['kept']} stay."
        )
    return refusals.DONE


@retention.command("set")
@click.argument("name")
@click.option("--days", help=f"Keep everything of the last so many days; {FOR_EVER}: nothing expires by its age.")
@click.option("--keep-last", type=int, help="Keep the last ones, so many.")
@click.option("--daily", type=int, help="Keep one of each of so many days.")
@click.option("--weekly", type=int, help="Keep one of each of so many weeks.")
@click.option("--monthly", type=int, help="Keep one of each of so many months.")
@click.option("--yearly", type=int, help="Keep one of each of so many years.")
@click.option("--most-gb", type=float, help="At most so many GB, the oldest go first; 0: no limit.")
@click.option("--minimum", type=int, help="So many good ones always stay.")
@click.option("--snapshot-days", type=int, help="Keep snapshots taken before restores for so many days.")
@answers.with_json
def set_(name: str, days: str | None, most_gb: float | None, as_json: bool, **counts: int | None) -> None:
    """Decide how long backups of the database NAME are kept. What is not named stays as it is; nothing is deleted yet.

    Without any option it shows what is decided.
    """
    changes: dict[str, int | None] = {name: value for name, value in counts.items() if value is not None}
    if days is not None:
        changes["days"] = None if days == FOR_EVER else _whole_days(days)
    if most_gb is not None:
        changes["most_bytes"] = int(most_gb * 10**9) if most_gb else None
    with opened() as storage:
        storage.databases.get(name)
        policy = storage.retention.policies.of(name)
        if changes:
            policy = storage.retention.policies.change(name, changes, by=answers.who())
            audited(storage, "retention_changed", name, policy=changes)
    if as_json:
        return answers.document(_policy(policy))
    for heading, value in _policy(policy).items():
        if heading in BOUNDS:
            answers.line(f"{heading.replace('_', ' '):<14} {'–' if value in (None, 0) else value}")
    return None


@click.command()
@click.argument("backup_id", metavar="ID")
@answers.with_json
def pin(backup_id: str, as_json: bool) -> None:
    """Pin a backup: it never expires, and cannot be moved to the trash."""
    _pinned(backup_id, pinned=True, as_json=as_json)


@click.command()
@click.argument("backup_id", metavar="ID")
@answers.with_json
def unpin(backup_id: str, as_json: bool) -> None:
    """Unpin a backup: it may expire again."""
    _pinned(backup_id, pinned=False, as_json=as_json)


def _pinned(backup_id: str, *, pinned: bool, as_json: bool) -> None:
    with opened() as storage:
        record = storage.backups.catalog.change(backup_id, lambda record: record.with_(pinned=pinned))
        audited(storage, "backup_pinned" if pinned else "backup_unpinned", backup_id, database=record.database)
    if as_json:
        return answers.document({"id": backup_id, "pinned": pinned})
    return answers.line(f"{backup_id} {'never expires' if pinned else 'may expire again'}.")


def _whole_days(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise click.BadParameter(f"a whole number, or {FOR_EVER}", param_hint="--days")
    return int(text)


def _policy(policy: Policy) -> dict[str, Any]:
    facts = policy.to_json()
    del facts["format"]
    return facts


def _plan(storage: Storage, plan: Plan) -> dict[str, Any]:
    return {
        "paused": plan.paused,
        "backups": [
            {
                "id": one.backup_id,
                "started_at": to_text(storage.backups.catalog.get(one.backup_id).started_at),
                "bytes": one.bytes,
                "kept": one.kept,
                "reasons": list(map(str, one.reasons)),
            }
            for one in plan.decisions
        ],
    }


def _print(storage: Storage, plan: Plan, *, expired_only: bool = False) -> None:
    rows = [
        (
            one.backup_id,
            answers.moment(storage.backups.catalog.get(one.backup_id).started_at),
            answers.size(one.bytes),
            "stays" if one.kept else "goes",
            " ".join(map(str, one.reasons)),
        )
        for one in (plan.expired if expired_only else plan.decisions)
    ]
    if rows:
        answers.table(("ID", "TAKEN", "SIZE", "", "WHY"), rows, right=("SIZE",))


def _sum(plan: Plan) -> str:
    if not plan.decisions:
        return "There are no backups."
    paused = " Backups are failing: nothing goes before one succeeds." if plan.paused else ""
    return f"{len(plan.kept)} stay, {len(plan.expired)} go.{paused}"
