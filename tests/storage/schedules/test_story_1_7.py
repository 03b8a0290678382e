"""Story 1.7, acceptance criterion 1: when its time comes, a database is backed up by itself, and that is checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from storage.backups.record import BackupState
from storage.jobs.model import JobKind, JobState
from storage.opening import open_storage
from storage.postgres.connection import Connection, connect
from storage.settings import Settings
from tests.conftest import StandingClock
from tests.servers import Server

pytestmark = pytest.mark.postgres


def test_story_1_7_ac1_at_its_time_a_backup_is_taken_into_the_configured_folder_verified_and_logged(
    server: Server, tmp_path: Path, empty_database: Connection, clock: StandingClock
) -> None:
    folder = tmp_path / "another place"
    settings = Settings(
        data_folder=folder, private_folder=tmp_path / "private", pg_bin_dirs=(server.installation.folder,)
    )
    storage = open_storage(settings, clock=clock)
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 200) n")
    storage.databases.add("shop", empty_database, by="ana")
    storage.schedules.change("shop", expression="30 2 * * *", zone="UTC", by="ana")
    storage.scheduler.look()
    assert storage.jobs.active("shop") == []

    clock.moment = clock.moment.replace(day=23, hour=2, minute=30, second=1)
    storage.scheduler.look()
    [job] = storage.jobs.active("shop", JobKind.TAKE)
    done = storage.runner.run_here(job)
    assert done.state is JobState.COMPLETED

    [record] = storage.backups.catalog.find(database="shop")
    archive = storage.backups.catalog.archive_path(record)
    assert (record.state, record.started_at) == (BackupState.COMPLETE, clock())
    assert archive.is_relative_to(folder / "archives" / "shop")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == record.sha256
    assert record.verified is not None and record.verified.good
    assert record.tables["public.orders"].rows == 200
    event = next(event for event in storage.audit.newest_first() if event.action == "backup_taken")
    assert (event.subject, event.result, event.at) == (record.backup_id, "ok", clock())
    assert any(archive.name in line.text for line in storage.jobs.log(job.job_id))
    storage.stop()
