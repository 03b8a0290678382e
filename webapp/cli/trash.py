"""`pghaven trash`: moving a backup there, looking, putting back, erasing for good."""

from __future__ import annotations

import sys
from typing import Any

import click

from storage.backups.record import BackupRecord
from storage.clock import to_text
from storage.errors import Denied, say
from webapp.cli import answers
from webapp.cli.audited import audited
from webapp.cli.program import opened


@click.group()
def trash() -> None:
    """Look at what was deleted, and bring it back."""


@trash.command()
@click.argument("backup_id", metavar="ID")
@answers.with_json
def put(backup_id: str, as_json: bool) -> None:
    """Move the backup ID to the trash. It can be restored from there for 7 days."""
    with opened() as storage:
        record = storage.trash.discard(backup_id, by=answers.who())
        audited(storage, "backup_deleted", backup_id, database=record.database)
    if as_json:
        return answers.document(_facts(record))
    until = answers.moment(record.trashed.until if record.trashed else None)
    return answers.line(f"{backup_id} is in the trash until {until}.")


@trash.command("list")
@answers.with_json
def list_(as_json: bool) -> None:
    """List what is in the trash; what came last is first."""
    with opened() as storage:
        records = storage.trash.all()
    if as_json:
        return answers.document([_facts(record) for record in records])
    if not records:
        return answers.line("The trash is empty.")
    rows = [
        (
            record.backup_id,
            record.database,
            answers.moment(record.started_at),
            answers.size(record.bytes),
            answers.moment(record.trashed.until if record.trashed else None),
            _why(record),
        )
        for record in records
    ]
    return answers.table(("ID", "DATABASE", "TAKEN", "SIZE", "ERASED ON", "WHY"), rows, right=("SIZE",))


@trash.command()
@click.argument("backup_id", metavar="ID")
@answers.with_json
def restore(backup_id: str, as_json: bool) -> None:
    """Put the backup ID back in its place."""
    with opened() as storage:
        record = storage.trash.put_back(backup_id)
        audited(storage, "backup_put_back", backup_id, database=record.database)
    if as_json:
        return answers.document({"id": backup_id, "state": record.state.value})
    return answers.line(f"{backup_id} is back: {record.state.value}.")


@trash.command()
@click.argument("backup_id", metavar="ID", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@answers.with_json
def empty(backup_id: str | None, yes: bool, as_json: bool) -> None:
    """Erase everything that is in the trash for good; or the backup ID alone."""
    with opened() as storage:
        going = [storage.backups.catalog.get(backup_id)] if backup_id else storage.trash.all()
        if going and not yes:
            if as_json or not sys.stdin.isatty():
                raise Denied(
                    say("This has to be confirmed, and there is no terminal to ask."),
                    advice=say("Add --yes to go ahead."),
                )
            size = answers.size(sum(record.bytes for record in going))
            click.confirm(f"Erase {len(going)} for good, {size}?", abort=True, err=True)
        erased = [storage.trash.erase(backup_id)] if backup_id else storage.trash.empty()
        for record in erased:
            audited(storage, "backup_erased", record.backup_id, database=record.database)
    if as_json:
        return answers.document({"erased": [record.backup_id for record in erased]})
    return answers.line(f"{len(erased)} erased.")


def _facts(record: BackupRecord) -> dict[str, Any]:
    trashed = record.trashed
    return {
        "id": record.backup_id,
        "database": record.database,
        "started_at": to_text(record.started_at),
        "bytes": record.bytes,
        "trashed_at": to_text(trashed.at) if trashed else None,
        "until": to_text(trashed.until) if trashed else None,
        "by": trashed.by if trashed else "",
        "reasons": list(map(str, trashed.why)) if trashed else [],
    }


def _why(record: BackupRecord) -> str:
    if record.trashed is None or not record.trashed.why:
        return f"by {record.trashed.by}" if record.trashed else ""
    return " ".join(map(str, record.trashed.why))
