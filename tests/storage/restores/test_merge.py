"""A merge adds what is missing, in one transaction, and leaves alone what is there."""

from __future__ import annotations

from typing import Any

import pytest

from storage.backups.record import BackupRecord
from storage.jobs.model import Job, JobState
from storage.restores.request import Mode, RestoreRequest
from tests.storage.restores.conftest import Haven
from tests.storage.restores.test_restricted import ROLES, bring, dumped

pytestmark = pytest.mark.postgres


def job_for(haven: Haven, backup: BackupRecord, **more: Any) -> Job:
    request = RestoreRequest(backup_id=backup.backup_id, mode=Mode.MERGE, **more)
    job, _ = haven.restores.start(request, by="ana", confirmed=haven.connection.dbname, background=False)
    return job


def merge(haven: Haven, backup: BackupRecord, **more: Any) -> Job:
    return haven.runner.run_here(job_for(haven, backup, **more))


def merged(haven: Haven, backup: BackupRecord, **more: Any) -> dict[str, Any]:
    """What came of every table, of a merge that must succeed and leave nothing beside."""
    databases = haven.databases()
    job = merge(haven, backup, **more)
    assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
    assert haven.databases() == databases
    assert haven.ask(ROLES) == 0
    record = haven.restores.get(job.result["restore_id"])
    assert record.merged == job.result["merged"] and not record.unsettled
    found: dict[str, Any] = job.result["merged"]
    return found


def counts(inserted: int, left_alone: int, **more: Any) -> dict[str, Any]:
    return {"inserted": inserted, "left_alone": left_alone, **more}


@pytest.mark.parametrize("ours", [True, False])
def test_missing_rows_come_and_present_rows_stay_as_they_are(haven: Haven, ours: bool) -> None:
    backup = haven.take() if ours else bring(haven, dumped(haven))
    haven.run("DELETE FROM orders WHERE id <= 300 OR user_id = 7; DELETE FROM users WHERE id = 7")
    haven.run("UPDATE users SET name = 'new' WHERE id <= 10; INSERT INTO orders (user_id, cents) VALUES (1, -5)")
    gone = 2000 - haven.ask("SELECT count(*) FROM orders WHERE cents > 0")
    assert merged(haven, backup) == {"public.orders": counts(gone, 2000 - gone), "public.users": counts(1, 199)}
    assert haven.ask("SELECT count(*) FROM orders") == 2001
    assert haven.ask("SELECT count(*) FROM users WHERE name = 'new'") == 9
    assert haven.ask("SELECT name FROM users WHERE id = 7") == "user 7"
    assert haven.ask("SELECT cents FROM orders WHERE id = 2001") == -5
    assert haven.ask("SELECT note FROM orders WHERE id = 300") == {"n": 300}
    haven.run("INSERT INTO orders (user_id, cents) VALUES (1, -8)")
    assert haven.ask("SELECT id FROM orders WHERE cents = -8") == 2002
