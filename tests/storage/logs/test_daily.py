"""Requests, costs and failures for each day of a zone: every day once, also those without any, by the same filters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from storage.errors import NotFound
from storage.logs import daily
from storage.logs.daily import Daily, DailyUsage
from storage.logs.filters import UsageFilter
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.hub import ANA, LIN

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 11, 22, 13, 14, 5, tzinfo=UTC)
UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


def look(hub: Storage, zone: ZoneInfo = UTC_ZONE, **wanted: object) -> Daily:
    there = DailyUsage(usage=hub.logs.usage, clock=lambda: NOW)
    return there.look("hub", replace(UsageFilter(), **wanted), zone=zone)  # type: ignore[arg-type]


def requests(found: Daily) -> dict[date, int]:
    return {day.day: day.requests for day in found.days if day.requests}


def test_thirty_days_end_today_and_those_without_requests_are_nothing(hub: Storage) -> None:
    found = look(hub)
    assert [day.day for day in found.days] == [date(2026, 10, 24) + timedelta(days=at) for at in range(30)]
    empty = found.days[0]
    assert (empty.requests, empty.cost, empty.failures) == (0, Decimal(0), 0)
    assert not found.cut
    assert found.currency == "USD"


def test_the_last_microsecond_belongs_to_its_day_in_every_zone(hub: Storage) -> None:
    seen = requests(look(hub, user=LIN, min_retries=3))
    assert seen == {date(2026, 11, 21): 1}
    assert requests(look(hub, BERLIN, user=LIN, min_retries=3)) == {date(2026, 11, 22): 1}


def test_a_day_sums_up_what_the_log_shows_of_it(hub: Storage) -> None:
    for day in look(hub).days:
        begin = datetime(day.day.year, day.day.month, day.day.day, tzinfo=UTC)
        wanted = UsageFilter(since=begin, until=begin + timedelta(days=1))
        totals = hub.logs.usage.totals("hub", wanted)
        assert (day.requests, day.cost) == (totals["requests"], totals["cost"])
        assert day.failures == totals["requests"] - totals["answered"]
        assert day.failures == hub.logs.usage.totals("hub", replace(wanted, not_200=True))["requests"]


def test_failures_are_also_those_without_an_answer(hub: Storage) -> None:
    the_twentieth = next(day for day in look(hub, user=LIN).days if day.day == date(2026, 11, 20))
    # 3 was answered; 5 has no status.
    assert (the_twentieth.requests, the_twentieth.failures) == (2, 1)


def test_no_digit_of_a_cost_is_lost(hub: Storage) -> None:
    found = look(hub, user=ANA, status=200, model="claude-sonnet-4-5")
    assert found.cost == Decimal("0.123456789012345")
    assert found.requests == 1


def test_days_of_23_and_25_hours(hub: Storage, hub_database: Connection) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO message_request (created_at, user_id, key, provider_id, model, status_code)"
            " SELECT at, 1, 'sk-ana', 1, 'dst', 200 FROM ("
            "  SELECT generate_series('2026-03-28 00:00+01'::timestamptz, '2026-03-30 23:59+02', '30 min')"
            "  UNION ALL SELECT generate_series('2026-10-24 00:00+02'::timestamptz, '2026-10-26 23:59+01', '30 min')"
            " ) AS times (at)"
        )
    spring = look(
        hub, BERLIN, model="dst", since=datetime(2026, 3, 1, tzinfo=UTC), until=datetime(2026, 4, 1, tzinfo=UTC)
    )
    assert requests(spring) == {date(2026, 3, 28): 48, date(2026, 3, 29): 46, date(2026, 3, 30): 48}
    autumn = look(hub, BERLIN, model="dst")
    assert requests(autumn) == {date(2026, 10, 24): 48, date(2026, 10, 25): 50, date(2026, 10, 26): 48}
    assert len(spring.days) == 32  # 1 April begins in Berlin before it does in UTC


def test_a_filter_of_many_years_is_held_to_its_newest(hub: Storage) -> None:
    found = look(hub, since=datetime(1, 1, 1, tzinfo=UTC))
    assert (len(found.days), found.cut) == (daily.MOST_DAYS, True)
    assert found.days[-1].day == date(2026, 11, 22)


def test_times_of_the_filter_cut_a_day_where_they_are(hub: Storage) -> None:
    begin = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
    found = look(hub, since=begin, until=begin + timedelta(hours=2))
    assert requests(found) == {date(2026, 11, 20): 2}
    assert look(hub, since=begin, until=begin).requests == 0
    assert look(hub, since=begin, until=begin - timedelta(days=3)).days == ()


def test_only_one_question_is_asked_of_the_log(hub: Storage, hub_database: Connection) -> None:
    """And it takes the way over the index of times."""
    with hub.logs.usage.query("hub", UsageFilter()) as (session, query):
        days, _ = daily.days_of(UsageFilter(), now=NOW, zone=UTC_ZONE)
        narrowed = replace(query, filter=daily._within(query.filter, days, UTC_ZONE))
        session.execute("SET enable_seqscan = off")
        plan = session.execute(b"EXPLAIN " + daily._statement(narrowed, days, UTC_ZONE).as_bytes(session)).fetchall()
    assert any("idx_message_request" in row[0] for row in plan), plan


def test_a_database_without_a_usage_log_says_so(hub: Storage) -> None:
    there = DailyUsage(usage=hub.logs.usage, clock=lambda: NOW)
    with pytest.raises(NotFound):
        there.look("shop", UsageFilter(), zone=UTC_ZONE)
