"""The end of a job is in the audit log, whoever asked for it and however it ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage.audit import Audit
from storage.audit.actions import ACTIONS
from storage.audit.chain import Event
from storage.clock import utc_now
from storage.errors import Unavailable, say
from storage.jobs.context import JobContext
from storage.jobs.ends import record_end
from storage.jobs.model import Job, JobKind, JobState
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks
from storage.opening import Storage
from tests.builders import a_job


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "audit", clock=utc_now, locks=FileLocks(tmp_path / "locks"))


def recorded(audit: Audit, job: Job) -> Event | None:
    record_end(audit, job)
    return next(audit.newest_first(), None)


def test_every_kind_of_job_has_an_action_with_words(audit: Audit) -> None:
    for kind in JobKind:
        event = recorded(audit, a_job(kind, state=JobState.FAILED))
        assert event and event.action in ACTIONS, kind
        assert event.action != "job_ended", kind


def test_a_restore_is_named_with_its_target_and_an_undo_is_one(audit: Audit) -> None:
    job = a_job(JobKind.RESTORE, state=JobState.COMPLETED).with_(
        requested_by="ana", parameters={}, result={"restore_id": "r1", "target": "shop", "kept_as": "shop_before"}
    )
    event = recorded(audit, job)
    assert event
    assert (event.action, event.actor, event.subject, event.result) == ("restore_ended", "ana", "r1", "ok")
    assert event.facts == {
        "job": job.job_id,
        "database": "shop",
        "restore_id": "r1",
        "target": "shop",
        "kept_as": "shop_before",
    }
    undo = recorded(audit, job.with_(parameters={"request": {"undoes": "r0"}}))
    assert undo and undo.action == "restore_undone"


def test_what_a_runner_ends_is_recorded_with_the_reason(audit: Audit, tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs", locks=FileLocks(tmp_path / "locks"), clock=utc_now)
    runner = JobRunner(store, clock=utc_now, workers=1)
    runner.on_end(lambda job: record_end(audit, job))

    def fail(context: JobContext) -> None:
        raise Unavailable(say("There is no disk."))

    runner.register(JobKind.TAKE, fail)
    job, _ = runner.request(JobKind.TAKE, database="shop", parameters={}, by="ana", background=False)
    runner.run_here(job)
    event = next(audit.newest_first())
    assert (event.action, event.result, event.facts["error"]) == ("backup_taken", "failed", "Unavailable")


KILLED = """
import os, signal, sys
from pathlib import Path
from storage.clock import utc_now
from storage.jobs.model import JobKind
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks

folder = Path(sys.argv[1])
store = JobStore(folder / "metadata" / "jobs", locks=FileLocks(folder / "locks"), clock=utc_now)
runner = JobRunner(store, clock=utc_now, workers=1)
runner.register(JobKind.TAKE, lambda context: os.kill(os.getpid(), signal.SIGKILL))
job, _ = runner.request(JobKind.TAKE, database="shop", parameters={}, by="ana", background=False)
runner.run_here(job)
"""


def test_a_job_whose_process_was_killed_is_recorded_when_that_is_found(an_open_storage: Storage) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(an_open_storage.settings.data_folder)], check=False)
    an_open_storage.upkeep.settle()
    event = next(an_open_storage.audit.newest_first())
    assert (event.action, event.actor, event.subject, event.result) == ("backup_taken", "ana", "shop", "interrupted")
    an_open_storage.upkeep.settle()
    assert next(an_open_storage.audit.newest_first()) == event
