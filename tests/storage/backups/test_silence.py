"""A server that works without a word is waited for; one that is gone without a word is given up."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from storage.jobs.model import Job, JobState
from storage.postgres.connection import connect
from storage.postgres.snapshot import read_only_moment
from storage.postgres.watchdog import Stalled
from tests.servers import Server, newest_installation, open_folder
from tests.storage.backups.conftest import SHOP
from tests.storage.backups.workshop import Workshop

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def signal_all(server: Server, number: int) -> None:
    pid = server.process.pid
    assert pid is not None
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for one in (pid, *children):
        with suppress(ProcessLookupError):
            os.kill(one, number)


def test_counting_is_waited_for_as_long_as_the_server_lives(storage_folder: Path) -> None:
    folder = open_folder("pghaven-silent-")
    server = Server(newest_installation(), folder)
    workshop = Workshop(folder=storage_folder, connection=server.create_database("shop"), majors=(server.major,))
    workshop.use(stall_seconds=2)
    stopped: list[int] = []
    counting_since: list[float] = []
    silent_since: list[float] = []

    def look(job: Job) -> None:
        if job.progress.step == "dump" and not stopped:
            # The session that is about to count is made to count for ever; everything else on the server works.
            with connect(server.connection, application="tests") as session:
                (pid,) = session.execute(
                    "SELECT pid FROM pg_stat_activity WHERE application_name = %s", (f"pghaven {job.job_id}",)
                ).fetchone() or (0,)
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        if job.progress.step == "count":
            counting_since.append(time.monotonic())
            if not silent_since and time.monotonic() - counting_since[0] > 4:
                signal_all(server, signal.SIGSTOP)
                silent_since.append(time.monotonic())

    try:
        with connect(workshop.connection, application="tests") as session:
            session.execute(SHOP)
        job, _ = workshop.take(on_progress=look)
        assert (job.state, job.progress.step) == (JobState.FAILED, "count")
        assert job.error is not None and job.error["kind"] == "Stalled"
        assert silent_since[0] - counting_since[0] > 4
        assert time.monotonic() - silent_since[0] < 20
    finally:
        signal_all(server, signal.SIGCONT)
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_moment_of_a_server_that_fell_silent_is_left_at_once() -> None:
    folder = open_folder("pghaven-silent-")
    server = Server(newest_installation(), folder)
    try:
        begun = 0.0
        with (
            pytest.raises(Stalled),
            read_only_moment(server.create_database("shop"), application="tests") as session,
        ):
            session.execute("SELECT 1")
            signal_all(server, signal.SIGSTOP)
            begun = time.monotonic()
            raise Stalled(1)
        assert time.monotonic() - begun < 10
    finally:
        signal_all(server, signal.SIGCONT)
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
