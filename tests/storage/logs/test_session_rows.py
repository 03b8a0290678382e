"""Sessions of an application that keeps the details of requests in a table of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.applications import maps
from storage.errors import Invalid, NotFound
from storage.logs.sessions import SessionLogs
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.sessions import BODY, HEADERS, KEY, SECRETS
from tests.storage.logs.test_sessions import read

pytestmark = pytest.mark.postgres

MAP = """
name = "own"
title = "Own"
recognise = ["message_request"]

[usage]
table = "message_request"
time_column = "created_at"
session = "session_id"
session_sequence = "request_sequence"

[[usage.columns]]
name = "status"
heading = "Status"
kind = "integer"
sql = "r.status_code"

[sessions.rows]
table = "details"
session = "of"
sequence = "number"
client = "jsonb_build_object('url', d.url, 'method', d.method)"
headers = "d.headers"
body = "d.body"
"""


@pytest.fixture
def sessions(hub: Storage, hub_database: Connection, tmp_path: Path) -> SessionLogs:
    """The sessions of the hub as this map describes them: of s-lin's requests, 1 and 5 have details."""
    with connect(hub_database, application="tests") as session:
        session.execute("CREATE TABLE details (of text, number int, url text, method text, headers jsonb, body text)")
        for number in (1, 5):
            session.execute(
                "INSERT INTO details VALUES ('s-lin', %s, 'https://hub.example/v1?key=hunter2', 'POST', %s, %s)",
                [number, json.dumps(HEADERS), json.dumps(BODY | {"n": number})],
            )
        session.execute("INSERT INTO details VALUES ('s-lin', 2, '/', 'GET', NULL, NULL)")
        session.execute("INSERT INTO details VALUES ('s-big', 1, '', '', '{}', %s)", ["河" * 100_000])
    (tmp_path / "own.toml").write_text(MAP)
    [own] = [one for one in maps.load_maps(tmp_path) if one.name == "own"]
    return SessionLogs(profile_of=hub.databases.get, applications=(own,))


def test_a_request_is_told_from_its_row_with_secrets_masked(sessions: SessionLogs) -> None:
    page = sessions.show("hub", "s-lin")
    assert page.trouble is None
    assert [(one.sequence, one.kept) for one in page.requests] == [
        (1, True),
        (2, False),
        (3, False),
        (4, False),
        (5, True),
    ]
    assert [one.session for one in sessions.page("hub").sessions if one.kept] == []
    view = sessions.request("hub", "s-lin", 1)
    assert view.kept and view.details.method == "POST" and view.details.headers and view.details.body
    assert json.loads(view.details.body.text) == BODY | {"n": 1}
    assert not any(secret in str(view) for secret in SECRETS)


def test_one_request_and_a_whole_session_are_exported_from_rows(sessions: SessionLogs) -> None:
    newest = sessions.export_request("hub", "s-lin")
    assert (newest["sequence"], newest["body"]["n"], newest["meta"]["method"]) == (5, 5, "POST")
    assert sessions.export_request("hub", "s-lin", 1, reveal=True)["headers"]["x-api-key"] == KEY
    with pytest.raises(NotFound, match="no details of this request"):
        sessions.export_request("hub", "s-lin", 2)
    document = json.loads(read(sessions.export_session("hub", "s-lin")))
    found = [(one["sequence"], one["body"] is not None, one["log"] is not None) for one in document["requests"]]
    assert found == [(1, True, True), (2, False, True), (3, False, True), (4, False, True), (5, True, False)]
    assert not any(secret in json.dumps(document) for secret in SECRETS)


def test_a_long_body_is_cut_on_the_page_and_whole_in_the_export(sessions: SessionLogs) -> None:
    body = sessions.request("hub", "s-big", 1).details.body
    assert body is not None and body.cut and body.size == 300_000 and set(body.text) == {"河"}
    assert sessions.export_request("hub", "s-big", 1)["body"] == "河" * 100_000


def test_what_is_typed_is_never_sql(sessions: SessionLogs) -> None:
    for text in ("'", "x' OR '1'='1", "\\", "%s", "{x}"):
        with pytest.raises(NotFound):
            sessions.show("hub", text)


def test_a_table_that_is_not_there_is_named_and_the_usage_log_remains(
    sessions: SessionLogs, hub_database: Connection
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute("DROP TABLE details")
    page = sessions.show("hub", "s-lin")
    assert len(page.requests) == 4 and page.trouble is not None
    assert "no table details" in str(page.trouble)


def test_a_map_names_a_store_or_a_table(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(MAP + "[sessions.store]\nbody = '{session}:{sequence}'\n")
    with pytest.raises(Invalid, match="it can only be one"):
        maps.load_maps(tmp_path)
