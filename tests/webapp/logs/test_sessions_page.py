"""The pages of sessions and their exports: for admins alone, useful without a store, and never with a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from storage.opening import Storage
from tests.sessions import BODY, HEADERS, SECRETS, fill
from tests.storage.locks.conftest import AServer
from tests.webapp.conftest import Browser

pytestmark = pytest.mark.postgres

HTMX = {"HX-Request": "true"}
SESSION = "/databases/hub/logs/session?id=s-lin"
ONE = "/databases/hub/logs/session/request.json?id=s-lin"
ALL = "/databases/hub/logs/session/requests.json?id=s-lin"
ADDRESSES = ("/databases/hub/logs/sessions", SESSION, f"{SESSION}&sequence=4", f"{ONE}&sequence=4", ONE, ALL)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[AServer]:
    server = AServer(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
def store(hub: Storage, redis: AServer) -> AServer:
    """The hub's Redis, with the fourth request of s-lin in it."""
    hub.databases.change("hub", session_store_url=redis.url)
    fill(redis.client, "s-lin", 4)
    return redis


def test_sessions_are_for_admins(
    app: Flask, linked: Storage, store: AServer, client: Browser, user: Browser, admin: Browser
) -> None:
    for address in ADDRESSES:
        assert admin.get(address).status_code == 200, address
        assert user.get(address).status_code == 403, address
        assert client.get(address).status_code == 303, address
    assert "Sessions" not in user.get("/databases/hub/logs").text


def test_without_a_store_the_pages_say_what_is_missing_and_show_the_rest(hub: Storage, admin: Browser) -> None:
    page = admin.get("/databases/hub/logs/sessions").text
    assert "Only what the usage log knows is shown, without headers and bodies." in page
    assert "The session store of Claude Code Hub is not known here." in page
    assert "s-lin" in page and "Lin, Wei" in page and "s-deleted" not in page
    session = admin.get(SESSION).text
    assert "claude-opus-4-1" in session and "529" in session and "Its details could not be asked for." in session


def test_a_request_is_shown_with_its_secrets_masked(store: AServer, admin: Browser) -> None:
    page = admin.get(SESSION).text
    assert "claude-cli/2.0.1 (external)" in page and "sk-m…8Kz1" in page
    assert "你好 &lt;b&gt;&amp;amp;" in page, "a body is text, and no part of the page"
    assert "thinking_budget" in page
    for address in ADDRESSES:
        assert not any(secret in admin.get(address).text for secret in SECRETS), address


def test_htmx_gets_another_request_alone(store: AServer, admin: Browser) -> None:
    fragment = admin.get(f"{SESSION}&sequence=4", headers=HTMX).text
    assert fragment.lstrip().startswith("<section") and "Bearer sk-m…8Kz1" in fragment
    gone = admin.get(f"{SESSION}&sequence=2", headers=HTMX).text
    assert "those of this one are gone" in gone


def test_a_store_that_died_is_named_and_the_table_stays(store: AServer, admin: Browser) -> None:
    store.kill()
    page = admin.get(SESSION)
    assert page.status_code == 200
    assert f"The application&#39;s session store at redis://127.0.0.1:{store.port}/0 does not answer." in page.text
    assert "claude-opus-4-1" in page.text
    assert admin.get(ALL).status_code == 503


def test_one_request_is_a_file_as_claude_code_hub_names_and_writes_it(store: AServer, admin: Browser) -> None:
    answer = admin.get(f"{ONE}&sequence=4")
    assert answer.headers["Content-Disposition"] == "attachment; filename=session-s-lin-seq-4-request.json"
    assert answer.mimetype == "application/json"
    document = json.loads(answer.text)
    assert answer.text == json.dumps(document, ensure_ascii=False, indent=2)
    assert list(document) == ["sessionId", "sequence", "meta", "headers", "body", "specialSettings"]
    assert document["body"] == BODY and document["sequence"] == 4
    assert admin.get(ONE).headers["Content-Disposition"] == "attachment; filename=session-s-lin-request.json"


def test_the_name_of_a_file_has_eight_letters_of_the_id_and_no_others(store: AServer, admin: Browser) -> None:
    fill(store.client, '../"a\r\nb-and-more', 1)
    answer = admin.get("/databases/hub/logs/session/request.json?id=../%22a%0D%0Ab-and-more")
    assert answer.headers["Content-Disposition"] == "attachment; filename=session-__a__b-request.json"


def test_a_whole_session_is_one_document(store: AServer, admin: Browser) -> None:
    answer = admin.get(ALL)
    assert answer.headers["Content-Disposition"] == "attachment; filename=session-s-lin-requests.json"
    assert [one["sequence"] for one in json.loads(answer.text)["requests"]] == [1, 2, 3, 4]


def test_secrets_are_exported_only_to_who_says_so_and_that_is_recorded(
    hub: Storage, store: AServer, admin: Browser
) -> None:
    assert json.loads(admin.get(f"{ONE}&sequence=4&secrets=shown").text)["headers"] == HEADERS
    assert SECRETS[0] in admin.get(f"{ALL}&secrets=shown").text
    for wish in ("1", "true", "masked"):
        assert admin.get(f"{ONE}&sequence=4&secrets={wish}").status_code == 422
    admin.get(f"{ONE}&sequence=4")
    told = [event.facts for event in hub.audit.newest_first() if event.action == "session_exported"]
    assert told == [
        {"session": "s-lin", "sequence": 4},
        {"session": "s-lin", "secrets": "shown"},
        {"session": "s-lin", "sequence": 4, "secrets": "shown"},
    ]


def test_details_that_are_gone_are_not_exported_and_it_is_said_why(store: AServer, admin: Browser) -> None:
    answer = admin.get(f"{ONE}&sequence=1")
    assert answer.status_code == 404 and "Nothing was exported." in answer.text


def test_a_session_is_found_by_its_exact_id(store: AServer, admin: Browser) -> None:
    assert admin.get("/databases/hub/logs/session?id=%20s-ana%20").status_code == 200
    for session in ("s-an", "s%25", ""):
        assert admin.get(f"/databases/hub/logs/session?id={session}").status_code in (404, 422)


@pytest.mark.parametrize("what", ["after=x", "after=1_", "sequence=-1", "sequence=four"])
def test_an_address_that_says_nothing_sensible_is_refused(hub: Storage, admin: Browser, what: str) -> None:
    assert admin.get(f"{SESSION}&{what}").status_code == 422


def test_a_database_of_no_application_says_so(hub: Storage, admin: Browser) -> None:
    assert admin.get("/databases/nothing/logs/sessions").status_code == 503
