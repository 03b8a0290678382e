"""Sessions: which there are, what is known of their requests while the store has it, when it has not, and when it is
gone; and the JSON that comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from storage.errors import Invalid, NotFound, Unavailable
from storage.logs.session_query import Behind
from storage.logs.session_store import NoStore
from storage.logs.session_stream import SessionStream
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from tests.sessions import BODY, HEADERS, KEY, SECRETS, fill
from tests.storage.locks.conftest import AServer

pytestmark = pytest.mark.postgres

NASTY = '+"a",\r\nb'
"""An id as a client may make it up."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[AServer]:
    server = AServer(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
def with_store(hub: Storage, redis: AServer) -> Storage:
    """The hub, whose Redis is known and empty."""
    hub.databases.change("hub", session_store_url=redis.url)
    return hub


def read(stream: SessionStream) -> str:
    with closing(stream):
        pieces = [stream.first]
        while piece := stream.read():
            pieces.append(piece)
    assert stream.sent == sum(map(len, pieces))
    return b"".join(pieces).decode()


def logged(database: Connection, session: str, numbers: range) -> None:
    """Requests of a session, one a minute, in the usage log."""
    with connect(database, application="tests") as asked:
        asked.execute(
            "INSERT INTO message_request (provider_id, user_id, key, session_id, request_sequence, created_at)"
            " SELECT 1, 1, 'sk-ana', %s, n, '2026-11-22 06:00+00'::timestamptz + n * interval '1 minute'"
            " FROM generate_series(%s::int, %s::int) AS n",
            [session, numbers.start, numbers.stop - 1],
        )


def test_the_newest_sessions_come_first_once_each_without_what_the_application_deleted(hub: Storage) -> None:
    page = hub.logs.sessions.page("hub")
    assert [one.session for one in page.sessions] == ["s-lin", NASTY, "s-nobody", "s-left", "s-race", "s-ana"]
    lin = page.sessions[0]
    assert (lin.requests, lin.user, lin.newest_sequence) == (4, "Lin, Wei", 4)
    assert lin.first == datetime(2026, 11, 20, 11, tzinfo=UTC) and lin.last == datetime(2026, 11, 22, tzinfo=UTC)
    assert str(lin.cost) == "0.300000000000001"
    assert page.next is None


def test_requests_without_a_session_are_none(hub: Storage, hub_database: Connection) -> None:
    before = hub.logs.sessions.page("hub").sessions
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO message_request (user_id, key, provider_id, session_id)"
            " VALUES (1, 'sk-ana', 1, ''), (1, 'sk-ana', 1, NULL)"
        )
    assert hub.logs.sessions.page("hub").sessions == before


def test_of_two_rows_with_one_number_the_newest_has_the_special_settings(
    hub: Storage, hub_database: Connection
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO message_request (user_id, key, provider_id, session_id, request_sequence, special_settings)"
            " VALUES (1, 'k', 1, 's-twice', 7, '\"older\"'), (1, 'k', 1, 's-twice', 7, '\"newer\"')"
        )
    found = hub.logs.sessions.request("hub", "s-twice", 7).details.special_settings
    assert found is not None and found.text == '"newer"'


def test_pages_of_sessions_hold_each_once_also_when_old_requests_of_new_sessions_lie_between(hub: Storage) -> None:
    found, after = [], None
    while True:
        page = hub.logs.sessions.page("hub", after=after, size=2)
        found += [one.session for one in page.sessions]
        after = page.next
        if after is None:
            break
        assert len(page.sessions) == 2
    assert found == [one.session for one in hub.logs.sessions.page("hub").sessions]


def test_a_database_without_a_usage_log_has_no_sessions(hub: Storage) -> None:
    with pytest.raises(NotFound, match="No application map fits"):
        hub.logs.sessions.page("shop")


def test_a_session_has_its_requests_in_sequence_with_what_the_usage_log_knows(hub: Storage) -> None:
    page = hub.logs.sessions.show("hub", "s-lin")
    assert [one.sequence for one in page.requests] == [1, 2, 3, 4]
    third = page.requests[2]
    assert (third.values["model"], third.values["status"], third.values["retries"]) == ("claude-opus-4-1", 529, 3)
    assert page.requests[1].values["status"] is None
    assert isinstance(page.trouble, NoStore) and "not known here" in str(page.trouble.cause)
    assert page.chosen == 4


def test_a_session_goes_on_where_a_page_ended_also_within_one_number(hub: Storage, hub_database: Connection) -> None:
    logged(hub_database, "s-lin", range(2, 4))
    found, after, pages = [], None, 0
    while pages == 0 or after:
        page = hub.logs.sessions.show("hub", "s-lin", after=after and Behind.from_text(after.to_text()), size=2)
        found += [(one.sequence, one.id) for one in page.requests]
        after, pages = page.next, pages + 1
    assert [number for number, _ in found] == [1, 2, 2, 3, 3, 4]
    assert len(set(found)) == 6 and pages == 3


def test_what_the_store_has_is_shown_and_nothing_secret_of_it(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, "s-lin", 4)
    page = with_store.logs.sessions.show("hub", "s-lin")
    assert page.trouble is None
    assert [one.kept for one in page.requests] == [False, False, False, True]
    view = with_store.logs.sessions.request("hub", "s-lin", 4)
    details = view.details
    assert view.kept and (details.method, details.status) == ("POST", 200)
    assert details.headers is not None and details.headers["user-agent"] == HEADERS["user-agent"]
    assert details.body is not None and json.loads(details.body.text) == BODY and not details.body.cut
    assert details.special_settings is not None and "thinking_budget" in details.special_settings.text
    assert not any(secret in repr(view) for secret in SECRETS)
    [newest, *others] = with_store.logs.sessions.page("hub").sessions
    assert newest.kept and not any(one.kept for one in others)


def test_a_session_that_expired_is_told_from_the_usage_log_alone(
    with_store: Storage, redis: AServer, hub_database: Connection
) -> None:
    with connect(hub_database, application="tests") as asked:
        asked.execute('UPDATE message_request SET special_settings = \'[{"type": "budget"}]\' WHERE id = 14')
    fill(redis.client, "s-lin", 4)
    for key in redis.client.scan_iter("session:*"):
        redis.client.pexpire(key, 0)
    view = with_store.logs.sessions.request("hub", "s-lin", 4)
    assert not view.kept and view.trouble is None
    assert view.details.headers is None and view.details.body is None
    assert view.details.special_settings is not None and '"type": "budget"' in view.details.special_settings.text
    assert not any(one.kept for one in with_store.logs.sessions.show("hub", "s-lin").requests)
    with pytest.raises(NotFound, match=r"Nothing was exported. .*no details of this request any more"):
        with_store.logs.sessions.export_request("hub", "s-lin", 4)


def test_a_store_that_is_down_is_named_and_the_usage_log_remains(with_store: Storage, redis: AServer) -> None:
    redis.kill()
    page = with_store.logs.sessions.page("hub")
    assert page.sessions and page.trouble is not None
    assert str(page.trouble.cause) == (
        f"The application's session store at redis://127.0.0.1:{redis.port}/0 does not answer."
    )
    shown = with_store.logs.sessions.show("hub", "s-lin")
    assert len(shown.requests) == 4 and isinstance(shown.trouble, Unavailable)
    for export in (with_store.logs.sessions.export_request, with_store.logs.sessions.export_session):
        with pytest.raises(Unavailable, match="does not answer"):
            export("hub", "s-lin")
    redis.come_back()
    assert with_store.logs.sessions.page("hub").trouble is None


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_store_that_does_not_let_us_in_says_so_without_the_password(
    with_store: Storage, redis: AServer, password: str
) -> None:
    redis.client.config_set("requirepass", "right")
    address = f"redis://:{password}@127.0.0.1:{redis.port}/0" if password else redis.url.reveal
    with_store.databases.change("hub", session_store_url=Secret(address))
    trouble = with_store.logs.sessions.page("hub").trouble
    assert trouble is not None and "does not let itself be read" in str(trouble)
    assert "wrong@" not in str(trouble) + trouble.words


def test_a_session_that_only_the_store_knows_can_be_looked_at(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, "s-new", 2)
    fill(redis.client, "s-new", 5, count=7)
    page = with_store.logs.sessions.show("hub", "s-new")
    assert page.summary is None
    assert [(one.sequence, one.kept, one.id) for one in page.requests] == [(2, True, None), (5, True, None)]


def test_requests_that_the_usage_log_lacks_stand_in_their_place(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, "s-lin", 6)
    fill(redis.client, "s-ana", 3)
    assert [one.sequence for one in with_store.logs.sessions.show("hub", "s-lin").requests] == [1, 2, 3, 4, 6]
    assert [one.sequence for one in with_store.logs.sessions.show("hub", "s-lin", size=3).requests] == [1, 2, 3]


def test_many_numbers_that_nobody_logged_are_looked_through_page_by_page(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, "s-long", 600)
    fill(redis.client, "s-long", 1200)
    document = json.loads(read(with_store.logs.sessions.export_session("hub", "s-long")))
    assert [one["sequence"] for one in document["requests"]] == [600, 1200]


@pytest.mark.parametrize("session", ["s-of-nobody-at-all", "s-deleted", "*", "s-lin:req:1"])
def test_a_session_that_nobody_knows_is_not_found(with_store: Storage, redis: AServer, session: str) -> None:
    fill(redis.client, "s-lin", 4)
    for ask in (with_store.logs.sessions.show, with_store.logs.sessions.export_session):
        with pytest.raises(NotFound, match="There is no session"):
            ask("hub", session)


@pytest.mark.parametrize("session", ["", "a\0b", "x" * 257])
def test_what_cannot_be_an_id_is_refused(hub: Storage, session: str) -> None:
    with pytest.raises(Invalid, match="not the id of a session"):
        hub.logs.sessions.show("hub", session)


def test_an_id_with_quotes_and_line_breaks_is_an_id_like_others(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, NASTY, 1)
    assert [one.kept for one in with_store.logs.sessions.show("hub", NASTY).requests] == [True]
    document = json.loads(read(with_store.logs.sessions.export_session("hub", NASTY)))
    assert document["sessionId"] == NASTY


def test_one_request_is_exported_as_claude_code_hub_does_it(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, "s-lin", 4)
    document = with_store.logs.sessions.export_request("hub", "s-lin", 4)
    assert list(document) == ["sessionId", "sequence", "meta", "headers", "body", "specialSettings"]
    assert list(document["meta"]) == ["clientUrl", "upstreamUrl", "method"]
    assert (document["sessionId"], document["sequence"], document["body"]) == ("s-lin", 4, BODY)
    assert document["specialSettings"] == [{"type": "thinking_budget", "hit": True}]
    assert document["meta"]["method"] == "POST" and document["meta"]["upstreamUrl"].endswith(
        "@relay.example/v1/messages"
    )
    assert list(document["headers"]) == list(HEADERS)
    assert not any(secret in json.dumps(document) for secret in SECRETS)


def test_an_admin_who_says_so_gets_secrets_as_they_are(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, "s-lin", 4)
    document = with_store.logs.sessions.export_request("hub", "s-lin", 4, reveal=True)
    assert document["headers"] == HEADERS
    assert KEY in read(with_store.logs.sessions.export_session("hub", "s-lin", reveal=True))


def test_without_a_number_the_newest_request_with_details_is_exported(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, "s-lin", 2)
    fill(redis.client, "s-lin", 3, count=9)
    assert with_store.logs.sessions.export_request("hub", "s-lin")["sequence"] == 3


def test_without_a_store_one_request_is_not_exported_and_it_is_said_why(hub: Storage) -> None:
    with pytest.raises(NoStore, match="The session store of Claude Code Hub is not known here"):
        hub.logs.sessions.export_request("hub", "s-lin", 1)


def test_a_whole_session_is_exported_in_sequence_with_what_each_source_knows(
    with_store: Storage, redis: AServer
) -> None:
    fill(redis.client, "s-lin", 4)
    text = read(with_store.logs.sessions.export_session("hub", "s-lin"))
    document = json.loads(text)
    assert text == json.dumps(document, ensure_ascii=False, indent=2)
    assert list(document) == ["sessionId", "requests"]
    assert [one["sequence"] for one in document["requests"]] == [1, 2, 3, 4]
    first, *_, last = document["requests"]
    assert (first["headers"], first["body"]) == (None, None)
    assert first["log"]["cost"] == "0.000000000000001" and first["log"]["time"] == "2026-11-20T11:00:00.000Z"
    assert last["body"] == BODY and last["log"]["status"] == 200
    assert not any(secret in text for secret in SECRETS)


def test_a_session_of_more_requests_than_one_page_is_exported_whole(
    with_store: Storage, redis: AServer, hub_database: Connection
) -> None:
    logged(hub_database, "s-many", range(1, 451))
    fill(redis.client, "s-many", 333, count=450)
    document = json.loads(read(with_store.logs.sessions.export_session("hub", "s-many")))
    assert [one["sequence"] for one in document["requests"]] == list(range(1, 451))
    assert [one["sequence"] for one in document["requests"] if one["body"]] == [333]


def test_an_export_breaks_off_when_the_store_dies_under_it(
    with_store: Storage, redis: AServer, hub_database: Connection
) -> None:
    logged(hub_database, "s-many", range(1, 451))
    fill(redis.client, "s-many", 333, count=450)
    with closing(with_store.logs.sessions.export_session("hub", "s-many")) as stream:
        redis.kill()
        with pytest.raises(Unavailable, match="does not answer"):
            while stream.read():
                pass


def test_a_body_of_ten_megabytes_is_shown_by_its_beginning_and_exported_whole(
    with_store: Storage, redis: AServer
) -> None:
    body = {"messages": ["河" * 1000] * 3500}
    fill(redis.client, "s-lin", 4, body=body)
    shown = with_store.logs.sessions.request("hub", "s-lin", 4).details.body
    assert shown is not None and shown.cut and shown.size > 10_000_000 and len(shown.text) <= 65536
    assert with_store.logs.sessions.export_request("hub", "s-lin", 4)["body"] == body


@pytest.mark.parametrize(
    ("stored", "exported"),
    [
        ("not JSON", "not JSON"),
        ('{"n": NaN}', '{"n": NaN}'),
        ('{"n": 1e999}', '{"n": 1e999}'),
        ("[" * 20_000, "[" * 20_000),
        ("9" * 5000, "9" * 5000),
        ('{"half": "\\ud83d"}', {"half": "\ud83d"}),
        ('{"n": 12345678901234567890, "f": 1.5}', {"n": 12345678901234567890, "f": 1.5}),
        ("null", None),
    ],
)
def test_whatever_a_body_holds_the_page_and_the_export_survive_it(
    with_store: Storage, redis: AServer, stored: str, exported: Any
) -> None:
    fill(redis.client, "s-lin", 4)
    redis.client.set("session:s-lin:req:4:requestBody", stored)
    assert with_store.logs.sessions.request("hub", "s-lin", 4).details.body is not None
    assert with_store.logs.sessions.export_request("hub", "s-lin", 4)["body"] == exported
    document = json.loads(read(with_store.logs.sessions.export_session("hub", "s-lin")))
    assert document["requests"][-1]["body"] == exported


def test_headers_that_are_no_document_and_keys_of_another_kind_harm_nobody(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, "s-lin", 4)
    redis.client.set("session:s-lin:req:4:reqHeaders", f"authorization: Bearer {KEY}")
    redis.client.delete("session:s-lin:req:4:clientReqMeta")
    redis.client.rpush("session:s-lin:req:4:clientReqMeta", "a list")
    view = with_store.logs.sessions.request("hub", "s-lin", 4)
    assert KEY not in repr(view) and view.details.client_url is None and view.details.body is not None


def test_nothing_is_ever_written_into_the_store(with_store: Storage, redis: AServer) -> None:
    fill(redis.client, "s-lin", 4)
    redis.client.config_resetstat()
    logs = with_store.logs.sessions
    logs.page("hub")
    logs.show("hub", "s-lin")
    logs.request("hub", "s-lin", 4)
    logs.export_request("hub", "s-lin")
    read(logs.export_session("hub", "s-lin"))
    asked = {name.removeprefix("cmdstat_").partition("|")[0] for name in redis.client.info("commandstats")}
    assert asked <= {"get", "exists", "strlen", "getrange", "hello", "client", "info", "config", "auth", "select"}
