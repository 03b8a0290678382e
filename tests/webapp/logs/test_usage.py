"""The page of usage logs: what it shows, what its parts bring, and that nobody sees what is another's."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient

from storage.accounts.permissions import Role
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.hub import ANA, LIN, OF_LIN
from tests.webapp.conftest import Browser
from tests.webapp.seeding import register

pytestmark = pytest.mark.postgres

PAGE = "/databases/hub/logs"
PARTS = ("", "log", "usage", "requests", "totals")
OF_OTHERS = ("Ana", "left in spring", "=SUM(A1:A9)", "never asked", "laptop", ">sheet<", "old key", "sk-", "former",
             "s-ana", "s-race", "@cmd", "claude-sonnet-4-5", "-12.50", "secret-")  # fmt: skip
"""What the user `Lin, Wei` must not find anywhere: names, keys, sessions, providers and models of the others."""


def ask(browser: FlaskClient, part: str = "", address: str = PAGE, **query: Any) -> Any:
    headers = {"HX-Request": "true", "HX-Target": part} if part else {}
    return browser.get(address, query_string=query or None, headers=headers)


def rows(text: str) -> list[str]:
    """The text of each row of the table."""
    body = re.search(r"<tbody>(.*?)</tbody>", text, re.DOTALL)
    found = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL) if body else []
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in found]


def older(text: str) -> str | None:
    found = re.search(r'rel="next" href="([^"]+)"', text)
    return html.unescape(found[1]) if found else None


# What is shown


def test_the_page_shows_every_request_with_its_totals(hub: Storage, admin: Browser) -> None:
    page = ask(admin)
    assert page.status_code == 200
    assert len(rows(page.text)) == 13
    assert (
        "Sun 22 Nov, 00:59:59 Lin, Wei desk claude-opus-4-1 anthropic-eu, /v1/messages 529 after 3 retries"
        in (rows(page.text)[3])
    )
    assert ">13<small>61.5 % answered with 200" in page.text
    assert 'title="123459.546913578024691">$123,459.55<' in page.text


def test_a_blocked_request_and_one_without_an_answer_say_so(hub: Storage, admin: Browser) -> None:
    blocked, *_ = rows(ask(admin, status=403).text)
    assert "blocked" in blocked and "403" in blocked
    (unanswered, *_) = rows(ask(admin, status="not-200", session="s-lin", provider=2).text)
    assert "No answer" in unanswered


def test_the_filter_of_an_address_stands_in_the_form_and_times_are_the_instances(hub: Storage, admin: Browser) -> None:
    text = ask(admin, **{"from": "2026-11-21T23:59:59.999999Z", "user": LIN, "status": "not-200"}).text
    assert len(rows(text)) == 1
    assert 'name="from" id="filter-from" value="2026-11-22T00:59:59.999"' in text
    assert f'<option value="{LIN}" selected>Lin, Wei</option>' in text
    assert '<option value="not-200" selected>' in text


def test_a_time_that_is_typed_is_read_in_the_zone_of_the_instance(hub: Storage, admin: Browser) -> None:
    assert len(rows(ask(admin, **{"from": "2026-11-22T01:00"}).text)) == 1
    assert len(rows(ask(admin, **{"from": "2026-11-22T00:59"}).text)) == 2


def test_what_is_asked_for_and_is_not_among_the_choices_stays_in_the_form(hub: Storage, admin: Browser) -> None:
    text = ask(admin, user=99, provider=98, status=418).text
    for option in ('<option value="99" selected>99', '<option value="98" selected>98', "<option selected>418"):
        assert option in text


def test_the_rest_of_the_log_is_behind_a_link_that_keeps_the_filter(
    hub: Storage, hub_database: Connection, admin: Browser
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO message_request (user_id, key, provider_id, model, status_code)"
            " SELECT 1, 'sk-ana', 1, 'many', n FROM generate_series(1000, 1119) AS n"
        )
    found: list[str] = []
    address: str | None = f"{PAGE}?model=many"
    while address:
        assert "model=many" in address
        page = ask(admin, "requests" if "after" in address else "", address)
        found += re.findall(r"many .*?(\d{4})\b", "\n".join(rows(page.text)))
        address = older(page.text)
    assert found == [str(number) for number in range(1119, 999, -1)]


def test_nothing_that_matches_and_nothing_older_are_said_as_such(hub: Storage, admin: Browser) -> None:
    assert "No request matches." in ask(admin, model="none").text
    assert "Nothing is older." in ask(admin, after="2000-01-01T00:00:00+00:00_1").text


def test_a_log_without_a_row_is_no_mistake(hub: Storage, hub_database: Connection, admin: Browser) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute("TRUNCATE message_request")
    text = ask(admin).text
    assert "No requests yet." in text and "<dd>0</dd>" in text


def test_what_the_application_wrote_is_text_and_never_markup(
    hub: Storage, hub_database: Connection, admin: Browser
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute("UPDATE message_request SET model = '<script>1', endpoint = '\"><b>', session_id = '<i>'")
        session.execute("UPDATE users SET name = '<script>2'; UPDATE keys SET name = '<script>3'")
    text = ask(admin).text
    assert not re.search(r"<script>\d|<b>\"|<i>", text)


# The parts


def test_a_changed_filter_brings_the_part_alone_and_says_its_clean_address(hub: Storage, admin: Browser) -> None:
    part = ask(admin, "usage", user=ANA, key="", provider="", model="", status="", **{"from": "2026-11-21T10:00"})
    assert part.headers["HX-Push-Url"] == f"{PAGE}?user=1&from=2026-11-21T09:00:00Z"
    assert "<html" not in part.text and 'id="usage"' in part.text
    assert 'id="usage-head" hx-swap-oob="true"' in part.text
    assert 'class="filters"' not in part.text, "what is being typed is left alone"


def test_the_next_page_brings_the_rows_alone(hub: Storage, admin: Browser) -> None:
    part = ask(admin, "requests", after="2026-11-20T13:00:00+00:00_5")
    assert len(rows(part.text)) == 4
    assert 'id="totals"' not in part.text
    assert part.headers["HX-Push-Url"].startswith(f"{PAGE}?after=2026-11-20T13:00:00%2B00:00_5")


def test_a_step_back_in_history_brings_the_whole_page(hub: Storage, admin: Browser) -> None:
    headers = {"HX-Request": "true", "HX-Target": "usage", "HX-History-Restore-Request": "true"}
    assert "<html" in admin.get(PAGE, headers=headers).text


@pytest.mark.parametrize("part", ["", "usage"])
def test_a_filter_that_cannot_be_read_is_said_beside_the_form(hub: Storage, admin: Browser, part: str) -> None:
    for query in ({"from": "yesterday"}, {"status": "abc"}, {"after": "x"}, {"user": "ana"}):
        page = ask(admin, part, **query)
        assert page.status_code == 422
        assert 'role="alert"' in page.text and 'id="usage"' in page.text


# Slow, out of reach, without a map


@contextmanager
def locked(connection: Connection) -> Iterator[None]:
    """As long as this holds, nobody can read the log."""
    with connect(connection, application="tests", autocommit=False) as session:
        session.execute("LOCK TABLE message_request IN ACCESS EXCLUSIVE MODE")
        yield
        session.rollback()


def test_of_a_slow_database_the_frame_comes_at_once_and_asks_for_the_rest(
    hub: Storage, hub_database: Connection, admin: Browser
) -> None:
    with locked(hub_database):
        page = ask(admin, user=LIN)
    assert page.status_code == 200
    assert "The database takes its time." in page.text
    assert f'id="log" hx-get="{PAGE}?user=2" hx-trigger="load"' in page.text
    assert f'<noscript><p><a class="button quiet" href="{PAGE}?wait=1&amp;user=2">' in page.text
    assert len(rows(ask(admin, "log", user=LIN).text)) == len(OF_LIN)


@pytest.fixture
def slow_totals(hub_database: Connection) -> None:
    """Every price takes 40 ms to read: a page of rows is quick enough, and all of them are not."""
    with connect(hub_database, application="tests") as session:
        session.execute(
            "ALTER TABLE message_request RENAME TO requests_there;"
            "CREATE FUNCTION slowly(number bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS"
            " $$ BEGIN PERFORM pg_sleep(0.04); RETURN number; END $$;"
            "CREATE VIEW message_request AS SELECT id, provider_id, user_id, key, model, duration_ms, cost_usd,"
            " provider_chain, status_code, slowly(input_tokens) AS input_tokens, output_tokens,"
            " cache_creation_input_tokens, cache_read_input_tokens, created_at, deleted_at, session_id, blocked_by,"
            " original_model, endpoint, cache_creation_5m_input_tokens, cache_creation_1h_input_tokens,"
            " request_sequence FROM requests_there"
        )


def test_totals_that_take_long_are_asked_for_by_themselves(hub: Storage, slow_totals: None, admin: Browser) -> None:
    page = ask(admin)
    assert len(rows(page.text)) == 13, "the rows are there"
    assert f'<div id="totals" hx-get="{PAGE}" hx-trigger="load"' in page.text
    assert f'<a href="{PAGE}?wait=1">' in page.text
    assert ">13<small>" in ask(admin, "totals").text
    assert ">13<small>" in ask(admin, wait=1).text, "without JavaScript"


def test_a_database_that_is_down_is_said_on_the_page_with_a_way_to_try_again(hub: Storage, admin: Browser) -> None:
    address = "/databases/nothing/logs"
    page = ask(admin, "", address)
    assert page.status_code == 503
    assert "Nothing answers at 127.0.0.1:1." in page.text and "Try again" in page.text
    assert ask(admin, "log", address).status_code == 200, "what was still to come says it in its place"
    fragment = ask(admin, "usage", address)
    assert fragment.status_code == 503 and 'id="refusal"' in fragment.text, "what is shown stays"
    totals = ask(admin, "totals", address)
    assert totals.status_code == 200 and "Nothing answers" in totals.text


def test_where_no_map_fits_the_page_says_so(hub: Storage, empty_database: Connection, admin: Browser) -> None:
    hub.databases.add("plain", empty_database, by="tests")
    page = ask(admin, "", "/databases/plain/logs")
    assert page.status_code == 404
    assert "No application map fits this database" in page.text
    assert 'class="filters"' not in page.text


def test_a_database_that_is_not_looked_after_has_no_log(hub: Storage, admin: Browser) -> None:
    assert ask(admin, "", "/databases/other/logs").status_code == 404


# The place in the rail


def test_the_rail_leads_to_the_first_database_that_has_a_log(hub: Storage, admin: Browser) -> None:
    register(hub, "another")
    answer = admin.get("/logs")
    assert (answer.status_code, answer.location) == (302, PAGE)


def test_where_no_database_has_a_log_the_rail_leads_to_a_page_that_says_so(storage: Storage, admin: Browser) -> None:
    page = admin.get("/logs")
    assert page.status_code == 200
    assert "No usage log was found" in page.text and "did not answer: nothing" in page.text


def test_a_user_is_led_to_a_log_that_is_theirs_or_told_what_to_do(hub: Storage, user: Browser) -> None:
    assert "Your account is not linked yet" in user.get("/logs").text
    hub.accounts.link("ben", "hub", LIN)
    assert user.get("/logs").location == PAGE


# Whose rows


def test_a_user_finds_their_own_requests_and_no_word_of_others(linked: Storage, user: Browser) -> None:
    for part in PARTS:
        page = ask(user, part)
        assert page.status_code == 200
        assert [word for word in OF_OTHERS if word in html.unescape(page.text)] == [], part
        if part != "totals":
            assert len(rows(page.text)) == len(OF_LIN), part
        if part != "requests":
            assert ">5<small>40 %" in page.text, part


@pytest.mark.parametrize("wanted", [ANA, "3", "4", "99", "02", "+2", "2 "])
def test_a_user_who_asks_for_another_is_refused_and_for_themselves_is_not(
    linked: Storage, user: Browser, wanted: str
) -> None:
    for part in PARTS:
        page = ask(user, part, user=wanted, wait=1)
        if wanted.strip() == LIN:
            assert page.status_code == 200
        else:
            assert page.status_code == 403 and "another user" in html.unescape(page.text)
        assert [word for word in OF_OTHERS if word in html.unescape(page.text)] == [], part


@pytest.mark.parametrize(
    "query",
    [{"key": "1"}, {"key": "6"}, {"provider": "3"}, {"session": "s-ana"}, {"model": "claude-sonnet-4-5"},
     {"endpoint": "@cmd"}, {"status": "403"}, {"status": "429"}, {"after": "2026-11-21T23:00:00+00:00_12"},
     {"user": LIN, "key": "1"}],
)  # fmt: skip
def test_no_filter_leads_a_user_to_anothers_requests(linked: Storage, user: Browser, query: dict[str, str]) -> None:
    typed = set(query.values())
    for part in PARTS:
        page = ask(user, part, **query)
        assert page.status_code == 200
        assert all("Lin, Wei" in row for row in rows(page.text))
        assert len(rows(page.text)) == (2 if "after" in query and part != "totals" else 0)
        assert [word for word in OF_OTHERS if word in html.unescape(page.text) and word not in typed] == [], part


@pytest.mark.parametrize("other", [None, "wiki"])
def test_a_user_who_is_not_linked_sees_nothing_and_is_told_whom_to_ask(
    hub: Storage, user: Browser, other: str | None
) -> None:
    if other:
        hub.accounts.link("ben", other, LIN)
    for part in PARTS:
        page = ask(user, part)
        assert page.status_code == 403
        assert "not linked to a user of hub" in page.text and "Ask an admin" in page.text
        assert rows(page.text) == []
        assert "Lin, Wei" not in page.text


def test_a_link_counts_for_a_token_too_and_ends_when_it_is_taken_away(linked: Storage, client: Browser) -> None:
    headers = {"Authorization": f"Bearer {linked.accounts.create_token('ben')}"}
    assert len(rows(client.get(PAGE, headers=headers).text)) == len(OF_LIN)
    linked.accounts.link("ben", "hub", "")
    assert client.get(PAGE, headers=headers).status_code == 403


def test_a_user_who_becomes_an_admin_sees_everything(linked: Storage, user: Browser) -> None:
    linked.accounts.change_role("ben", Role.ADMIN)
    assert len(rows(ask(user).text)) == 13


def test_the_same_address_is_put_into_the_browsers_history_once(hub: Storage, admin: Browser) -> None:
    headers = {"HX-Request": "true", "HX-Target": "usage", "HX-Current-URL": f"http://localhost{PAGE}?status=429"}
    for status, pushed in (("429", "false"), ("403", f"{PAGE}?status=403")):
        assert admin.get(f"{PAGE}?status={status}&user=", headers=headers).headers["HX-Push-Url"] == pushed


@pytest.mark.parametrize("address", ["", "/export", "/pictures"])
def test_a_filter_that_there_is_not_is_refused_and_lets_no_rows_through(
    hub: Storage, admin: Browser, address: str
) -> None:
    answer = admin.get(f"/databases/hub/logs{address}?not_200=1")
    assert answer.status_code == 422 and "There is no filter “not_200”." in answer.text
    assert "request_id" not in answer.text and "s-ana" not in answer.text
