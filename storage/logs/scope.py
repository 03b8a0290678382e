"""Whose rows of a usage log an account sees: decided here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from storage.accounts.account import Account
from storage.accounts.permissions import Role
from storage.errors import Denied, say
from storage.logs.filters import UsageFilter
from storage.logs.usage import USAGE


def own_user(account: Account, database: str) -> str:
    """The application's user that is all the account may be told about; "" where it may see everybody's.

    Raises Denied for an account that is linked to no user of the database.
    """
    if account.role is Role.ADMIN:
        return ""
    own = account.linked.get(database)
    if not own:
        raise Denied(
            say("Your account is not linked to a user of %(database)s, so nobody can tell which requests are yours.",
                database=database),
            effect=say("Nothing was read."),
            advice=say("Ask an admin of this instance to link it: on the page of your account, among the accounts."),
        )  # fmt: skip
    return own


def visible(databases: Iterable[str], account: Account) -> list[str]:
    """Those of the databases of whose usage log the account may see anything."""
    return [name for name in databases if account.role is Role.ADMIN or account.linked.get(name)]


def allowed(wanted: UsageFilter, account: Account, database: str) -> UsageFilter:
    """What is asked for, as far as the account may see it: an admin all, any other its own user's rows.

    Raises Denied for an account that is linked to no user of the database, or that asks for the rows of another user.
    """
    own = own_user(account, database)
    if not own:
        return wanted
    if wanted.user not in ("", own):
        raise Denied(
            say("You may see your own requests, and these are another user's."),
            effect=say("Nothing was read."),
            advice=say("Leave the user out of the address."),
        )
    return wanted.of(own)


def refuse_wider(rows: Mapping[str, Any], account: Account, database: str) -> None:
    """Raise Denied for an export, by its parameters, with more in it than its owner may see by now: an account can be
    linked to another user, or cease to be an admin's, while a file is kept."""
    if account.role is Role.ADMIN:
        return
    if rows["of"] != USAGE or rows["filter"].get("user") != own_user(account, database):
        raise Denied(
            say("This export holds more than you may see now."),
            effect=say("Nothing was read."),
            advice=say("Make it again."),
        )
