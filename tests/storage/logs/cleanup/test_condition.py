"""Which rows a request means; and that one without a condition means none, however it is written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.applications.maps import load_maps
from storage.errors import Invalid, NotFound
from storage.logs.cleanup import request as requests
from storage.logs.cleanup.condition import bounds, condition
from storage.logs.cleanup.request import CleanupRequest, NothingAsked
from storage.logs.cleanup.target import LogTarget
from storage.logs.reading import Located
from tests.storage.logs.cleanup.conftest import Hub

NOW = datetime(2026, 11, 22, 13, tzinfo=UTC)
[HUB] = [found for found in load_maps() if found.name == "claude_code_hub"]
TARGET = LogTarget(
    schema="public",
    table="message_request",
    time_column="created_at",
    soft_delete_column="deleted_at",
    usage=HUB.usage,
    located=Located(HUB, frozenset(f"public.{name}" for name in HUB.recognise)),
)
ALWAYS = ['"r"."created_at" >= \'0002-01-01\'', '"r"."created_at" < ']
"""What every condition begins with, and what is none by itself."""

moments = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
words = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5), max_size=3)
codes = st.integers(0, 999)
any_request = st.builds(
    CleanupRequest,
    table=st.sampled_from(["", "message_request"]),
    before=moments,
    after=moments,
    users=words.map(tuple),
    providers=words.map(tuple),
    statuses=st.lists(codes, max_size=3, unique=True).map(tuple),
    status_range=st.none() | st.tuples(codes, codes),
    blocked=st.booleans(),
    moment=st.just(NOW),
)


@given(any_request)
def test_no_request_ever_becomes_a_delete_without_a_condition(asked: CleanupRequest) -> None:
    try:
        written = condition(TARGET, asked).as_string(None)
    except NothingAsked:
        assert asked == CleanupRequest(table=asked.table, moment=asked.moment)
        with pytest.raises(NothingAsked):
            bounds(TARGET, asked)
        return
    except Invalid:
        return  # it contradicts itself
    always, rest = written[: written.index(NOW.isoformat(sep=" "))], written[written.index(NOW.isoformat(sep=" ")) :]
    assert all(part in always for part in ALWAYS)
    assert " AND " in rest, written
    assert "OR" not in re.sub(r"'(?:[^']|'')*'", "", written).replace("ORDER", "")
    assert asked.before or asked.after or asked.of_usage


@given(any_request)
def test_a_request_is_the_same_after_the_form_and_after_the_record(asked: CleanupRequest) -> None:
    assert CleanupRequest.from_json(asked.to_json()) == asked
    plain = CleanupRequest.from_json({**asked.to_json(), "users": ["3", "17"], "providers": []})
    assert requests.read(plain.to_query(), zone=ZoneInfo("Asia/Shanghai"), now=NOW) == plain


BEFORE = datetime(2026, 11, 21, 10, tzinfo=UTC)
CASES: list[tuple[dict[str, Any], list[int]]] = [
    ({"before": BEFORE}, [1, 2, 3, 4, 5, 6, 9, 10]),  # 10 is of this very moment
    ({"before": datetime(2026, 11, 21, 23, 59, 59, 999998, tzinfo=UTC)}, [1, 2, 3, 4, 5, 6, 9, 10, 11, 12]),
    ({"after": datetime(2026, 11, 21, 23, 59, 59, 999999, tzinfo=UTC)}, [13, 14]),
    ({"after": BEFORE, "before": BEFORE}, [10]),
    ({"users": ("2",)}, [3, 5, 13, 14]),  # 8 has no time
    ({"users": ("3", "99")}, [10, 11]),
    ({"providers": ("2",)}, [2, 5, 12]),
    ({"providers": ("0",)}, [4]),
    ({"statuses": (429, 403)}, [2, 4]),
    ({"status_range": (429, 529)}, [2, 13]),  # both ends are in; none is not
    ({"status_range": (430, 528)}, []),
    ({"blocked": True}, [4]),
    ({"users": ("1",), "statuses": (200,)}, [1, 6, 9]),
    ({"users": ("1",), "before": datetime(2026, 11, 20, 12, tzinfo=UTC), "providers": ("1", "2")}, [1, 2]),
]


@pytest.mark.postgres
@pytest.mark.parametrize(("asked", "expected"), CASES, ids=lambda value: repr(value)[:60])
def test_a_condition_counts_and_deletes_the_rows_that_fulfil_it_and_no_other(
    small: Hub, asked: dict[str, Any], expected: list[int]
) -> None:
    request = CleanupRequest(**asked, moment=datetime(2027, 1, 1, tzinfo=UTC))
    everything = small.ids()
    before = small.sums()
    preview = small.cleanup.preview("hub", request)
    assert preview.rows == len(expected)
    assert preview.soft_deleted == (1 if 6 in expected else 0)
    job = small.cleaned(preview.request)
    assert small.ids() == [number for number in everything if number not in expected]
    assert (job.result["rows"], job.result["soft_deleted"]) == (len(expected), preview.soft_deleted)
    assert small.sums() == before


@pytest.mark.postgres
def test_what_was_written_at_the_fixed_moment_or_later_stays(small: Hub) -> None:
    request = CleanupRequest(statuses=(200,), moment=datetime(2026, 11, 21, 9, tzinfo=UTC))
    assert small.cleaned(request).result["rows"] == 3
    assert [number for number in (1, 3, 6, 9) if number in small.ids()] == [9]


@pytest.mark.postgres
def test_a_request_without_a_condition_is_refused_before_a_job_is_made_and_within_one(small: Hub) -> None:
    everything = small.ids()
    for empty in (CleanupRequest(), CleanupRequest(table="message_request", moment=NOW)):
        with pytest.raises(NothingAsked, match=r"Nothing was deleted\. No condition was given"):
            small.cleanup.preview("hub", empty)
        with pytest.raises(NothingAsked):
            small.cleanup.start("hub", empty, by="ana")
    assert small.storage.jobs.newest_first() == []
    assert small.ids() == everything


@pytest.mark.postgres
def test_a_table_that_is_no_usage_log_has_no_users_to_ask_for(small: Hub) -> None:
    with pytest.raises(Invalid, match="is no usage log"):
        small.cleanup.preview("hub", CleanupRequest(table="provider_endpoint_probe_logs", statuses=(503,)))
    with pytest.raises(Invalid, match="does not have the form"):
        small.cleanup.preview("hub", CleanupRequest(users=("ana'; DROP TABLE users",)))


@pytest.mark.postgres
@pytest.mark.parametrize("table", ["users", "nowhere", "message_request; DROP TABLE users", 'public."message_request"'])
def test_a_table_that_the_map_does_not_name_needs_its_time_column(small: Hub, table: str) -> None:
    with pytest.raises(NotFound, match="names no log table"):
        small.cleanup.preview("hub", CleanupRequest(table=table, before=NOW))
    with pytest.raises(NotFound, match="There is no table"):
        small.cleanup.preview("hub", CleanupRequest(table=table, time_column="name", before=NOW))


@pytest.mark.postgres
def test_a_database_without_a_map_is_told_so(small: Hub) -> None:
    assert small.cleanup.targets("shop") == []
    with pytest.raises(NotFound, match="No application map fits"):
        small.cleanup.preview("shop", CleanupRequest(before=NOW))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"days": "0"}, "not a number of days"),
        ({"days": "-3"}, "not a number of days"),
        ({"days": "٣"}, "not a number of days"),
        ({"days": "30", "before": "2026-01-01"}, "Either an age in days or a date"),
        ({"before": "yesterday"}, "is not a time"),
        ({"status": "2xx"}, "not a whole number"),
        ({"status_range": "500"}, "not a range"),
        ({"status_range": "-500"}, "not a range"),
        ({"status_range": "500-400"}, "ends before it begins"),
        ({"after": "2026-02-01", "before": "2026-01-01"}, "cannot be after"),
    ],
)
def test_what_cannot_be_read_is_refused_and_never_left_out(typed: dict[str, str], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        requests.read(typed, zone=ZoneInfo("UTC"), now=NOW).checked()


def test_a_form_is_read_in_the_zone_of_the_instance() -> None:
    read = requests.read(
        {"before": "2026-01-02", "user": " 3, 7,3 ,", "status": "429", "blocked": "on"},
        zone=ZoneInfo("Asia/Shanghai"),
        now=NOW,
    )
    assert read == CleanupRequest(
        before=datetime(2026, 1, 1, 16, tzinfo=UTC), users=("3", "7"), statuses=(429,), blocked=True
    )
    aged = requests.read({"days": "30"}, zone=ZoneInfo("UTC"), now=NOW)
    assert aged == CleanupRequest(before=datetime(2026, 10, 23, 13, tzinfo=UTC))
