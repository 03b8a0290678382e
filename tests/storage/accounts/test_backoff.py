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
    assert timedelta(0) <= left <= backoff.LONGEST


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
    for _ in range(6):
        memory.failed("ana", "10.0.0.1", NOON)
    assert memory.of("ana", "10.0.0.1").count == 6
    assert memory.of("ana", "10.0.0.2").count == 0
    assert memory.of("ben", "10.0.0.1").count == 0
    memory.succeeded("ana", "10.0.0.1")
    assert memory.of("ana", "10.0.0.1").count == 0


def test_the_memory_of_failures_does_not_grow_for_ever() -> None:
    memory = FailureMemory()
    for number in range(backoff._MOST_KEPT + 10):
        memory.failed(str(number), "10.0.0.1", NOON)
    assert len(memory._failures) == backoff._MOST_KEPT
