"""`pghaven accounts`: who may sign in, with which role; bearer tokens for programs; a way back in."""

from __future__ import annotations

import click

from storage.accounts.permissions import Role
from storage.clock import to_text
from storage.errors import say
from storage.secret import Secret
from webapp.cli import answers
from webapp.cli.audited import audited
from webapp.cli.program import opened


@click.group()
def accounts() -> None:
    """Manage the accounts of the pages and the API. Whoever may read the data folder may do this."""


@accounts.command("list")
@answers.with_json
def list_(as_json: bool) -> None:
    """List accounts, with their open sessions and tokens."""
    with opened() as storage:
        found = [
            (account, len(storage.accounts.sessions.of(account.name)), len(storage.accounts.tokens_of(account.name)))
            for account in storage.accounts.all()
        ]
    if as_json:
        return answers.document(
            [
                {
                    "name": account.name,
                    "role": account.role.value,
                    "created_at": to_text(account.created_at),
                    "sessions": sessions,
                    "tokens": tokens,
                }
                for account, sessions, tokens in found
            ]
        )
    if not found:
        return answers.line("No accounts yet. The first is made with the link that pghaven serve prints.")
    rows = [
        (account.name, account.role.value, answers.moment(account.created_at), str(sessions), str(tokens))
        for account, sessions, tokens in found
    ]
    return answers.table(("NAME", "ROLE", "SINCE", "SESSIONS", "TOKENS"), rows, right=("SESSIONS", "TOKENS"))


@accounts.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.USER.value, show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@answers.with_json
def add(name: str, role: str, password_stdin: bool, as_json: bool) -> None:
    """Add an account, and ask for its password."""
    password = Secret(answers.new_password(from_stdin=password_stdin, whose=name))
    with opened(may_make=True) as storage:
        account = storage.accounts.add(name, Role(role), password, by=answers.who())
        audited(storage, "account_added", name, role=role)
    if as_json:
        return answers.document({"name": account.name, "role": account.role.value})
    return answers.line(f"Added {account.name}, {account.role.value}.")


@accounts.command()
@click.argument("name")
@answers.with_json
def token(name: str, as_json: bool) -> None:
    """Make a bearer token for programs and print it, once. It may do what the account may do."""
    with opened() as storage:
        text = storage.accounts.create_token(name)
        audited(storage, "account_token_made", name)
    if as_json:
        return answers.document({"name": name, "token": text})
    answers.line(text)
    return answers.note("Send it as: Authorization: Bearer TOKEN. It is not shown again.")


@accounts.command("reset-password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@answers.with_json
def reset_password(name: str, password_stdin: bool, as_json: bool) -> None:
    """Set a new password and end every session of the account. Its tokens stay."""
    with opened() as storage:
        storage.accounts.get(name)
        ended = len(storage.accounts.sessions.of(name))
        password = Secret(answers.new_password(from_stdin=password_stdin, whose=name))
        storage.accounts.reset_password(name, password)
        audited(storage, "account_password_changed", name)
    if as_json:
        return answers.document({"name": name, "sessions_ended": ended})
    return answers.line(f"{name} has a new password. Ended sessions: {ended}.")


@accounts.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@answers.with_json
def remove(name: str, yes: bool, as_json: bool) -> None:
    """End an account, its sessions and its tokens. What it did stays in the records."""
    with opened() as storage:
        storage.accounts.get(name)
        if not yes:
            answers.confirm(
                f"Remove the account {name}?", advice=say("Add --yes to remove the account %(name)s.", name=name)
            )
        storage.accounts.remove(name)
        audited(storage, "account_removed", name)
    if as_json:
        return answers.document({"name": name, "removed": True})
    return answers.line(f"{name} cannot sign in any more. What the account did stays in the records.")


@accounts.command()
@click.argument("name")
@click.argument("database")
@click.argument("user_id", required=False)
@click.option("--none", "unlink", is_flag=True, help="Unlink: the account sees no usage logs of the database.")
@answers.with_json
def link(name: str, database: str, user_id: str | None, unlink: bool, as_json: bool) -> None:
    """Say which user of a database's application an account is: its requests are all that it sees in usage logs."""
    if (user_id is None) != unlink:
        raise click.UsageError("Give the application's id of the user, or --none.")
    with opened() as storage:
        storage.accounts.get(name)
        title = ""
        if user_id is not None:
            title = storage.logs.usage.user_named(storage.databases.get(database).name, user_id)
        storage.accounts.link(name, database, user_id or "")
        if user_id is None:
            audited(storage, "account_unlinked", name, database=database)
        else:
            audited(storage, "account_linked", name, database=database, user=user_id)
    if as_json:
        return answers.document({"name": name, "database": database, "user": user_id, "title": title or None})
    if user_id is None:
        return answers.line(f"{name} sees no usage logs of {database} any more.")
    return answers.line(f"{name} sees the requests of {title or user_id} in the usage logs of {database}.")
