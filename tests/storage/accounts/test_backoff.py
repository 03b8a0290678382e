"""Five tries are free; then the pause doubles to a quarter of an hour, and nobody is ever locked out for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.accounts import backoff
from storage.accounts.backoff import FailureMemory, Failures

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_pause_begins_after_five_tries_and_doubles_to_fifteen_minutes() -> None:
    seconds = [backoff.pause(count).total_seconds() for count in range(17)]
    assert seconds[:5] == [0, 0, 0, 0, 0]
    assert seconds[5:] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


@given(count=st.integers(0, 10**6), waited=st.integers(-(10**6), 10**6))
def test_nobody_waits_longer_than_a_quarter_of_an_hour(count: int, waited: int) -> None:
    left = backoff.time_left(Failures(count, NOON), NOON + timedelta(seconds=waited))
    assert timedelta(0) <= left <= backoff.OF_ACCOUNT.longest


def test_a_hundred_tries_in_a_row_take_most_of_a_day() -> None:
    failures, now = Failures(), NOON
    for _ in range(100):
        now += backoff.time_left(failures, now)
        failures = backoff.after_failure(failures, now)
    assert now - NOON > timedelta(hours=20)


def test_failures_are_forgotten_after_a_day() -> None:
    failures = backoff.after_failure(Failures(40, NOON), NOON + timedelta(hours=25))
    assert failures.count == 1


def test_failures_are_counted_by_account_and_address() -> None:
    memory = FailureMemory()
    for _ in range(5):
        tried = memory.begin("ana", "10.0.0.1", NOON)
    assert memory.of("ana", "10.0.0.1").count == 5
    assert memory.of("ana", "10.0.0.2").count == 0
    assert memory.of("ben", "10.0.0.1").count == 0
    memory.succeeded("ana", "10.0.0.1", tried)
    assert memory.of("ana", "10.0.0.1").count == 0


def test_the_memory_of_failures_does_not_grow_for_ever() -> None:
    memory = FailureMemory()
    for number in range(backoff._MOST_KEPT + 10):
        memory.begin(str(number), f"10.0.{number // 250}.{number % 250}", NOON)
    assert len(memory._accounts) == backoff._MOST_KEPT


def test_an_address_that_tries_account_after_account_has_to_wait_too() -> None:
    memory, now = FailureMemory(), NOON
    for number in range(29):
        assert memory.begin(f"somebody {number}", "10.0.0.1", now).wait == timedelta(0)
    tried = memory.begin("the thirtieth", "10.0.0.1", now)
    assert memory.time_left("ana", "10.0.0.1", now) == timedelta(seconds=1)
    assert memory.time_left("ana", "10.0.0.2", now) == timedelta(0)
    memory.succeeded("the thirtieth", "10.0.0.1", tried)
    assert memory.of_address("10.0.0.1") == Failures(29, NOON)
    for number in range(40):
        now += memory.time_left(f"ben {number}", "10.0.0.1", now)
        memory.begin(f"ben {number}", "10.0.0.1", now)
    assert memory.time_left("ana", "10.0.0.1", now) == timedelta(minutes=1)
    assert backoff.after_failure(memory.of_address("10.0.0.1"), now + timedelta(hours=2), backoff.OF_ADDRESS).count == 1


def test_tries_at_the_same_moment_are_no_more_than_one_after_another() -> None:
    memory = FailureMemory()
    tries = [memory.begin("ana", "10.0.0.1", NOON) for _ in range(16)]
    assert [one.wait > timedelta(0) for one in tries] == [False] * 5 + [True] * 11
    assert memory.of_address("10.0.0.1").count == 5


def test_a_right_password_among_others_tries_takes_only_itself_away() -> None:
    memory = FailureMemory()
    tried = memory.begin("ana", "10.0.0.1", NOON)
    memory.begin("ben", "10.0.0.1", NOON + timedelta(seconds=1))
    memory.succeeded("ana", "10.0.0.1", tried)
    assert memory.of_address("10.0.0.1") == Failures(1, NOON + timedelta(seconds=1))


def test_an_address_is_a_network_where_everybody_has_one() -> None:
    assert backoff.network("2001:db8:1:2::7") == backoff.network("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert backoff.network("2001:db8:1:3::7") != backoff.network("2001:db8:1:2::7")
    assert backoff.network("::ffff:10.0.0.1") == backoff.network("10.0.0.1") == "10.0.0.1"
    assert backoff.network("") == ""
    memory = FailureMemory()
    memory.begin("ana", "2001:db8:1:2::7", NOON)
    assert memory.of_address("2001:db8:1:2::8").count == 1
