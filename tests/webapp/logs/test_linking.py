"""Linking an account to a user of an application: by an admin, in the browser and at the terminal."""

from __future__ import annotations

import pytest

from storage.opening import Storage
from storage.postgres.connection import Connection
from tests.hub import LIN, SUM
from tests.webapp.cli.conftest import Terminal
from tests.webapp.conftest import Browser

pytestmark = pytest.mark.postgres


def test_an_admin_chooses_among_the_users_of_the_application(hub: Storage, admin: Browser) -> None:
    assert "<option>hub</option>" in admin.get("/accounts/ben").text
    page = admin.get("/accounts/ben/link?database=hub").text
    assert "Lin, Wei (2)" in page and "never asked (5)" in page
    answer = admin.post("/accounts/ben/link", data={"database": "hub", "user": LIN})
    assert (answer.status_code, answer.location) == (303, "/accounts/ben")
    page = admin.get("/accounts/ben").text
    assert "ben sees the requests of Lin, Wei in the usage logs of hub." in page
    assert hub.accounts.get("ben").linked == {"hub": LIN}
    assert 'value="2" selected' in admin.get("/accounts/ben/link?database=hub").text


def test_unlinking_takes_the_logs_away_also_when_the_database_is_gone(linked: Storage, admin: Browser) -> None:
    linked.accounts.link("ben", "gone", "1")
    assert "user 1" in admin.get("/accounts/ben").text
    for database in ("gone", "hub"):
        assert admin.post("/accounts/ben/link", data={"database": database, "user": ""}).status_code == 303
    assert linked.accounts.get("ben").linked == {}


@pytest.mark.parametrize(("user", "status"), [("77", 404), ("1 OR true", 422), ("'", 422)])
def test_a_user_that_the_application_does_not_have_is_refused(
    hub: Storage, admin: Browser, user: str, status: int
) -> None:
    assert admin.post("/accounts/ben/link", data={"database": "hub", "user": user}).status_code == status
    assert admin.post("/accounts/ben/link", data={"database": "other", "user": LIN}).status_code == 404
    assert hub.accounts.get("ben").linked == {}


def test_nobody_links_themselves(hub: Storage, user: Browser) -> None:
    assert user.get("/accounts/ben/link?database=hub").status_code == 403
    assert user.post("/accounts/ben/link", data={"database": "hub", "user": LIN}).status_code == 403
    assert hub.accounts.get("ben").linked == {}


def test_who_was_linked_to_whom_is_in_the_audit_log(linked: Storage, admin: Browser) -> None:
    admin.post("/accounts/ben/link", data={"database": "hub", "user": SUM})
    admin.post("/accounts/ben/link", data={"database": "hub", "user": ""})
    found = [event for event in linked.audit.newest_first() if event.action.startswith("account_")]
    assert [(event.action, event.actor, event.subject) for event in found][:2] == [
        ("account_unlinked", "ana", "ben"),
        ("account_linked", "ana", "ben"),
    ]


def test_an_account_is_linked_and_unlinked_at_the_terminal(hub: Storage, hub_database: Connection) -> None:
    terminal = Terminal(hub.settings.data_folder)
    done = terminal("accounts", "link", "ben", "hub", LIN).good()
    assert done.out == "ben sees the requests of Lin, Wei in the usage logs of hub.\n"
    assert hub.accounts.get("ben").linked == {"hub": LIN}
    assert terminal("accounts", "link", "ben", "hub", "77").code == 3
    assert terminal("accounts", "link", "ben", "hub").code == 2
    assert terminal("accounts", "link", "ben", "hub", "--none", "--json").good().json["user"] is None
    assert hub.accounts.get("ben").linked == {}
