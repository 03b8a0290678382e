"""Many schedules at one moment: never more at once than there are workers, in the order of asking, and none lost."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from storage.backups.record import BackupKind
from storage.clock import to_text, utc_now
from storage.databases.profile import DatabaseProfile
from storage.jobs.model import Job, JobKind, JobState
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection
from storage.settings import Settings
from tests.servers import Server, open_folder

pytestmark = pytest.mark.postgres

NAMES = tuple(f"shop{number}" for number in range(6))
WORKERS = 2


@pytest.fixture
def storage(server: Server, storage_folder: Path, empty_database: Connection) -> Iterator[Storage]:
    private = open_folder("pghaven-private-")
    storage = open_storage(
        Settings(
            data_folder=storage_folder,
            private_folder=private,
            pg_bin_dirs=(server.installation.folder,),
            parallel_jobs=WORKERS,
        )
    )
    for name in NAMES:
        storage.databases._records.save(DatabaseProfile(name=name, connection=empty_database))
    yield storage
    storage.stop()
    shutil.rmtree(private, ignore_errors=True)


def test_six_that_are_due_at_once_run_two_at_a_time_one_after_the_other(storage: Storage) -> None:
    ended: list[Job] = []
    all_ended = threading.Event()

    def note(job: Job) -> None:
        ended.append(job)
        if len([one for one in ended if one.kind is JobKind.TAKE]) == len(NAMES):
            all_ended.set()

    storage.runner.on_end(note)
    slot = utc_now().replace(second=0, microsecond=0)
    storage.schedules.make_missing()
    for name in NAMES:
        present = storage.schedules.of(name)
        earlier = slot - timedelta(days=1)
        storage.schedules.save(
            present.with_(expression="* * * * *", counts_from=earlier, decided_until=slot - timedelta(seconds=1))
        )
    storage.scheduler.look()
    assert {job.state for job in storage.jobs.active()} == {JobState.WAITING}
    storage.runner.start()
    assert all_ended.wait(240)
    takes = [storage.jobs.get(job.job_id) for job in ended if job.kind is JobKind.TAKE]
    assert {job.state for job in takes} == {JobState.COMPLETED}
    assert sorted(job.database for job in takes) == sorted(NAMES)
    assert _most_at_once(takes) == WORKERS
    for name in NAMES:
        (record,) = storage.backups.catalog.find(database=name)
        (kept,) = storage.schedules.slots(name).newest(5, now=utc_now())
        assert record.good and (record.kind, record.slot) == (BackupKind.SCHEDULED, to_text(kept.at))
    begun = sorted(takes, key=lambda job: job.started_at or job.requested_at)
    # Two workers may take the same moment's jobs in either order; nobody is overtaken by more than one.
    places = [NAMES.index(job.database) for job in begun]
    assert all(later - earlier >= -1 for earlier, later in pairwise(places))


def _most_at_once(jobs: list[Job]) -> int:
    moments: list[tuple[datetime, int]] = []
    for job in jobs:
        assert job.started_at is not None and job.ended_at is not None
        moments += [(job.started_at, 1), (job.ended_at, -1)]
    running = most = 0
    for _moment, change in sorted(moments):
        running += change
        most = max(most, running)
    return most
