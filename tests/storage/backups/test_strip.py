"""The strip tells the truth: rules by example, and against an oracle that works in another way."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.backups.record import BackupRecord, BackupState
from storage.backups.strip import Cell, DayState, day_of, last_days, start_of, strip, worst
from storage.jobs.model import Job, JobKind, JobState
from tests.builders import NOON, a_backup, a_job

BERLIN = ZoneInfo("Europe/Berlin")
TODAY = date(2026, 11, 22)


def cells(*records: BackupRecord, jobs: tuple[Job, ...] = (), days: int = 30) -> tuple[Cell, ...]:
    return strip(records, jobs, today=TODAY, zone=BERLIN, days=days)


def today_with(*states: BackupState) -> DayState:
    """The state of a day on which backups ended so, one an hour."""
    return cells(*(a_backup(at=NOON + timedelta(hours=hour), state=state) for hour, state in enumerate(states)))[
        -1
    ].state


C, F, X, I = BackupState.COMPLETE, BackupState.FAILED, BackupState.CANCELLED, BackupState.INTERRUPTED  # noqa: E741


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((C,), DayState.COMPLETE),
        ((C, C), DayState.COMPLETE),
        ((F,), DayState.FAILED),
        ((F, C), DayState.WARNING),
        ((C, F), DayState.FAILED),
        ((C, F, C), DayState.WARNING),
        ((X,), DayState.WARNING),
        ((I,), DayState.WARNING),
        ((X, C), DayState.COMPLETE),
        ((I, C), DayState.COMPLETE),
        ((C, X), DayState.WARNING),
        ((F, X), DayState.FAILED),
        ((C, BackupState.DAMAGED), DayState.DAMAGED),
        ((BackupState.MISSING, C), DayState.DAMAGED),
        ((F, BackupState.DAMAGED), DayState.DAMAGED),
        ((BackupState.DAMAGED, BackupState.TAKING), DayState.RUNNING),
    ],
)
def test_the_worst_of_a_day_wins(states: tuple[BackupState, ...], expected: DayState) -> None:
    assert today_with(*states) is expected


def test_days_before_the_first_backup_are_not_days_without_one() -> None:
    shown = cells(a_backup(at=NOON - timedelta(days=3)), a_backup(at=NOON - timedelta(days=1)))
    assert [cell.state.value for cell in shown[-5:]] == ["before", "complete", "nothing", "complete", "nothing"]


def test_a_first_backup_older_than_the_strip_leaves_no_hollow_beginning() -> None:
    shown = cells(a_backup(at=NOON - timedelta(days=90)))
    assert {cell.state for cell in shown} == {DayState.NOTHING}


def test_a_first_backup_that_failed_is_where_history_begins() -> None:
    shown = cells(a_backup(at=NOON - timedelta(days=1), state=F))
    assert [cell.state for cell in shown[-3:]] == [DayState.BEFORE, DayState.FAILED, DayState.NOTHING]


def test_without_any_backup_every_day_is_before_the_first() -> None:
    shown = cells()
    assert len(shown) == 30
    assert {cell.state for cell in shown} == {DayState.BEFORE}


def test_a_take_that_has_no_record_yet_is_shown_as_running() -> None:
    job = a_job(at=NOON, state=JobState.WAITING)
    assert cells(jobs=(job,))[-1].state is DayState.RUNNING
    assert cells(jobs=(job,))[-1].job_id == job.job_id


def test_jobs_that_ended_and_jobs_that_take_nothing_are_not_running() -> None:
    jobs = (a_job(state=JobState.FAILED), a_job(JobKind.VERIFY), a_job(JobKind.RESTORE))
    assert cells(jobs=jobs)[-1].state is DayState.BEFORE


def test_a_backup_over_midnight_counts_on_the_day_it_was_started() -> None:
    before_midnight = datetime(2026, 11, 21, 22, 59, tzinfo=UTC)  # 23:59 in Berlin
    shown = cells(a_backup(at=before_midnight, seconds=3600))
    assert [cell.state for cell in shown[-2:]] == [DayState.COMPLETE, DayState.NOTHING]


def test_the_day_is_the_one_of_the_zone_and_not_of_utc() -> None:
    shown = cells(a_backup(at=datetime(2026, 11, 21, 23, 30, tzinfo=UTC)))  # 00:30 on the 22nd in Berlin
    assert shown[-1].state is DayState.COMPLETE


def test_a_cell_has_the_facts_of_its_label() -> None:
    older = a_backup(at=NOON - timedelta(hours=4), bytes=1, seconds=1)
    newer = a_backup(at=NOON - timedelta(hours=2), bytes=2_000, seconds=61)
    failed = a_backup(at=NOON, state=F)
    cell = cells(older, newer, failed)[-1]
    assert (cell.day, cell.total, cell.counts[C], cell.counts[F]) == (TODAY, 3, 2, 1)
    assert (cell.bytes, cell.seconds) == (2_000, 61.0)
    assert cell.backup_id == ""


def test_a_day_with_one_backup_opens_it() -> None:
    record = a_backup()
    assert cells(record)[-1].backup_id == record.backup_id


def test_in_the_night_of_25_hours_both_hours_belong_to_the_same_day() -> None:
    first = a_backup(at=datetime(2026, 10, 25, 0, 30, tzinfo=UTC))  # 02:30 summer time
    second = a_backup(at=datetime(2026, 10, 25, 1, 30, tzinfo=UTC))  # 02:30 winter time
    [cell] = [cell for cell in cells(first, second) if cell.total]
    assert (cell.day, cell.total) == (date(2026, 10, 25), 2)


def test_the_day_of_23_hours_begins_and_ends_where_it_should() -> None:
    day = date(2026, 3, 29)
    assert start_of(day + timedelta(days=1), BERLIN) - start_of(day, BERLIN) == timedelta(hours=23)


def test_no_backups_on_either_side_of_a_shown_day_are_lost_where_clocks_change_at_midnight() -> None:
    havana = ZoneInfo("America/Havana")  # on 1 November 2026 the clocks go from 01:00 back to 00:00
    moments = [datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in range(3, 7)]
    shown = strip([a_backup(at=moment) for moment in moments], today=date(2026, 11, 1), zone=havana, days=2)
    assert [cell.total for cell in shown] == [1, 3]


def test_running_is_the_worst_of_several_databases_and_nothing_at_all_is_before() -> None:
    assert worst([DayState.COMPLETE, DayState.RUNNING, DayState.DAMAGED]) is DayState.RUNNING
    assert worst([DayState.COMPLETE, DayState.FAILED]) is DayState.FAILED
    assert worst([]) is DayState.BEFORE


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Shanghai", "America/New_York", "Pacific/Apia", "Africa/Cairo"])
MOMENTS = st.datetimes(datetime(2026, 9, 20), datetime(2026, 11, 24)).map(lambda moment: moment.replace(tzinfo=UTC))
HISTORIES = st.lists(st.tuples(MOMENTS, st.sampled_from(BackupState)), max_size=40)


def oracle(history: list[tuple[datetime, BackupState]], day: date, zone: ZoneInfo) -> str:
    """The state of a day from its letters in the order of time, by looking at the string alone."""
    letters = "".join(
        {
            "complete": "c",
            "failed": "f",
            "cancelled": "x",
            "interrupted": "x",
            "damaged": "d",
            "missing": "d",
            "trashed": "r",
            "erased": "r",
        }.get(state.value, "t")
        for moment, state in sorted(history, key=lambda entry: entry[0])
        if moment.astimezone(zone).strftime("%F") == day.isoformat()
    )
    if "t" in letters:
        return "running"
    if "d" in letters:
        return "damaged"
    if "f" in letters.replace("r", "c").rpartition("c")[2]:
        return "failed"
    if "f" in letters or letters.endswith("x"):
        return "warning"
    if letters:
        return "complete" if "c" in letters else "trashed"
    earlier = [moment for moment, _ in history if moment.astimezone(zone).strftime("%F") < day.isoformat()]
    return "nothing" if earlier else "before"


@settings(max_examples=150, deadline=None)
@given(history=HISTORIES, zone_name=ZONES, days=st.sampled_from([7, 30, 45]))
def test_every_history_is_shown_as_the_oracle_sees_it(
    history: list[tuple[datetime, BackupState]], zone_name: str, days: int
) -> None:
    # Two backups of one database never start in the same moment: a lock sees to it.
    history = list({moment: (moment, state) for moment, state in history}.values())
    zone = ZoneInfo(zone_name)
    records = [a_backup(at=moment, state=state) for moment, state in history]
    shown = strip(records, today=TODAY, zone=zone, days=days)
    assert [cell.day for cell in shown] == last_days(TODAY, days)
    assert [cell.state.value for cell in shown] == [oracle(history, cell.day, zone) for cell in shown]
    counted = [record for record in records if shown[0].day <= day_of(record.started_at, zone) <= TODAY]
    assert sum(cell.total for cell in shown) == len(counted)
