"""GET /api/admin/database/status: six fields, always 200, within a second, for admins alone."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from storage.opening import Storage
from storage.postgres.connection import Connection
from tests.webapp.conftest import Browser

PATH = "/api/admin/database/status"
FIELDS = {"isAvailable", "containerName", "databaseName", "databaseSize", "tableCount", "postgresVersion"}


@pytest.fixture
def silent() -> Iterator[Connection]:
    """A server that accepts a connection and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Connection(host="127.0.0.1", port=listener.getsockname()[1], user="app", dbname="shop_db")


def test_a_server_that_is_down_is_told_with_200(admin: Browser) -> None:
    answer = admin.get(PATH)
    assert answer.status_code == 200
    assert answer.json == {
        "isAvailable": False,
        "containerName": "127.0.0.1:1",
        "databaseName": "nothing",
        "databaseSize": "N/A",
        "tableCount": 0,
        "postgresVersion": "N/A",
        "error": "Nothing answers at 127.0.0.1:1.",
    }


def test_a_silent_server_is_told_within_a_second(admin: Browser, storage: Storage, silent: Connection) -> None:
    storage.databases.add("shop", silent, by="ana")
    for path in (f"{PATH}?database=shop", "/databases/shop/status"):
        # The best of three: other tests may have the processor.
        took = []
        for _ in range(3):
            started = time.monotonic()
            answer = admin.get(path)
            took.append(time.monotonic() - started)
            assert answer.status_code == 200 and "does not answer" in answer.text
        assert min(took) < 1, took


def test_it_is_for_admins_by_session_or_token(client: Browser, user: Browser, storage: Storage) -> None:
    assert client.get(PATH).status_code == 401
    assert user.get(PATH).status_code == 403
    token = storage.accounts.create_token("ana")
    assert client.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    token = storage.accounts.create_token("ben")
    assert client.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 403
    assert client.get(PATH, headers={"Authorization": "Bearer made-up"}).status_code == 401


def test_an_unknown_database_is_404_in_json(admin: Browser) -> None:
    answer = admin.get(f"{PATH}?database=nope")
    assert answer.status_code == 404 and answer.json


@pytest.mark.postgres
def test_a_server_that_answers_gives_its_facts(admin: Browser, storage: Storage, empty_database: Connection) -> None:
    storage.databases.add("shop", empty_database, by="ana")
    answer = admin.get(f"{PATH}?database=shop").json
    assert answer and set(answer) == FIELDS and answer["isAvailable"] is True
    assert answer["databaseName"] == empty_database.dbname and answer["containerName"] == empty_database.address
    assert answer["databaseSize"].endswith("kB") and answer["tableCount"] == 0
    assert answer["postgresVersion"][:2].isdigit()
