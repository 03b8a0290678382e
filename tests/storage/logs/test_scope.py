"""Whose rows an account sees."""

from __future__ import annotations

from typing import Any

import pytest

from storage.accounts.account import Account
from storage.accounts.permissions import Role
from storage.errors import Denied
from storage.logs import scope
from storage.logs.filters import UsageFilter
from tests.builders import NOON

EVERYTHING = UsageFilter(user="7", key="1", session="s", not_200=True)


def an_account(role: Role = Role.USER, **linked: str) -> Account:
    return Account(name="ben", role=role, password_hash="", created_at=NOON, password_changed_at=NOON, linked=linked)


def test_an_admin_sees_what_is_asked_for_linked_or_not() -> None:
    for account in (an_account(Role.ADMIN), an_account(Role.ADMIN, hub="2")):
        assert scope.allowed(EVERYTHING, account, "hub") == EVERYTHING
        assert scope.own_user(account, "hub") == ""


def test_a_user_sees_its_own_rows_and_the_rest_of_the_filter_stays() -> None:
    wanted = UsageFilter(key="1", session="s", not_200=True)
    assert scope.allowed(wanted, an_account(hub="7"), "hub") == EVERYTHING
    assert scope.allowed(EVERYTHING, an_account(hub="7"), "hub") == EVERYTHING


@pytest.mark.parametrize("linked", [{}, {"wiki": "7"}, {"hub": ""}])
def test_a_user_who_is_not_linked_to_this_database_sees_nothing_and_is_told_why(linked: dict[str, Any]) -> None:
    for wanted in (UsageFilter(), UsageFilter(user="7")):
        with pytest.raises(Denied, match=r"not linked to a user of hub.* Ask an admin"):
            scope.allowed(wanted, an_account(**linked), "hub")


@pytest.mark.parametrize("user", ["1", "07", "7 ", "77", "7 OR true"])
def test_another_users_rows_are_refused_however_the_id_is_written(user: str) -> None:
    with pytest.raises(Denied, match="another user's"):
        scope.allowed(UsageFilter(user=user), an_account(hub="7"), "hub")


def test_a_record_from_before_there_were_links_can_be_read() -> None:
    old = {key: value for key, value in an_account().to_json().items() if key != "linked"}
    assert Account.from_json(old) == an_account()
    assert Account.from_json(an_account(hub="7").to_json()) == an_account(hub="7")
