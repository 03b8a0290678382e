"""The first set-up: one token, one person, once."""

from __future__ import annotations

import pytest

from storage.opening import Storage
from storage.secret import Secret
from tests.webapp.conftest import PASSWORD, Browser, an_app


@pytest.fixture
def newcomer(fresh_storage: Storage) -> Browser:
    client = an_app(fresh_storage).test_client()
    assert isinstance(client, Browser)
    return client


def test_without_an_account_every_page_leads_to_the_setup(newcomer: Browser) -> None:
    for path in ("/login", "/account", "/system"):
        assert newcomer.get(path).location == "/setup"


def test_without_the_token_nobody_becomes_admin(newcomer: Browser, fresh_storage: Storage) -> None:
    fresh_storage.accounts.setup_token()
    for token in ("", "a guess"):
        response = newcomer.post("/setup", data={"token": token, "name": "eve", "password": PASSWORD})
        assert response.status_code == 422
        assert "This is not the set-up token." in response.text
        assert PASSWORD not in response.text
    assert fresh_storage.accounts.all() == []


def test_a_wrong_token_is_said_before_anything_is_typed(newcomer: Browser, fresh_storage: Storage) -> None:
    token = fresh_storage.accounts.setup_token()
    wrong, right = newcomer.get("/setup?token=wrong"), newcomer.get(f"/setup?token={token}")
    assert wrong.status_code == 422 and "This is not the set-up token." in wrong.text
    assert right.status_code == 200 and "This is not the set-up token." not in right.text
    assert newcomer.get("/setup").status_code == 200


def test_before_the_token_was_made_an_empty_one_is_worth_nothing(newcomer: Browser, fresh_storage: Storage) -> None:
    newcomer.post("/setup", data={"token": "", "name": "eve", "password": PASSWORD})
    assert fresh_storage.accounts.all() == []


def test_the_token_makes_the_first_admin_and_signs_in(newcomer: Browser, fresh_storage: Storage) -> None:
    token = fresh_storage.accounts.setup_token()
    assert f'value="{token}"' in newcomer.get(f"/setup?token={token}").text
    response = newcomer.post("/setup", data={"token": token, "name": "Ana", "password": PASSWORD})
    assert (response.status_code, response.location) == (303, "/")
    assert newcomer.get("/accounts").status_code == 200


def test_setup_is_closed_afterwards(newcomer: Browser, fresh_storage: Storage) -> None:
    token = fresh_storage.accounts.setup_token()
    newcomer.post("/setup", data={"token": token, "name": "ana", "password": PASSWORD})
    assert newcomer.get("/setup").location == "/login"
    response = newcomer.post("/setup", data={"token": token, "name": "eve", "password": PASSWORD})
    assert response.status_code == 409
    assert [account.name for account in fresh_storage.accounts.all()] == ["ana"]


def test_a_weak_password_is_said_and_the_token_stays_good(newcomer: Browser, fresh_storage: Storage) -> None:
    token = fresh_storage.accounts.setup_token()
    response = newcomer.post("/setup", data={"token": token, "name": "ana", "password": "short"})
    assert response.status_code == 422
    assert "too short" in response.text
    assert newcomer.post("/setup", data={"token": token, "name": "ana", "password": PASSWORD}).status_code == 303


def test_with_admin_password_there_is_no_setup(newcomer: Browser, fresh_storage: Storage) -> None:
    fresh_storage.accounts.start(admin_password=Secret(PASSWORD))
    assert newcomer.get("/setup").location == "/login"
    assert newcomer.sign_in("admin").status_code == 303
