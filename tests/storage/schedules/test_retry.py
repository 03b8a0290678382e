"""Which scheduled backups are tried again: after pghaven ended in their middle, or when their server was away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from storage.clock import to_text
from storage.jobs.model import Job, JobKind, JobState
from storage.schedules import retry
from tests.builders import NOON, a_job

DAY = timedelta(days=1)
SLOT = {"slot": to_text(NOON), "no_logs": False}


def interrupted(database: str = "shop", **changes: Any) -> Job:
    facts = {"state": JobState.INTERRUPTED, "parameters": SLOT} | changes
    return a_job(JobKind.TAKE, database, **facts)


def tried_again(*newest_first: Job, after: timedelta = timedelta(hours=3)) -> list[Job]:
    return [one.job for one in retry.due(newest_first, now=NOON + after, window=DAY)]


def test_the_newest_backup_of_each_database_is_if_it_was_a_slots_and_was_interrupted() -> None:
    shop, hub = interrupted(), interrupted("hub")
    assert tried_again(shop, hub) == [shop, hub]
    assert retry.due([shop], now=NOON, window=DAY)[0].at == NOON


@pytest.mark.parametrize(
    "newer",
    [
        interrupted(state=JobState.COMPLETED),
        interrupted(state=JobState.RUNNING),
        interrupted(parameters={"no_logs": False}),
        interrupted(parameters=SLOT | {"retry_of": "the first"}),
    ],
)
def test_what_came_later_decides(newer: Job) -> None:
    assert tried_again(newer, interrupted()) == []


@pytest.mark.parametrize("turned", [False, True])
def test_one_that_has_its_second_try_is_not_tried_again_in_whichever_order_both_are_listed(turned: bool) -> None:
    first = interrupted()
    second = a_job(JobKind.TAKE, state=JobState.COMPLETED, parameters=SLOT | {"retry_of": first.job_id})
    assert tried_again(*([first, second] if turned else [second, first])) == []


def test_a_backup_without_logs_and_other_jobs_decide_nothing() -> None:
    older = interrupted()
    others = (a_job(JobKind.VERIFY), a_job(JobKind.TAKE, state=JobState.COMPLETED, parameters={"no_logs": True}))
    assert tried_again(*others, older) == [older]


LOST = {"kind": "ConnectionLost"}
REFUSED = {"kind": "Unreachable", "trouble": "refused"}


def failed(minute: int, error: dict[str, str], **more: str) -> Job:
    at = NOON + timedelta(minutes=minute)
    facts = {"state": JobState.FAILED, "error": error, "parameters": SLOT | more}
    return a_job(JobKind.TAKE, "shop", **facts).with_(requested_at=at, ended_at=at)


@pytest.mark.parametrize("error", [LOST, REFUSED, REFUSED | {"trouble": "starting"}])
def test_one_whose_server_was_away_is_tried_three_times_more_with_pauses_that_grow(error: dict[str, str]) -> None:
    def minutes(*newest_first: Job) -> list[int]:
        return [n for n in range(40) if tried_again(*newest_first, after=timedelta(minutes=n)) == [newest_first[0]]]

    first = failed(0, error)
    second = failed(2, error, retry_of=first.job_id)
    third = failed(7, error, retry_of=second.job_id)
    fourth = failed(22, error, retry_of=third.job_id)
    assert minutes(first)[0] == 2
    assert minutes(second, first)[0] == 7
    assert minutes(third, second, first)[0] == 22
    assert minutes(fourth, third, second, first) == []


@pytest.mark.parametrize(
    "error", [{"kind": "Unavailable"}, {"kind": "Denied"}, REFUSED | {"trouble": "password"}, {"kind": "Unreachable"}]
)
def test_what_another_try_does_not_mend_is_not_tried_again(error: dict[str, str]) -> None:
    assert tried_again(failed(0, error)) == []


def test_the_tries_of_the_night_before_do_not_count() -> None:
    nights = [failed(-24 * 60 - n, LOST, slot="2026-11-21T12:00:00Z") for n in range(3)]
    assert len(tried_again(failed(0, LOST), *nights)) == 1


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.COMPLETED])
def test_one_that_ended_by_itself_is_not(state: JobState) -> None:
    assert tried_again(interrupted(state=state)) == []


@pytest.mark.parametrize(("hours", "times"), [(24, 1), (24.1, 0), (-1, 0)])
def test_one_that_is_too_old_is_not_nor_one_of_a_clock_that_was_ahead(hours: float, times: int) -> None:
    assert len(tried_again(interrupted(), after=timedelta(hours=hours))) == times
