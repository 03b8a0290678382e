"""What happens without anybody asking: proofs that are due, and archives that are read again, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from storage.backups.record import BackupRecord, Verification
from storage.jobs.model import Job, JobKind, JobState
from storage.opening import Storage, open_storage
from storage.secret import Secret
from storage.settings import Settings
from tests.builders import NOON, a_backup
from tests.conftest import StandingClock
from tests.webapp.seeding import keep, register

WEEK = timedelta(days=7)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(NOON)


@pytest.fixture
def settings(storage_folder: Path, tmp_path: Path) -> Settings:
    return Settings(
        data_folder=storage_folder,
        private_folder=tmp_path / "private",
        database_url=Secret("postgresql://nobody@127.0.0.1:1/nothing"),
        database_variable="DATABASE_URL",
    )


@pytest.fixture
def storage(settings: Settings, clock: StandingClock) -> Iterator[Storage]:
    opened = open_storage(settings, clock=clock)
    yield opened
    opened.stop()


def waiting(storage: Storage, kind: JobKind) -> list[Job]:
    return storage.jobs.active(kind=kind)


def end(storage: Storage, job: Job) -> None:
    storage.jobs.save(job.with_(state=JobState.CANCELLED, ended_at=storage.clock()))


def test_first_backups_are_proven_one_database_after_the_other(storage: Storage) -> None:
    register(storage, "hub", "shop")
    records = {name: keep(storage, a_backup(name)) for name in ("hub", "shop")}
    asked = []
    for _ in range(2):
        storage.proofs.look()
        storage.proofs.look()
        [job] = waiting(storage, JobKind.PROVE)
        asked.append(job.parameters["backup_id"])
        assert job.requested_by == ""
        end(storage, job)
    assert sorted(asked) == sorted(record.backup_id for record in records.values())
    storage.proofs.look()
    assert waiting(storage, JobKind.PROVE) == []


def test_nothing_is_proven_by_itself_where_that_is_switched_off(settings: Settings, clock: StandingClock) -> None:
    storage = open_storage(replace(settings, prove_every_days=0), clock=clock)
    register(storage, "shop")
    keep(storage, a_backup("shop"))
    storage.proofs.look()
    assert waiting(storage, JobKind.PROVE) == []
    storage.stop()


def test_the_slice_of_the_week_is_read_one_archive_after_the_other(storage: Storage, clock: StandingClock) -> None:
    register(storage, "shop")
    records = [keep(storage, _read(number)) for number in range(8)]
    asked = []
    for _ in range(4):
        storage.rereading.look()
        jobs = waiting(storage, JobKind.VERIFY)
        storage.rereading.look()
        assert waiting(storage, JobKind.VERIFY) == jobs
        for job in jobs:
            asked.append(job.parameters["backup_id"])
            end(storage, job)
    assert asked == [record.backup_id for record in records[:2]], "a quarter, the one read longest ago first"
    clock.forward(days=7)
    storage.rereading.look()
    assert len(waiting(storage, JobKind.VERIFY)) == 1


def _read(number: int) -> BackupRecord:
    """A backup that was read two weeks ago, the lower the number the longer."""
    moment = NOON - 2 * WEEK + timedelta(minutes=number)
    return a_backup("shop", at=moment, verified=Verification(at=moment, good=True, seconds=1.0))


def test_how_far_the_slice_is_survives_a_restart_and_a_file_that_cannot_be_read(
    storage: Storage, settings: Settings, clock: StandingClock
) -> None:
    register(storage, "shop")
    for number in range(8):
        keep(storage, _read(number))
    storage.rereading.look()
    [first] = waiting(storage, JobKind.VERIFY)
    end(storage, first)
    again = open_storage(settings, clock=clock)
    again.rereading.look()
    [second] = waiting(again, JobKind.VERIFY)
    assert second.parameters != first.parameters
    end(again, second)
    (settings.data_folder / "metadata" / "rereading.json").write_text("{")
    again.rereading.look()
    assert len(waiting(again, JobKind.VERIFY)) == 1
    again.stop()
