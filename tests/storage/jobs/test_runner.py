"""Carrying jobs out: one job for two who ask at once, cancel from anywhere, and the truth after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from storage import reserve
from storage.clock import utc_now
from storage.errors import Invalid, Unavailable, say
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobKind, JobState, Progress
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.jobs.turns import lock_name, turn
from storage.locks.filelocks import FileLocks

ANOTHER = """
import json, sys, time
from pathlib import Path
from storage.clock import utc_now
from storage.jobs.model import JobKind
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks

folder = Path(sys.argv[1])
store = JobStore(folder / "jobs", locks=FileLocks(folder / "locks"), clock=utc_now)
runner = JobRunner(store, clock=utc_now, workers=1)

def work(context):
    while True:
        context.checkpoint()
        time.sleep(0.02)

runner.register(JobKind.TAKE, work)
sys.stdin.readline()
job, new = runner.request(JobKind.TAKE, database="shop", parameters={"no_logs": False}, by="another", background=False)
print(json.dumps([job.job_id, new]), flush=True)
if new and sys.argv[2] == "run":
    print(runner.run_here(job).state.value, flush=True)
elif new:
    sys.stdin.readline()
"""


class Box:
    """A store and a runner over one folder; more processes over the same on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = JobStore(folder / "jobs", locks=FileLocks(folder / "locks"), clock=utc_now)
        self.runner = JobRunner(self.store, clock=utc_now, workers=2)
        self.processes: list[subprocess.Popen[str]] = []

    def request(self, kind: JobKind = JobKind.TAKE, *, database: str = "shop", background: bool = True) -> Job:
        return self.runner.request(
            kind, database=database, parameters={"no_logs": False}, by="ana", background=background
        )[0]

    def wait(self, job: Job, until: Callable[[Job], bool] = lambda job: job.ended, seconds: float = 10.0) -> Job:
        deadline = time.monotonic() + seconds
        while not until(now := self.store.get(job.job_id)):
            assert time.monotonic() < deadline, now
            time.sleep(0.01)
        return now

    def another(self, *, run: bool) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", ANOTHER, str(self.folder), "run" if run else "hold"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    yield box
    box.runner.stop(grace=0)
    for process in box.processes:
        process.kill()
        process.wait()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def until_cancelled(context: JobContext) -> None:
    while True:
        context.checkpoint()
        time.sleep(0.01)


def test_a_job_is_carried_out_and_its_record_says_so(box: Box) -> None:
    def work(context: JobContext) -> None:
        context.plan((("one", say("One")),))
        context.step("one")
        context.report(Progress(step="one", done=1, total=1))
        context.result(backup_id="b")

    box.runner.register(JobKind.TAKE, work)
    box.runner.start()
    job = box.wait(box.request())
    assert job.state is JobState.COMPLETED and job.result == {"backup_id": "b"} and job.progress.percent == 100
    assert job.started_at and job.ended_at and job.steps[0].ended_at
    assert not box.store.locks.is_held(box.store.lock_name(job.job_id))


def test_a_refusal_fails_the_job_with_its_words(box: Box) -> None:
    def work(context: JobContext) -> None:
        raise Invalid(say("It cannot be."))

    box.runner.register(JobKind.TAKE, work)
    job = box.runner.run_here(box.request(background=False))
    assert job.state is JobState.FAILED and job.error is not None and job.error["kind"] == "Invalid"
    assert "failed: Nothing was changed. It cannot be." in box.store.log(job.job_id)[-1].text


def test_a_bug_fails_the_job_and_not_the_worker(box: Box) -> None:
    def work(context: JobContext) -> None:
        raise ZeroDivisionError("a bug")

    box.runner.register(JobKind.TAKE, work)
    box.runner.register(JobKind.VERIFY, lambda context: None)
    box.runner.start()
    assert box.wait(box.request()).state is JobState.FAILED
    assert box.wait(box.request(JobKind.VERIFY)).state is JobState.COMPLETED


def test_two_threads_that_ask_at_once_get_one_job(box: Box) -> None:
    box.runner.register(JobKind.TAKE, until_cancelled)
    for _ in range(20):
        barrier = threading.Barrier(4)
        answers: list[tuple[str, bool]] = []

        def ask(barrier: threading.Barrier = barrier, answers: list[tuple[str, bool]] = answers) -> None:
            barrier.wait()
            job, new = box.runner.request(
                JobKind.TAKE, database="shop", parameters={"no_logs": False}, by="x", background=False
            )
            answers.append((job.job_id, new))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({job_id for job_id, _ in answers}) == 1
        assert sorted(new for _, new in answers) == [False, False, False, True]
        box.store.ask_to_stop(answers[0][0], by="x")
        box.runner.run_here(box.store.get(answers[0][0]))


def test_two_processes_that_ask_at_once_get_one_job(box: Box) -> None:
    processes = [box.another(run=False) for _ in range(3)]
    for process in processes:
        go(process)
    answers = [json.loads(line(process)) for process in processes]
    assert len({job_id for job_id, _ in answers}) == 1
    assert sorted(new for _, new in answers) == [False, False, True]


def test_other_parameters_are_another_job(box: Box) -> None:
    box.runner.register(JobKind.TAKE, until_cancelled)
    first = box.request(background=False)
    second, new = box.runner.request(
        JobKind.TAKE, database="shop", parameters={"no_logs": True}, by="ana", background=False
    )
    assert new and second.job_id != first.job_id


def test_a_job_can_be_cancelled_from_another_process(box: Box) -> None:
    process = box.another(run=True)
    go(process)
    job_id, _ = json.loads(line(process))
    job = box.wait(box.store.get(job_id), until=lambda job: job.state is JobState.RUNNING)
    asked = time.monotonic()
    box.store.ask_to_stop(job.job_id, by="ana")
    assert line(process) == "cancelled"
    assert time.monotonic() - asked < 1.0
    job = box.store.get(job_id)
    assert job.state is JobState.CANCELLED and job.error is not None
    assert job.error["cause"]["facts"] == {"name": "ana"}


def test_a_waiting_job_can_be_cancelled_before_it_began(box: Box) -> None:
    box.runner.register(JobKind.TAKE, until_cancelled)
    job = box.request()
    box.store.ask_to_stop(job.job_id, by="ana")
    box.runner.start()
    job = box.wait(job)
    assert job.state is JobState.CANCELLED and job.started_at is None


def test_a_job_whose_process_was_killed_is_interrupted_and_makes_way(box: Box) -> None:
    process = box.another(run=True)
    go(process)
    job_id, _ = json.loads(line(process))
    box.wait(box.store.get(job_id), until=lambda job: job.state is JobState.RUNNING)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # A new request is not shown the dead one, even before anybody has closed it.
    box.runner.register(JobKind.TAKE, lambda context: None)
    again, new = box.runner.request(
        JobKind.TAKE, database="shop", parameters={"no_logs": False}, by="ana", background=False
    )
    assert new
    assert [job.job_id for job in box.store.mark_interrupted()] == [job_id]
    assert box.store.get(job_id).state is JobState.INTERRUPTED
    assert box.runner.run_here(again).state is JobState.COMPLETED


def test_stopping_ends_what_still_runs_as_interrupted(box: Box) -> None:
    box.runner.register(JobKind.TAKE, until_cancelled)
    box.runner.start()
    running = [box.request(database=name) for name in ("a", "b")]
    waiting = box.request(database="c")
    for job in running:
        box.wait(job, until=lambda job: job.state is JobState.RUNNING)
    started = time.monotonic()
    box.runner.stop(grace=0.2)
    assert time.monotonic() - started < 3
    assert {box.store.get(job.job_id).state for job in (*running, waiting)} == {JobState.INTERRUPTED}


def test_a_job_without_a_record_keeps_nobody_from_stopping(box: Box) -> None:
    lost, kept = (box.request(database=name, background=False) for name in ("shop", "wiki"))
    (box.folder / "jobs" / f"{lost.job_id}.json").unlink()
    box.runner.stop(grace=0)
    assert box.store.get(kept.job_id).state is JobState.INTERRUPTED
    assert not any(box.store.locks.is_held(box.store.lock_name(one.job_id)) for one in (lost, kept))


def test_a_record_that_cannot_be_written_holds_no_lock(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(job: Job) -> None:
        raise ValueError("no JSON")

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="no JSON"):
        patch.setattr(box.store, "save", fault)
        box.request()
    assert not list(box.folder.glob("locks/job-*"))


def test_a_second_worker_has_the_grace_that_the_first_did_not_need(box: Box) -> None:
    def work(context: JobContext) -> None:
        for _ in range(60 if threading.current_thread().name == "jobs-2" else 1):
            time.sleep(0.01)
            context.checkpoint()

    barrier = threading.Barrier(3)
    box.runner.register(JobKind.TAKE, lambda context: (barrier.wait(), work(context))[1])
    box.runner.start()
    jobs = [box.request(database=name) for name in ("a", "b")]
    barrier.wait()
    box.runner.stop(grace=5)
    assert {box.store.get(job.job_id).state for job in jobs} == {JobState.COMPLETED}


def test_both_workers_together_get_no_more_than_the_grace(box: Box) -> None:
    box.runner.register(JobKind.TAKE, until_cancelled)
    box.runner.start()
    for name in ("a", "b"):
        box.wait(box.request(database=name), until=lambda job: job.state is JobState.RUNNING)
    started = time.monotonic()
    box.runner.stop(grace=0.5)
    assert 0.5 <= time.monotonic() - started < 0.9


def test_a_job_that_waits_is_not_begun_while_stopping(box: Box) -> None:
    begun: list[str] = []

    def work(context: JobContext) -> None:
        begun.append(context.job.database)
        time.sleep(0.3)

    box.runner.register(JobKind.TAKE, work)
    box.runner.start()
    running = [box.request(database=name) for name in ("a", "b")]
    for job in running:
        box.wait(job, until=lambda job: job.state is JobState.RUNNING)
    waiting = box.request(database="c")
    box.runner.stop(grace=5)
    assert sorted(begun) == ["a", "b"]
    assert box.store.get(waiting.job_id).state is JobState.INTERRUPTED
    assert not box.store.locks.is_held(box.store.lock_name(waiting.job_id))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.unmount()


class SmallDisk:
    """A real file system of 24 MB, which somebody else can fill and keep full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        answer = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True)
        if answer.returncode:
            pytest.skip("mounting needs root")
        self._filling = threading.Event()
        self._filler: threading.Thread | None = None
        self.full = threading.Event()

    def fill(self) -> None:
        with (self.folder / "others").open("ab", buffering=0) as others:
            for piece in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        others.write(b"x" * piece)

    def keep_full(self) -> None:
        """Fill it, and whatever becomes free from now on."""

        def work() -> None:
            while not self._filling.is_set():
                self.fill()
                self.full.set()
                time.sleep(0.001)

        self._filler = threading.Thread(target=work)
        self._filler.start()
        assert self.full.wait(10)

    def free(self) -> None:
        self._filling.set()
        if self._filler is not None:
            self._filler.join()
        (self.folder / "others").unlink(missing_ok=True)

    def unmount(self) -> None:
        self.free()
        subprocess.run(["umount", "-l", self.folder], check=True)


def test_on_a_full_disk_the_reserve_lets_a_job_say_how_it_ended(small_disk: SmallDisk) -> None:
    assert reserve.keep(small_disk.folder)
    box = Box(small_disk.folder)

    def work(context: JobContext) -> None:
        context.plan((("one", say("One")),))
        small_disk.fill()
        (small_disk.folder / "archive").write_bytes(b"x" * 100000)

    box.runner.register(JobKind.TAKE, work)
    job = box.runner.run_here(box.request(background=False))
    kept = JobStore(small_disk.folder / "jobs", locks=FileLocks(small_disk.folder / "locks"), clock=utc_now)
    assert kept.get(job.job_id).to_json() == job.to_json() and job.state is JobState.FAILED
    assert job.error is not None and job.error["kind"] == "Unavailable"
    assert not box.store.locks.is_held(box.store.lock_name(job.job_id))
    assert not (small_disk.folder / ".reserve").exists()
    assert not reserve.keep(small_disk.folder), "nobody takes the last bytes"
    small_disk.free()
    assert reserve.keep(small_disk.folder)


def test_a_disk_that_others_keep_full_wedges_no_job(small_disk: SmallDisk) -> None:
    box = Box(small_disk.folder)
    box.runner.register(JobKind.TAKE, lambda context: small_disk.keep_full())
    box.runner.start()
    job = box.request()
    deadline = time.monotonic() + 10
    while box.store.locks.is_held(box.store.lock_name(job.job_id)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert box.store.get(job.job_id).state is JobState.RUNNING, "there was no room to say more"
    with pytest.raises(Unavailable, match="not begun"):
        box.request(database="another")
    with pytest.raises(OSError):
        box.runner.close_again()
    small_disk.free()
    assert [closed.job_id for closed in box.runner.close_again()] == [job.job_id]
    assert box.store.get(job.job_id).state is JobState.COMPLETED
    assert box.runner.close_again() == [] == box.store.mark_interrupted()
    box.runner.register(JobKind.TAKE, lambda context: None)
    assert box.request().job_id != job.job_id
    box.runner.stop(grace=5)


def test_stopping_lets_a_short_job_finish(box: Box) -> None:
    box.runner.register(JobKind.TAKE, lambda context: time.sleep(0.5))
    box.runner.start()
    job = box.wait(box.request(), until=lambda job: job.state is JobState.RUNNING)
    box.runner.stop(grace=5)
    assert box.store.get(job.job_id).state is JobState.COMPLETED


def test_two_jobs_on_one_database_take_turns(box: Box) -> None:
    inside: list[str] = []
    most: list[int] = []

    def work(context: JobContext) -> None:
        with turn(box.store.locks, context):
            inside.append(context.job.job_id)
            most.append(len(inside))
            time.sleep(0.1)
            inside.remove(context.job.job_id)

    box.runner.register(JobKind.TAKE, work)
    box.runner.register(JobKind.VERIFY, work)
    box.runner.start()
    first, second = box.request(JobKind.TAKE), box.request(JobKind.VERIFY)
    assert {box.wait(first).state, box.wait(second).state} == {JobState.COMPLETED}
    assert most == [1, 1]


def test_a_job_that_waits_for_its_turn_says_for_whom_and_can_be_cancelled(box: Box) -> None:
    def work(context: JobContext) -> None:
        with turn(box.store.locks, context):
            pass

    box.runner.register(JobKind.TAKE, work)
    box.runner.start()
    with box.store.locks.hold(lock_name("shop"), holder="restore 7"):
        job = box.wait(box.request(), until=lambda job: bool(box.store.log(job.job_id)))
        assert "waiting for restore 7" in box.store.log(job.job_id)[0].text
        box.store.ask_to_stop(job.job_id, by="ana")
        assert box.wait(job).state is JobState.CANCELLED
