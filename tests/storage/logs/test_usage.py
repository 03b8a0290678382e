"""The usage log, row by row: every column, every filter, the pages and the sums, on a real PostgreSQL."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from storage.errors import Invalid, NotFound
from storage.logs import filters
from storage.logs.filters import UsageFilter
from storage.logs.query import After
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.hub import ANA, LEFT, LIN, NEWEST_FIRST, OF_LIN, SUM

pytestmark = pytest.mark.postgres

COLUMNS = ["time", "user", "key", "provider", "model", "original_model", "endpoint", "status", "input_tokens",
           "output_tokens", "cache_write_5m", "cache_write_1h", "cache_read", "total_tokens", "cost", "duration",
           "session", "retries"]  # fmt: skip


@pytest.fixture
def row(hub: Storage) -> dict[int, dict[str, Any]]:
    """Every request that is not deleted, by its id."""
    return {row["id"]: row for row in hub.logs.usage.page("hub", UsageFilter()).rows}


def ids(hub: Storage, **wanted: Any) -> list[int]:
    return [row["id"] for row in hub.logs.usage.page("hub", UsageFilter(**wanted)).rows]


def found_or_refused(hub: Storage, **wanted: Any) -> list[int]:
    """None at all where the database says that it is no id."""
    try:
        return ids(hub, **wanted)
    except Invalid as error:
        assert "does not have the form" in str(error)
        return []


def test_the_columns_are_those_of_claude_code_hub_in_its_order(hub: Storage) -> None:
    headings = [column.heading for column in hub.logs.usage.log_of("hub").columns]
    assert headings == ["Time", "User", "Key", "Provider", "Model", "Original Model", "Endpoint", "Status Code",
                        "Input Tokens", "Output Tokens", "Cache Write 5m", "Cache Write 1h", "Cache Read",
                        "Total Tokens", "Cost (USD)", "Duration (ms)", "Session ID", "Retry Count"]  # fmt: skip
    assert [column.name for column in hub.logs.usage.log_of("hub").columns] == COLUMNS


def test_every_column_holds_its_own_value(row: dict[int, dict[str, Any]]) -> None:
    assert [row[1][name] for name in COLUMNS] == [
        datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC), "Ana", "laptop", "anthropic-eu", "claude-sonnet-4-5",
        "claude-opus-4-1", "/v1/messages", 200, 11, 22, 33, 44, 55, 165, Decimal("0.123456789012345"), 6200, "s-ana", 0,
    ]  # fmt: skip


def test_every_request_that_is_not_deleted_is_there_once_newest_first_and_without_a_time_before_all(
    hub: Storage,
) -> None:
    assert ids(hub) == NEWEST_FIRST


def test_a_key_whose_value_is_there_twice_neither_doubles_a_request_nor_loses_its_name(
    hub: Storage, row: dict[int, dict[str, Any]]
) -> None:
    assert ids(hub, user=LIN) == OF_LIN
    assert {row[number]["key"] for number in OF_LIN} == {"desk"}, "the one that is not deleted"


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ([("gone", True), ("here", False)], "here"),
        ([("here", False), ("gone", True)], "here"),
        ([("first", False), ("last", False)], "last"),
        ([("gone first", True), ("gone last", True)], "gone last"),
    ],
)
def test_of_several_keys_with_one_value_the_newest_that_is_not_deleted_gives_the_name(
    hub: Storage, hub_database: Connection, keys: list[tuple[str, bool]], name: str
) -> None:
    """Whichever of them the server comes upon first."""
    with connect(hub_database, application="tests") as session:
        for title, deleted in keys:
            session.execute(
                "INSERT INTO keys (user_id, key, name, deleted_at) VALUES (1, 'sk-several', %s,"
                " CASE WHEN %s THEN timestamptz '2026-11-01Z' END)",
                [title, deleted],
            )
        session.execute(
            "INSERT INTO message_request (user_id, key, provider_id, model) VALUES (1, 'sk-several', 1, 'its own')"
        )
    [found] = hub.logs.usage.page("hub", UsageFilter(model="its own")).rows
    assert found["key"] == name


def test_what_is_deleted_in_the_application_keeps_its_name(row: dict[int, dict[str, Any]]) -> None:
    assert (row[10]["user"], row[10]["key"], row[10]["provider"]) == ("left in spring", "old key", "former")


def test_a_request_whose_user_key_and_provider_are_gone_stays(row: dict[int, dict[str, Any]]) -> None:
    assert (row[11]["user"], row[11]["key"], row[11]["provider"]) == (None, None, None)


def test_a_blocked_request_has_no_provider_and_stays(row: dict[int, dict[str, Any]]) -> None:
    assert (row[4]["provider"], row[4]["blocked"], row[4]["status"]) == (None, True, 403)
    assert [number for number in row if row[number]["blocked"]] == [4]


def test_tokens_that_were_not_counted_are_none_and_old_numbers_count_once(row: dict[int, dict[str, Any]]) -> None:
    assert [row[4][name] for name in COLUMNS[8:14]] == [0, 0, 0, 0, 0, 0]
    assert row[3]["total_tokens"] == 500, "written to the cache as one old number"
    assert row[13]["total_tokens"] == 1 + 2 + 30 + 4, "the new numbers, where they are the larger"


@pytest.mark.parametrize("counted", ["cache_creation_5m_input_tokens", "cache_creation_1h_input_tokens"])
def test_a_total_has_what_was_counted_where_the_rest_was_not(
    hub: Storage, hub_database: Connection, counted: str
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute(
            f"INSERT INTO message_request (user_id, key, provider_id, model, {counted})"
            " VALUES (1, 'sk-ana', 1, 'its own', 7)".encode()
        )
    [found] = hub.logs.usage.page("hub", UsageFilter(model="its own")).rows
    assert found["total_tokens"] == 7


def test_prices_are_exact_to_fifteen_places_and_one_that_is_not_there_is_none(row: dict[int, dict[str, Any]]) -> None:
    assert row[3]["cost"] == Decimal("0.000000000000001")
    assert row[12]["cost"] == Decimal("123456.123456789012345")
    assert row[5]["cost"] is None


def test_retries_are_real_attempts_after_the_first_and_none_where_attempts_raced(
    row: dict[int, dict[str, Any]],
) -> None:
    assert {number: row[number]["retries"] for number in row if row[number]["retries"]} == {2: 2, 3: 1, 13: 3}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"user": ANA}, [7, 9, 4, 2, 1]),
        ({"user": LEFT}, [10]),
        ({"user": "99"}, [11]),
        ({"key": "6"}, [9, 4]),
        ({"key": "2"}, OF_LIN),
        ({"key": "3"}, OF_LIN),
        ({"provider": "2"}, [12, 5, 2]),
        ({"provider": "3"}, [10]),
        ({"session": "s-ana"}, [2, 1]),
        ({"session": "s-deleted"}, []),
        ({"session": '+"a",\r\nb'}, [12]),
        ({"since": datetime(2026, 11, 22, tzinfo=UTC)}, [14]),
        ({"since": datetime(2026, 11, 21, 23, 59, 59, 999999, tzinfo=UTC)}, [14, 13]),
        ({"until": datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)}, []),
        ({"until": datetime(2026, 11, 20, 10, 0, 0, 123457, tzinfo=UTC)}, [2, 1]),
        ({"status": 200}, [7, 14, 12, 11, 10, 9, 3, 1]),
        ({"status": 429}, [2]),
        ({"not_200": True}, [8, 13, 5, 4, 2]),
        ({"not_200": True, "user": LIN}, [8, 13, 5]),
        ({"model": "gpt-5"}, [8, 7, 9]),
        ({"model": "GPT-5"}, []),
        ({"model": " =1+1"}, [12]),
        ({"endpoint": "/v1/responses"}, [8, 7, 9]),
        ({"endpoint": "@cmd"}, [12]),
        ({"min_retries": 0}, NEWEST_FIRST),
        ({"min_retries": 1}, [13, 3, 2]),
        ({"min_retries": 2}, [13, 2]),
        ({"min_retries": 4}, []),
        ({"user": LIN, "provider": "1", "status": 200, "endpoint": "/v1/messages"}, [14, 3]),
        ({"user": SUM, "session": "s-ana"}, []),
    ],
)  # fmt: skip
def test_each_filter_finds_its_requests_and_no_others(hub: Storage, wanted: Any, expected: list[int]) -> None:
    assert ids(hub, **wanted) == expected


def test_every_filter_is_among_those_that_are_tried() -> None:
    tried = {"user", "key", "provider", "session", "since", "until", "status", "not_200", "model", "endpoint",
             "min_retries"}  # fmt: skip
    assert {field.name for field in fields(UsageFilter)} == tried


@pytest.mark.parametrize(
    "wanted",
    [{"user": "ana"}, {"user": "99999999999"}, {"key": "1 OR true"}, {"provider": "''"}, {"status": 2**31 - 1}],
)
def test_what_is_no_id_of_the_application_is_refused_or_finds_nothing(hub: Storage, wanted: Any) -> None:
    assert found_or_refused(hub, **wanted) == []


@pytest.mark.parametrize("name", ["user", "key", "provider", "session", "model", "endpoint"])
def test_what_is_typed_is_never_sql(hub: Storage, name: str) -> None:
    for text in ("'", "1'; DROP TABLE keys; --", "\\", "$$", "%s", "{x}", '"'):
        assert found_or_refused(hub, **{name: text}) == []
    assert ids(hub) == NEWEST_FIRST


# Pages


@pytest.mark.parametrize("size", [1, 2, 3, 5, 12, 13, 14])
def test_page_after_page_every_request_comes_once_over_ties_and_without_a_time(hub: Storage, size: int) -> None:
    with connect(hub.databases.get("hub").connection, application="tests") as session:
        session.execute(
            "INSERT INTO message_request (user_id, key, provider_id, created_at)"
            " SELECT 1, 'k', 1, CASE WHEN n < 4 THEN NULL ELSE '2026-11-20 10:00:00.123456+00'::timestamptz END"
            " FROM generate_series(1, 8) AS n"
        )
        wanted = [row[0] for row in session.execute(
            "SELECT id FROM message_request WHERE deleted_at IS NULL"
            " ORDER BY created_at DESC NULLS FIRST, id DESC")]  # fmt: skip
    found: list[int] = []
    after: After | None = None
    while True:
        page = hub.logs.usage.page("hub", UsageFilter(), after=after, size=size)
        assert len(page.rows) <= size
        found += [row["id"] for row in page.rows]
        if page.next is None:
            break
        after = After.from_text(page.next.to_text())
    assert found == wanted
    assert len(wanted) == 21


@pytest.mark.parametrize(
    "text", ["x", "_", "2026-11-20_1", "2026-11-20T10:00:00_1", "2026-11-20T10:00:00+00:00", "_\0", "é_é"]
)
def test_a_place_in_the_log_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="where in the log"):
        After.from_text(text)


def test_a_place_behind_an_id_that_is_no_number_is_refused_by_the_database(hub: Storage) -> None:
    with pytest.raises(Invalid):
        hub.logs.usage.page("hub", UsageFilter(), after=After.from_text("_x"))


# Sums


def test_requests_with_times_that_no_calendar_has_keep_no_other_from_being_seen(
    hub: Storage, hub_database: Connection
) -> None:
    everything = ids(hub)
    with connect(hub_database, application="tests") as session:
        session.execute("UPDATE message_request SET created_at = 'infinity' WHERE id = 1")
        session.execute("UPDATE message_request SET created_at = '-infinity' WHERE id = 2")
        session.execute("UPDATE message_request SET created_at = '0044-03-15 BC' WHERE id = 3")
    found = ids(hub)
    assert sorted(found) == sorted(everything)
    assert found[-2:] == [3, 2]


def test_totals_are_of_every_request_that_is_not_deleted_and_exact(hub: Storage) -> None:
    assert hub.logs.usage.totals("hub", UsageFilter()) == {
        "requests": 13,
        "input_tokens": 35,
        "output_tokens": 44,
        "cache_read": 63,
        "total_tokens": 749,
        "cost": Decimal("123459.546913578024691"),
        "retried": 3,
        "answered": 8,
    }


def test_totals_follow_the_filter_and_are_nothing_where_nothing_is(hub: Storage) -> None:
    totals = hub.logs.usage.totals("hub", UsageFilter(user=LIN))
    assert (totals["requests"], totals["retried"], totals["answered"]) == (5, 2, 2)
    assert set(hub.logs.usage.totals("hub", UsageFilter(session="none")).values()) == {0}


# What can be chosen


def test_choices_are_what_the_application_has_and_keys_say_whose_they_are(hub: Storage) -> None:
    choices = hub.logs.usage.view("hub", UsageFilter()).choices
    assert [user.title for user in choices.users] == [
        "=SUM(A1:A9)", "Ana", "left in spring", "Lin, Wei", "never asked",
    ]  # fmt: skip
    assert [(key.id, key.title, key.of) for key in choices.keys if key.of == "Ana"] == [
        ("6", "ci", "Ana"),
        ("1", "laptop", "Ana"),
    ]
    assert len(choices.keys) == 6
    assert [provider.title for provider in choices.providers] == ["anthropic-eu", "former", "relay"]
    assert "deleted-model" not in choices.models
    assert choices.models == (" =1+1", "claude-haiku-4-5", "claude-opus-4-1", "claude-sonnet-4-5", "gpt-5")
    assert choices.endpoints == ("/v1/messages", "/v1/responses", "@cmd")
    assert choices.statuses == (200, 403, 429, 500, 529)


def test_the_choices_of_one_user_say_nothing_of_others(hub: Storage) -> None:
    choices = hub.logs.usage.view("hub", UsageFilter(user=SUM), own=SUM).choices
    assert [user.title for user in choices.users] == ["=SUM(A1:A9)"]
    assert [key.title for key in choices.keys] == ["sheet"]
    assert [provider.title for provider in choices.providers] == ["relay"]
    assert (choices.models, choices.endpoints, choices.statuses) == ((" =1+1",), ("@cmd",), (200,))


def test_a_user_is_named_by_the_application(hub: Storage) -> None:
    assert hub.logs.usage.user_named("hub", LIN) == "Lin, Wei"
    for unknown in ("77", "nobody"):
        with pytest.raises((NotFound, Invalid)):
            hub.logs.usage.user_named("hub", unknown)


# Addresses


def test_a_filter_stands_in_an_address_and_is_read_back(hub: Storage) -> None:
    wanted = UsageFilter(user="1", key="2", provider="3", session="a b&c", since=datetime(2026, 11, 20, 1, 2, 3, 4567,
                         tzinfo=UTC), until=datetime(2026, 11, 22, tzinfo=UTC), status=429, model="m", endpoint="/e",
                         min_retries=0)  # fmt: skip
    assert set(wanted.to_query()) == set(filters.NAMES)
    assert filters.read(wanted.to_query(), zone=ZoneInfo("Asia/Tokyo")) == wanted
    not_200 = UsageFilter(not_200=True)
    assert not_200.to_query() == {"status": "not-200"}
    assert filters.read(not_200.to_query(), zone=ZoneInfo("UTC")) == not_200


def test_a_time_without_a_zone_is_the_instances(hub: Storage) -> None:
    read = filters.read({"from": "2026-11-22T01:00", "to": "2026-07-01"}, zone=ZoneInfo("Europe/Berlin"))
    assert read.since == datetime(2026, 11, 22, tzinfo=UTC)
    assert read.until == datetime(2026, 6, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "values",
    [{"from": "yesterday"}, {"to": "2026-13-01"}, {"status": "abc"}, {"status": "-1"}, {"status": "99999999999"},
     {"min_retries": "1.5"}, {"min_retries": "-1"}, {"model": "a\0b"}, {"from": "0001-01-01T00:00+14:00"}],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        filters.read(values, zone=ZoneInfo("Europe/Berlin"))


def test_spaces_around_a_session_are_not_meant() -> None:
    assert filters.read({"session": "  s-ana \t"}, zone=ZoneInfo("UTC")).session == "s-ana"
    assert filters.read({"session": "   "}, zone=ZoneInfo("UTC")) == UsageFilter()
