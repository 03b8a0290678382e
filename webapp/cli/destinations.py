"""`pghaven destinations`: where copies of archives are kept; and the verbs of one copy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from storage.backups import copies_found
from storage.destinations import encryption, testing
from storage.destinations.destination import DEFAULT_KEEP_DAYS, Destination, parse_url
from storage.errors import Invalid, say
from storage.jobs.model import Job
from storage.opening import Storage
from storage.secret import Secret
from webapp.cli import answers, foreground
from webapp.cli.audited import audited
from webapp.cli.program import opened


@click.group()
def destinations() -> None:
    """Keep copies of archives in a folder or in object storage."""


@destinations.command("list")
@answers.with_json
def list_(as_json: bool) -> None:
    """List the destinations, without asking them."""
    with opened() as storage:
        found = storage.destinations.all()
    if as_json:
        return answers.document([_facts(one) for one in found])
    if not found:
        return answers.line("No destinations yet. To add one: pghaven destinations add NAME URL")
    rows = [
        (one.name, one.url, ", ".join(one.databases) or "all", str(one.keep_days or "for ever"),
         "yes" if one.recipients else "no")
        for one in found
    ]  # fmt: skip
    return answers.table(("NAME", "ADDRESS", "DATABASES", "DAYS KEPT", "ENCRYPTED"), rows)


@destinations.command()
@click.argument("name")
@click.argument("url")
@click.option("--secret-stdin", is_flag=True, help="Read the secret key from the first line of standard input.")
@click.option("--database", "databases", multiple=True, metavar="NAME", help="Copy its backups alone. May be repeated.")
@click.option("--keep-days", type=int, default=DEFAULT_KEEP_DAYS, show_default=True, help="0 keeps copies for ever.")
@click.option("--keep-weekly", "weekly", type=int, default=0, help="Of what is older, one of each of so many weeks.")
@click.option("--keep-monthly", "monthly", type=int, default=0, help="One of each of so many months.")
@click.option("--keep-yearly", "yearly", type=int, default=0, help="One of each of so many years.")
@click.option("--recipient", "recipients", multiple=True, metavar="AGE1…", help="Encrypt copies for this age key.")
@click.option("--no-test", is_flag=True, help="Do not try it out.")
@answers.with_json
def add(
    name: str,
    url: str,
    secret_stdin: bool,
    databases: tuple[str, ...],
    keep_days: int,
    weekly: int,
    monthly: int,
    yearly: int,
    recipients: tuple[str, ...],
    no_test: bool,
    as_json: bool,
) -> None:
    """Copy every new backup to URL as well: /srv/copies, s3://KEY:SECRET@bucket/folder?endpoint=https://…, gs://…, az://….

    With --secret-stdin the secret stays out of the list of processes. It is stored encrypted and never shown again.
    """
    destination = parse_url(name, url)
    if secret_stdin:
        destination = destination.with_(secret_key=_secret_from_stdin())
    destination = destination.with_(
        databases=databases,
        keep_days=keep_days,
        weekly=weekly,
        monthly=monthly,
        yearly=yearly,
        recipients=encryption.checked_recipients(recipients),
    )
    with opened(may_make=True) as storage:
        for database in databases:
            storage.databases.get(database)
        storage.destinations.check(destination)
        if not no_test:
            testing.try_out(destination)
        added = storage.destinations.add(destination, by=answers.who())
        audited(storage, "destination_added", name, url=added.url)
    if as_json:
        return answers.document(_facts(added))
    return answers.line(f"Added {name}: every new backup is copied to {added.url}.")


@destinations.command()
@click.argument("name")
@click.option("--secret-stdin", is_flag=True, help="Read a new secret key from the first line of standard input.")
@click.option("--database", "databases", multiple=True, metavar="NAME", help="Copy its backups alone. May be repeated.")
@click.option("--all-databases", is_flag=True, help="Copy the backups of all databases again.")
@click.option("--keep-days", type=int, help="0 keeps copies for ever.")
@click.option("--keep-weekly", "weekly", type=int, help="Of what is older, one of each of so many weeks.")
@click.option("--keep-monthly", "monthly", type=int, help="One of each of so many months.")
@click.option("--keep-yearly", "yearly", type=int, help="One of each of so many years.")
@click.option("--recipient", "recipients", multiple=True, metavar="AGE1…", help="Encrypt new copies for this age key.")
@click.option("--unencrypted", is_flag=True, help="Encrypt new copies no more.")
@click.option("--no-test", is_flag=True, help="Do not try it out.")
@answers.with_json
def change(
    name: str,
    secret_stdin: bool,
    databases: tuple[str, ...],
    all_databases: bool,
    recipients: tuple[str, ...],
    unencrypted: bool,
    no_test: bool,
    as_json: bool,
    **numbers: int | None,
) -> None:
    """Change what is named, and leave the rest as it is. Another place is another destination."""
    changes: dict[str, Any] = {field: number for field, number in numbers.items() if number is not None}
    if secret_stdin:
        changes["secret_key"] = _secret_from_stdin()
    if databases or all_databases:
        changes["databases"] = databases
    if recipients or unencrypted:
        changes["recipients"] = encryption.checked_recipients(recipients)
    if (databases and all_databases) or (recipients and unencrypted) or not changes:
        raise click.UsageError("Say what is to be changed, once.")
    with opened() as storage:
        for database in databases:
            storage.databases.get(database)
        if not no_test:
            testing.try_out(storage.destinations.get(name).with_(**changes))
        changed = storage.destinations.change(name, **changes)
        audited(storage, "destination_changed", name)
    if as_json:
        return answers.document(_facts(changed))
    return answers.line(f"{name} is changed.")


@destinations.command()
@click.argument("name")
@answers.with_json
def test(name: str, as_json: bool) -> None:
    """Write, read, list and delete a small object there."""
    with opened() as storage:
        destination = storage.destinations.get(name)
        testing.try_out(destination)
    if as_json:
        return answers.document({"name": name, "good": True})
    return answers.line(f"{name} can be written, read, listed and deleted from.")


@destinations.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@answers.with_json
def remove(name: str, yes: bool, as_json: bool) -> None:
    """Copy nothing there any more. The copies that lie there stay."""
    with opened() as storage:
        storage.destinations.get(name)
        if not yes:
            answers.confirm(
                f"Copy nothing to {name} any more? The copies there stay.",
                advice=say("Add --yes to copy nothing to %(name)s any more.", name=name),
            )
        storage.destinations.remove(name)
        audited(storage, "destination_removed", name)
    if as_json:
        return answers.document({"name": name, "removed": True})
    return answers.line(f"Nothing is copied to {name} any more. The copies that lie there stay.")


@destinations.command()
@click.argument("name")
@answers.with_json
def rebuild(name: str, as_json: bool) -> None:
    """Bring the records of backups back from the copies at NAME; their archives stay there until they are fetched."""
    with opened() as storage:
        found = copies_found.rebuild(storage.backups.catalog, storage.destinations.get(name))
        audited(storage, "catalog_rebuilt", name, backups=len(found))
    if as_json:
        return answers.document([{"id": record.backup_id, "database": record.database} for record in found])
    answers.line(f"{len(found)} backups were unknown here and are in the catalog now.")
    if found:
        answers.line(f"To bring an archive back: pghaven backups fetch {found[-1].backup_id} {name}")
    return None


@click.command()
@click.argument("backup_id", metavar="ID")
@click.argument("destination")
@answers.with_json
def copy(backup_id: str, destination: str, as_json: bool) -> int:
    """Copy a backup to a destination now; where it has a copy, read that in full."""
    with opened() as storage:
        job, ours = storage.copying.copy(backup_id, destination, by=answers.who(), background=False)
        audited(storage, "backup_copy_requested", backup_id, destination=destination, job=job.job_id)
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        copied = storage.backups.catalog.get(backup_id).copy_at(destination)
    assert copied is not None
    if as_json:
        answers.document(copied.to_json())
    else:
        answers.line(f"The copy at {destination} is there and as it was written: {copied.key}")
    return 0


with_identity = click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file with the secret key of age, for an encrypted copy.",
)


@click.command()
@click.argument("backup_id", metavar="ID")
@click.argument("destination")
@with_identity
@answers.with_json
def fetch(backup_id: str, destination: str, identity: Path | None, as_json: bool) -> int:
    """Bring a lost or damaged archive back from a destination, and read it in full."""
    with opened() as storage:
        job = fetched(storage, backup_id, destination, identity)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        record = storage.backups.catalog.get(backup_id)
        path = storage.backups.catalog.archive_path(record)
    if as_json:
        answers.document({"id": backup_id, "state": record.state.value, "archive": str(path)})
    else:
        answers.line(f"The archive is back and as it was written: {path}")
    return 0


def fetched(storage: Storage, backup_id: str, destination: str, identity: Path | None) -> Job:
    """The ended job that brought an archive back. Raises Conflict when it is here and good."""
    key = Secret(identity.read_text(encoding="utf-8")) if identity else None
    job, ours = storage.copying.fetch(backup_id, destination, by=answers.who(), identity=key, background=False)
    audited(storage, "backup_fetch_requested", backup_id, destination=destination, job=job.job_id)
    return foreground.carry_out(storage, job, ours=ours)


def _secret_from_stdin() -> Secret:
    secret = sys.stdin.readline().strip()
    if not secret:
        raise Invalid(say("There is no secret on standard input."))
    return Secret(secret)


def _facts(destination: Destination) -> dict[str, Any]:
    """Everything but the secret."""
    return {
        "name": destination.name,
        "url": destination.url,
        "access_key": destination.access_key,
        "has_secret": bool(destination.secret_key),
        "databases": list(destination.databases),
        "keep_days": destination.keep_days,
        "weekly": destination.weekly,
        "monthly": destination.monthly,
        "yearly": destination.yearly,
        "recipients": list(destination.recipients),
    }
