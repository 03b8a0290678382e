"""POST /api/admin/log-cleanup/manual as claude-code-hub's clients send it; and never more deleted than was meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.hub import a_hub
from tests.servers import Server
from tests.webapp.conftest import NO_JSON
from webapp import create_app

pytestmark = pytest.mark.postgres
PATH = "/api/admin/log-cleanup/manual"
ALL = list(range(1, 15))


@pytest.fixture
def hub_database(server: Server) -> Iterator[Connection]:
    with a_hub(server) as connection:
        yield connection


@pytest.fixture
def script(working: Storage, hub_database: Connection) -> FlaskClient:
    """A program with a token of an admin."""
    working.databases.add("log", hub_database, by="tests")
    client = create_app(working).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {working.accounts.create_token('ana')}"
    return client


def ids(connection: Connection) -> list[int]:
    with connect(connection, application="tests") as session:
        return [row[0] for row in session.execute("SELECT id FROM message_request ORDER BY id")]


def send(script: FlaskClient, body: Any) -> TestResponse:
    return script.post(f"{PATH}?database=log", json=body)


def test_it_answers_when_all_is_done(script: FlaskClient, hub_database: Connection) -> None:
    body = {"beforeDate": "2026-11-21T10:00:00.000Z"}
    counted = send(script, {**body, "dryRun": True})
    assert counted.status_code == 200 and counted.json
    assert counted.json.items() >= {"success": True, "totalDeleted": 8, "batchCount": 0}.items()
    assert ids(hub_database) == ALL
    done = send(script, body).json
    assert done and done.pop("durationMs") >= 0
    assert done == {"success": True, "totalDeleted": 8, "batchCount": done["batchCount"], "softDeletedPurged": 1,
                    "vacuumPerformed": True}  # fmt: skip
    assert done["batchCount"] >= 1 and ids(hub_database) == [7, 8, 11, 12, 13, 14]


@pytest.mark.parametrize(
    "body",
    [{}, {"dryRun": False}, {"dryRun": True}, {"userIds": [], "providerIds": [], "statusCodes": []},
     {"onlyBlocked": False}, {"beforeDate": None, "statusCodeRange": None}],
)  # fmt: skip
def test_nothing_is_deleted_without_a_condition(script: FlaskClient, hub_database: Connection, body: Any) -> None:
    answer = send(script, body)
    assert answer.status_code == 200 and answer.json
    assert answer.json["success"] is False and answer.json["totalDeleted"] == 0
    assert "没有删除任何数据" in answer.json["error"]
    assert ids(hub_database) == ALL


@pytest.mark.parametrize(
    ("body", "gone"),
    [
        ({"beforeDate": "2026-11-20T12:00:00Z"}, [1, 2, 3, 4]),
        ({"afterDate": "2026-11-21T23:59:59.999999Z"}, [13, 14]),
        ({"userIds": [2, 99]}, [3, 5, 11, 13, 14]),
        ({"providerIds": [0]}, [4]),
        ({"statusCodes": [403, 529]}, [4, 13]),
        ({"statusCodeRange": {"min": 429, "max": 529}}, [2, 13]),
        ({"onlyBlocked": True}, [4]),
        ({"userIds": [1], "statusCodes": [200], "beforeDate": "2026-11-20T20:00:00+08:00"}, [1]),
    ],
)
def test_every_field_is_a_condition_and_all_have_to_be_fulfilled(
    script: FlaskClient, hub_database: Connection, body: Any, gone: list[int]
) -> None:
    counted, done = send(script, {**body, "dryRun": True}).json, send(script, body).json
    assert counted and done and counted["totalDeleted"] == done["totalDeleted"] == len(gone)
    assert ids(hub_database) == [number for number in ALL if number not in gone]


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ({"beforeDate": "yesterday"}, "invalid_string", ["beforeDate"]),
        ({"beforeDate": "2026-11-21T10:00:00"}, "invalid_string", ["beforeDate"]),
        ({"beforeDate": 1763719200}, "invalid_string", ["beforeDate"]),
        ({"beforeDate": "9999-12-31T23:59:59-14:00"}, "invalid_string", ["beforeDate"]),
        ({"userIds": "2"}, "invalid_type", ["userIds"]),
        ({"userIds": [2, "3"]}, "invalid_type", ["userIds", "1"]),
        ({"statusCodes": [True]}, "invalid_type", ["statusCodes", "0"]),
        ({"statusCodes": [200.5]}, "invalid_type", ["statusCodes", "0"]),
        ({"providerIds": [10**12]}, "invalid_type", ["providerIds", "0"]),
        ({"statusCodeRange": {"min": 400}}, "invalid_type", ["statusCodeRange", "max"]),
        ({"statusCodeRange": {"min": 500, "max": 400}}, "custom", ["statusCodeRange"]),
        ({"statusCodeRange": [400, 500]}, "invalid_type", ["statusCodeRange"]),
        ({"onlyBlocked": "yes"}, "invalid_type", ["onlyBlocked"]),
        ({"beforeDate": "2026-11-21T10:00:00Z", "userId": [2]}, "unrecognized_keys", ["userId"]),
        ([], "invalid_type", []),
        ("beforeDate", "invalid_type", []),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_deleted(
    script: FlaskClient, hub_database: Connection, body: Any, code: str, path: list[str]
) -> None:
    """A misspelt condition, too: without it, more would be deleted than was meant."""
    answer = send(script, body)
    assert answer.status_code == 400 and answer.json
    assert answer.json["error"] == "请求参数格式错误"
    assert [(issue["code"], issue["path"]) for issue in answer.json["details"]] == [(code, path)]
    assert answer.json["details"][0]["message"]
    assert ids(hub_database) == ALL


def test_a_body_that_is_no_json_is_no_condition(script: FlaskClient, hub_database: Connection) -> None:
    for sent in (b"", b"{", b'{"beforeDate": NaN}', *NO_JSON):
        answer = script.post(f"{PATH}?database=log", data=sent, content_type="application/json")
        assert answer.status_code == 400
    assert ids(hub_database) == ALL


def test_who_is_not_signed_in_is_unauthorized(working: Storage) -> None:
    answer = create_app(working).test_client().post(PATH, json={"userIds": [1]})
    assert (answer.status_code, answer.json) == (401, {"error": "Unauthorized"})


def test_a_failure_inside_is_said_with_200_and_says_what_is_gone(script: FlaskClient, hub_database: Connection) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute("CREATE TABLE notes (request_id int REFERENCES message_request ON DELETE CASCADE)")
    answer = send(script, {"statusCodes": [200]})
    assert answer.status_code == 200 and answer.json
    assert answer.json["success"] is False and "notes" in answer.json["error"]
    assert ids(hub_database) == ALL
    missing = script.post(f"{PATH}?database=nowhere", json={"userIds": [1]})
    assert missing.status_code == 404
