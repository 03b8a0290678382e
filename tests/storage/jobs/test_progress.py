"""Progress as pages see it: steps in order, a bar that never goes back."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from storage.errors import JobCancelled, say
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobState, Progress
from tests.builders import a_job
from tests.conftest import StandingClock


class Shown:
    """A context and all that it showed."""

    def __init__(self, clock: StandingClock) -> None:
        self.jobs: list[Job] = []
        self.stop: str | None = None
        self.context = JobContext(
            a_job(state=JobState.RUNNING, progress=Progress()),
            clock=clock,
            save=lambda job, durable: None,
            write_log=lambda text: None,
            asked_to_stop=lambda: self.stop,
            on_progress=self.jobs.append,
        )

    @property
    def parts(self) -> list[float]:
        return [job.progress.done / job.progress.total for job in self.jobs if job.progress.total]


@pytest.fixture
def shown(clock: StandingClock) -> Shown:
    return Shown(clock)


def test_the_bar_never_goes_back_whatever_is_measured(shown: Shown) -> None:
    chance = random.Random(7)
    for _ in range(500):
        total = chance.randint(1, 10**12)
        shown.context.report(Progress(done=chance.randint(0, total), total=total))
    percents = [job.progress.percent for job in shown.jobs]
    assert percents == sorted(percents)  # type: ignore[type-var]


def test_the_bar_never_goes_back_with_several_threads_reporting(shown: Shown) -> None:
    def report() -> None:
        for done in range(200):
            shown.context.report(Progress(done=done, total=200))

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown.parts == sorted(shown.parts)


def test_a_total_that_grows_does_not_take_the_bar_back(shown: Shown) -> None:
    shown.context.report(Progress(done=50, total=100))
    shown.context.report(Progress(done=60, total=1000))
    assert shown.context.job.progress.percent == 50


def test_a_report_that_knows_no_total_leaves_the_bar_where_it_is(shown: Shown) -> None:
    shown.context.report(Progress(done=50, total=100))
    shown.context.report(Progress(item="public.orders"))
    assert (shown.context.job.progress.percent, shown.context.job.progress.item) == (50, "public.orders")


def test_a_step_ends_when_the_next_begins(shown: Shown, clock: StandingClock) -> None:
    shown.context.plan((("one", say("First")), ("two", say("Second"))))
    shown.context.step("one")
    began = clock()
    clock.forward(seconds=5)
    shown.context.step("two", say("Second, with facts"))
    one, two = shown.context.job.steps
    assert (one.started_at, one.ended_at) == (began, clock())
    assert (two.started_at, two.ended_at, str(two.title)) == (clock(), None, "Second, with facts")
    clock.forward(seconds=1)
    shown.context.finish_steps()
    assert shown.context.job.steps[1].ended_at == clock()


def test_a_checkpoint_ends_the_job_that_somebody_asked_to_end(shown: Shown) -> None:
    shown.context.checkpoint()
    shown.stop = "ana"
    shown.context._last_look = 0.0  # looks at most ten times a second
    with pytest.raises(JobCancelled, match="Cancelled by ana"):
        shown.context.checkpoint()


def test_progress_survives_its_file(tmp_path: Path) -> None:
    progress = Progress(step="dump", done=5, total=9, item="public.orders", rows=12, rate=3.5)
    assert Progress.from_json(progress.to_json()) == progress
    assert progress.percent == 55
    assert Progress(done=3).percent is None
