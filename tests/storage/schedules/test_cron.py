"""When a schedule comes: as in Debian's cron, also when the clocks change; checked against another way of counting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Invalid
from storage.schedules import cron
from storage.schedules.cron import Note

ZONES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Shanghai", "UTC")
BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2034, 1, 1, tzinfo=UTC)


def once_a_day(hour: int, minute: int, zone: str) -> Iterator[datetime]:
    """The moments of a time of day, counted by days: its first pass, or the first moment after a gap over it."""
    place, day = ZoneInfo(zone), date(2023, 12, 30)
    while day < date(2034, 1, 3):
        local = datetime(day.year, day.month, day.day, hour, minute)
        while local.replace(tzinfo=place).astimezone(UTC).astimezone(place).replace(tzinfo=None) != local:
            local += timedelta(minutes=1)
        yield local.replace(tzinfo=place).astimezone(UTC)
        day += timedelta(days=1)


def between(moments: Iterator[datetime], end: datetime = END) -> list[datetime]:
    return list(takewhile(lambda at: at <= end, moments))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("hour", "minute"), [(0, 0), (1, 30), (2, 0), (2, 15), (2, 30), (3, 0), (23, 45)])
def test_a_time_of_day_comes_once_a_day_for_ten_years(zone: str, hour: int, minute: int) -> None:
    expected = [at for at in once_a_day(hour, minute, zone) if BEGIN < at <= END]
    assert between(cron.moments(f"{minute} {hour} * * *", zone, after=BEGIN)) == expected


@pytest.mark.parametrize("zone", ZONES)
def test_every_half_hour_follows_the_real_time(zone: str) -> None:
    end = datetime(2025, 6, 1, tzinfo=UTC)
    quarters = (BEGIN + timedelta(minutes=15 * number) for number in range(1, 50_000))
    expected = [
        at for at in takewhile(lambda at: at <= end, quarters) if at.astimezone(ZoneInfo(zone)).minute in (0, 30)
    ]
    assert between(cron.moments("*/30 * * * *", zone, after=BEGIN), end) == expected


@given(
    zone=st.sampled_from(ZONES),
    expression=st.sampled_from(
        ("30 2 * * *", "30 1 * * *", "*/30 * * * *", "0 0 * * *", "15 1,2,3 * * *", "0 */6 * * *")
    ),
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2033, 12, 31)),
    later=st.integers(0, 3 * 86400),
)
def test_the_moments_are_the_same_from_wherever_they_are_counted(
    zone: str, expression: str, moment: datetime, later: int
) -> None:
    begin = moment.replace(microsecond=0, tzinfo=UTC)
    middle, end = begin + timedelta(seconds=later), begin + timedelta(days=4)
    whole = between(cron.moments(expression, zone, after=begin), end)
    rest = between(cron.moments(expression, zone, after=middle), end)
    assert [at for at in whole if at > middle] == rest
    assert whole == sorted(set(whole))


# The zone, the day before, the expression, and the runs of the next two days: local time, offset, note.
CLOCK_CHANGES = [
    (
        "Europe/Berlin",
        "2026-03-28T12",
        "30 2 * * *",
        [("29 03:00", "+02:00", Note.MOVED), ("30 02:30", "+02:00", None)],
    ),
    (
        "Europe/Berlin",
        "2026-10-24T12",
        "30 2 * * *",
        [("25 02:30", "+02:00", Note.ONCE), ("26 02:30", "+01:00", Note.SHIFTED)],
    ),
    (
        "America/New_York",
        "2026-03-07T12",
        "30 2 * * *",
        [("08 03:00", "-04:00", Note.MOVED), ("09 02:30", "-04:00", None)],
    ),
    (
        "America/New_York",
        "2026-10-31T12",
        "30 1 * * *",
        [("01 01:30", "-04:00", Note.ONCE), ("02 01:30", "-05:00", Note.SHIFTED)],
    ),
    (
        "Australia/Lord_Howe",
        "2026-10-03T12",
        "15 2 * * *",
        [("04 02:30", "+11:00", Note.MOVED), ("05 02:15", "+11:00", None)],
    ),
    (
        "Australia/Lord_Howe",
        "2026-04-04T10",
        "45 1 * * *",
        [("05 01:45", "+11:00", Note.ONCE), ("06 01:45", "+10:30", Note.SHIFTED)],
    ),
    ("Africa/Cairo", "2026-04-23T12", "0 0 * * *", [("24 01:00", "+03:00", Note.MOVED), ("25 00:00", "+03:00", None)]),
    ("Asia/Shanghai", "2026-03-28T12", "30 2 * * *", [("29 02:30", "+08:00", None), ("30 02:30", "+08:00", None)]),
    ("UTC", "2026-03-28T12", "30 2 * * *", [("29 02:30", "+00:00", None), ("30 02:30", "+00:00", None)]),
]


@pytest.mark.parametrize(("zone", "after", "expression", "expected"), CLOCK_CHANGES)
def test_the_preview_says_what_the_clocks_do(
    zone: str, after: str, expression: str, expected: list[tuple[str, str, Note | None]]
) -> None:
    runs = cron.runs(expression, zone, after=datetime.fromisoformat(f"{after}:00:00+00:00"), count=2)
    assert [(f"{run.local:%d %H:%M}", run.offset.removeprefix("UTC"), run.note) for run in runs] == expected


def test_what_runs_every_half_hour_runs_in_both_hours() -> None:
    runs = cron.runs("*/30 * * * *", "Europe/Berlin", after=datetime(2026, 10, 24, 23, 50, tzinfo=UTC), count=4)
    assert [(f"{run.local:%H:%M}", run.note) for run in runs] == [
        ("02:00", Note.FIRST),
        ("02:30", Note.FIRST),
        ("02:00", Note.SECOND),
        ("02:30", Note.SECOND),
    ]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("0 2 * * *", "0 2 * * *"),
        ("  0   2 * * * ", "0 2 * * *"),
        ("@daily", "0 0 * * *"),
        ("0 3 * * MON", "0 3 * * MON"),
    ],
)
def test_an_expression_is_read(typed: str, read: str) -> None:
    assert cron.checked_expression(typed) == read


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "* * * *",
        "0 0 2 * * *",
        "60 2 * * *",
        "0 2 31 2 *",
        "0 2 30 2 *",
        "@never",
        "nightly",
        "a b c d e",
        "0 2 * * 8",
    ],
)
def test_what_is_no_expression_or_never_comes_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        cron.checked_expression(typed)


@given(st.text(alphabet="0123456789*/-,#L MONWabc@", max_size=40))
def test_whatever_is_typed_is_read_or_refused(typed: str) -> None:
    try:
        expression = cron.checked_expression(typed)
    except Invalid:
        return
    assert next(cron.moments(expression, "Europe/Berlin", after=BEGIN)) > BEGIN
    assert cron.explained(expression)


@pytest.mark.parametrize("name", ["", "Berlin", "Europe", "../../etc/passwd", "Mars/Olympus"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        cron.checked_zone(name)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 2 * * *", "Every day at 02:00"),
        ("30 1 * * 1-5", "Monday to Friday at 01:30"),
        ("0 4 * * 7", "Every Sunday at 04:00"),
        ("5 0 1 * *", "On day 1 of every month at 00:05"),
        ("0 3 L * *", "On the last day of every month at 03:00"),
        ("15 * * * *", "Every hour, at minute 15"),
        ("*/10 * * * *", "Every 10 minutes"),
        ("0 */6 * * *", "Every 6 hours, at minute 0"),
        ("0 2 * 6 *", None),
        ("0 2,14 * * *", None),
        ("0 2 1 * 1", None),
    ],
)
def test_simple_expressions_have_words(expression: str, words: str | None) -> None:
    said = cron.in_words(expression)
    assert (str(said) if said else None) == words
