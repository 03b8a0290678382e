"""`pghaven jobs`: how far each came."""

from __future__ import annotations

import pytest

from storage.clock import utc_now
from storage.errors import say
from storage.jobs.model import JobState, Step
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks
from tests.builders import NOON, a_job
from tests.webapp.cli.conftest import Terminal


def test_the_step_at_which_a_job_ended_is_told_from_those_that_never_began(terminal: Terminal) -> None:
    store = JobStore(terminal.folder / "metadata" / "jobs", locks=FileLocks(terminal.folder / "locks"), clock=utc_now)
    steps = (
        Step(code="a", title=say("one"), started_at=NOON, ended_at=NOON),
        Step(code="b", title=say("two"), started_at=NOON),
        Step(code="c", title=say("three")),
    )
    job = a_job(state=JobState.FAILED, steps=steps)
    store.save(job)
    shown = terminal("jobs", "show", job.job_id).good().out
    assert [line.split() for line in shown.splitlines()[1:4]] == [["done", "one"], ["failed", "two"], ["–", "three"]]


@pytest.mark.parametrize("verb", ["list", "show"])
def test_a_job_whose_process_was_killed_does_not_run(terminal: Terminal, verb: str) -> None:
    store = JobStore(terminal.folder / "metadata" / "jobs", locks=FileLocks(terminal.folder / "locks"), clock=utc_now)
    job = a_job(state=JobState.RUNNING)
    store.save(job)
    shown = terminal("jobs", verb, *([job.job_id] if verb == "show" else [])).good().out
    assert "interrupted" in shown and "running" not in shown.replace("while this job was running", "")


def test_a_job_that_is_not_there_is_called_a_job(terminal: Terminal) -> None:
    for verb in ("show", "cancel"):
        ended = terminal("jobs", verb, "nope")
        assert ended.code == 3
        assert "There is no job nope." in ended.err
