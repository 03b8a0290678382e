"""`pghaven databases`: which databases are looked after, how they are reached, and how they are."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from storage.databases.profile import DatabaseProfile
from storage.databases.session_store import checked_address, shown_address
from storage.databases.status import DatabaseStatus
from storage.databases.testing import ConnectionTest, Tester
from storage.errors import NotFound, say
from storage.postgres import places, programs
from storage.postgres.connection import parse_url
from storage.secret import Secret
from storage.settings import Settings
from webapp.cli import answers, refusals
from webapp.cli.audited import audited
from webapp.cli.program import opened

STORE_HELP = (
    "Its application's Redis, which is only read: redis://:password@host:6379/0. - is the first line of standard input."
)


@click.group()
def databases() -> None:
    """Add, test and list the databases that are looked after."""


@databases.command("list")
@answers.with_json
def list_(as_json: bool) -> None:
    """List the databases, without asking their servers."""
    with opened() as storage:
        found = [(one, storage.backups.catalog.newest_good(one.name)) for one in storage.databases.all()]
    if as_json:
        return answers.document([_facts(one) | {"newest_good_backup": good and good.backup_id} for one, good in found])
    if not found:
        return answers.line("No databases yet. To add one: pghaven databases add NAME URL")
    rows = [
        (
            one.name,
            one.connection.address,
            one.connection.dbname,
            one.source.value,
            answers.moment(good.started_at) if good else "never",
        )
        for one, good in found
    ]
    return answers.table(("NAME", "SERVER", "DATABASE", "FROM", "LAST GOOD BACKUP"), rows)


@databases.command()
@click.argument("name")
@click.argument("url")
@click.option("-W", "--password", "ask", is_flag=True, help="Ask for the password; it is not shown.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@click.option("--log-table", "log_tables", multiple=True, metavar="SCHEMA.TABLE", help="Left out with --no-logs.")
@click.option("--no-digests", is_flag=True, help="Count rows only, without a digest of their content.")
@click.option("--session-store", metavar="URL", help=STORE_HELP)
@click.option("--no-test", is_flag=True, help="Do not try the connection.")
@answers.with_json
def add(
    name: str,
    url: str,
    ask: bool,
    password_stdin: bool,
    log_tables: tuple[str, ...],
    no_digests: bool,
    session_store: str | None,
    no_test: bool,
    as_json: bool,
) -> None:
    """Look after the database at URL (postgresql://user@host:5432/database) under NAME, and try the connection.

    The password may be part of the URL; with -W or --password-stdin it stays out of the list of processes. It is
    stored encrypted and never shown again. Where the connection fails, that is said, and NAME is added all the same.
    """
    connection = parse_url(url)
    if ask or password_stdin:
        password = answers.new_password(from_stdin=password_stdin, whose=connection.user, twice=False)
        connection = replace(connection, password=Secret(password))
    store = _store(session_store) if session_store else None
    with opened(may_make=True) as storage:
        profile = storage.databases.add(
            name,
            connection,
            log_tables=log_tables,
            digests=not no_digests,
            session_store_url=store,
            by=answers.who(),
        )
        audited(
            storage,
            "database_added",
            name,
            address=connection.address,
            dbname=connection.dbname,
            user=connection.user,
            **({"session_store": shown_address(store)} if store else {}),
        )
        test = None if no_test else storage.databases.test(connection)
    if as_json:
        return answers.document(_facts(profile) | {"test": _test_facts(test) if test else None})
    answers.line(f"Added {profile.name}: {connection.dbname} on {connection.address}.")
    if test:
        answers.note(_test_words(test))
    if test is None or test.good:
        return answers.line(f"To take its first backup: pghaven backups take {profile.name}")
    return answers.note(
        f"Nothing of it can be backed up before that is mended. To try again: pghaven databases test {name}"
    )


@databases.command()
@click.argument("name")
@click.option("--session-store", metavar="URL", help=STORE_HELP)
@click.option("--no-session-store", is_flag=True, help="Take the session store away.")
@answers.with_json
def change(name: str, session_store: str | None, no_session_store: bool, as_json: bool) -> None:
    """Say where the application of the database NAME keeps the details of its sessions."""
    if bool(session_store) == no_session_store:
        raise click.UsageError("Give --session-store URL, or --no-session-store.")
    store = _store(session_store) if session_store else Secret("")
    with opened() as storage:
        profile = storage.databases.change(name, session_store_url=store)
        audited(storage, "database_changed", name, session_store=shown_address(store) if store else "")
    if as_json:
        return answers.document(_facts(profile))
    where = shown_address(store) if store else "nowhere that pghaven knows"
    return answers.line(f"Details of sessions of {name} are in {where}.")


@databases.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@answers.with_json
def remove(name: str, yes: bool, as_json: bool) -> None:
    """Stop looking after a database. Its backups stay, and so does the database itself."""
    with opened() as storage:
        storage.databases.get(name)
        if not yes:
            answers.confirm(
                f"Stop looking after {name}? Its backups stay.",
                advice=say("Add --yes to look after %(name)s no longer.", name=name),
            )
        storage.databases.remove(name)
        audited(storage, "database_removed", name)
    if as_json:
        return answers.document({"name": name, "removed": True})
    return answers.line(f"{name} is no longer looked after. Its backups are kept.")


@databases.command()
@click.argument("target", metavar="NAME|URL")
@answers.with_json
def test(target: str, as_json: bool) -> int:
    """Try the connection to a database by its NAME here, or to any URL, and say what is wrong with it."""
    if "://" in target:  # needs no data folder, and makes none
        settings = Settings.from_environment()
        private = settings.private_folder or places.private_folder()
        found = programs.find_installations(settings.pg_bin_dirs, places.tools_folder(private))
        result = Tester(lambda: found)(parse_url(target))
    else:
        with opened() as storage:
            result = storage.databases.test(storage.databases.get(target).connection)
    good = result.good
    code = refusals.DONE if good else refusals.exit_code_of_kind("Unreachable")
    if as_json:
        facts = _test_facts(result)
        trouble = {"kind": "Unreachable", "exit_code": code, "message": facts["message"], "words": result.words}
        answers.document(facts if good else {"error": trouble, **facts})
    else:
        (answers.line if good else answers.note)(_test_words(result))
    return code


@databases.command()
@click.argument("name", required=False)
@answers.with_json
def status(name: str | None, as_json: bool) -> int:
    """Ask the servers: size, tables, version. Without NAME, of all; fails when one cannot be reached."""
    with opened() as storage:
        chosen = [storage.databases.get(name)] if name else storage.databases.all()
        found = [_status(*pair) for pair in zip(chosen, storage.statuses.of_all(chosen), strict=True)]
    errors = [error for _, error in found if error]
    code = refusals.exit_code_of_kind(errors[0]["kind"]) if errors else refusals.DONE
    if as_json:
        values = [facts | {"error": refusals.in_json(error) if error else None} for facts, error in found]
        answers.document(values[0] if name else values)
        return code
    if not found:
        raise NotFound(
            say("There are no databases here yet."), advice=say("To add one: pghaven databases add NAME URL")
        )
    rows = [
        (
            facts["name"],
            "available" if facts["available"] else "not available",
            facts["address"],
            facts["database"],
            answers.size(facts["size_bytes"]),
            "–" if facts["table_count"] is None else str(facts["table_count"]),
            facts["version"] or "–",
        )
        for facts, _ in found
    ]
    answers.table(("NAME", "STATE", "SERVER", "DATABASE", "SIZE", "TABLES", "VERSION"), rows, right=("SIZE", "TABLES"))
    for facts, error in found:
        if error:
            answers.note(f"{facts['name']}: {refusals.in_words(error | {'effect': None})}")
    return code


def _store(address: str) -> Secret:
    return checked_address(sys.stdin.readline().strip() if address == "-" else address)


def _status(profile: DatabaseProfile, status: DatabaseStatus) -> tuple[dict[str, Any], dict[str, Any] | None]:
    facts = {
        "name": profile.name,
        "available": status.available,
        "address": status.address,
        "database": status.dbname,
        "size_bytes": status.size_bytes,
        "size_pretty": status.size_pretty,
        "table_count": status.table_count,
        "version": status.version,
    }
    return facts, status.error.to_json() if status.error else None


def _facts(profile: DatabaseProfile) -> dict[str, Any]:
    connection = profile.connection
    return {
        "name": profile.name,
        "host": connection.host,
        "port": connection.port,
        "user": connection.user,
        "database": connection.dbname,
        "sslmode": connection.sslmode,
        "source": profile.source.value,
        "editable": profile.editable,
        "log_tables": list(profile.log_tables),
        "digests": profile.digests,
        "session_store": shown_address(profile.session_store_url) if profile.session_store_url else None,
    }


def _test_facts(result: ConnectionTest) -> dict[str, Any]:
    return {
        "kind": result.kind,
        "message": str(result.message),
        "advice": str(result.advice) if result.advice else None,
        "words": result.words,
        "server_version": result.server_version,
        "seconds": result.seconds,
    }


def _test_words(result: ConnectionTest) -> str:
    sentences = " ".join(str(part) for part in (result.message, result.advice) if part)
    return "\n".join([sentences, *(f"  {line}" for line in result.words.splitlines())])
