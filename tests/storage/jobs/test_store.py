"""Jobs on disk: what survives a crash, who may ask for the end, and what the log may hold."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from storage.errors import Conflict, NotFound
from storage.jobs.model import Job, JobKind, JobState
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks
from tests.builders import a_job
from tests.conftest import StandingClock


@pytest.fixture
def store(tmp_path: Path, clock: StandingClock) -> JobStore:
    return JobStore(tmp_path / "jobs", locks=FileLocks(tmp_path / "locks"), clock=clock)


def running(store: JobStore, **facts: object) -> Job:
    job = a_job(state=JobState.RUNNING, **facts)
    store.save(job)
    return job


def test_a_job_is_read_back_as_it_was(store: JobStore) -> None:
    job = running(store)
    assert store.get(job.job_id) == job
    assert store.active() == [job]


def test_a_job_whose_process_is_gone_is_interrupted(store: JobStore, clock: StandingClock) -> None:
    job = running(store)
    (closed,) = store.mark_interrupted()
    assert closed.job_id == job.job_id and closed.state is JobState.INTERRUPTED and closed.ended_at == clock()
    assert store.get(job.job_id) == closed and store.active() == []
    assert closed.error is not None and "pghaven ended" in closed.error["cause"]["template"]


def test_a_job_whose_process_lives_is_left_alone(store: JobStore) -> None:
    job = running(store)
    with store.locks.hold(store.lock_name(job.job_id), holder="its process"):
        assert store.mark_interrupted() == []
    assert store.get(job.job_id).state is JobState.RUNNING


def test_a_waiting_job_that_was_asked_to_end_is_cancelled_and_not_interrupted(store: JobStore) -> None:
    job = a_job(state=JobState.WAITING)
    store.save(job)
    store.ask_to_stop(job.job_id, by="ana")
    (closed,) = store.mark_interrupted()
    assert closed.state is JobState.CANCELLED
    assert store.asked_to_stop(job.job_id) is None


def test_a_job_that_has_ended_cannot_be_asked_to_end(store: JobStore) -> None:
    job = a_job(state=JobState.COMPLETED)
    store.save(job)
    with pytest.raises(Conflict, match="already ended"):
        store.ask_to_stop(job.job_id, by="ana")


def test_active_jobs_are_found_by_database_and_kind(store: JobStore) -> None:
    shop = running(store, database="shop")
    running(store, database="wiki")
    assert store.active("shop", JobKind.TAKE) == [shop]
    assert store.active("shop", JobKind.RESTORE) == []


def test_what_servers_say_cannot_write_lines_or_colours_into_the_log(store: JobStore) -> None:
    job = running(store)
    store.append_log(job.job_id, "one\r\x1b[2Jtwo\nthree\x07")
    assert [line.text for line in store.log(job.job_id)] == ["one", "\\x1b[2Jtwo", "three\\x07"]
    assert all(line.at == "2026-11-22T13:14:05.000Z" for line in store.log(job.job_id))
    assert [line.text for line in store.log(job.job_id, last=1)] == ["three\\x07"]


def test_a_job_that_nobody_knows_is_not_found(store: JobStore) -> None:
    with pytest.raises(NotFound):
        store.get("20260101T000000Z-abcdef")
    with pytest.raises(NotFound):
        store.ask_to_stop("../../etc/passwd", by="mallory")


def test_many_jobs_are_looked_through_quickly(store: JobStore) -> None:
    for _ in range(300):
        store.save(a_job(state=JobState.COMPLETED), durable=False)
    store.active()
    started = time.perf_counter()
    store.active()
    assert time.perf_counter() - started < 0.1
