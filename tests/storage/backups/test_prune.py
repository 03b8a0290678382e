"""Retention carried out: after a backup, at night, by hand; logged and audited, and only what was agreed to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.backups.record import BackupKind, BackupRecord, BackupState
from storage.clock import utc_now
from storage.errors import Invalid, InvalidRecord
from storage.jobs.model import Job, JobKind, JobState
from storage.opening import Storage, open_storage
from storage.secret import Secret
from storage.settings import Settings
from tests.builders import a_backup, a_job
from tests.conftest import StandingClock
from tests.webapp.conftest import NOWHERE
from tests.webapp.seeding import keep, keep_job, register


@pytest.fixture
def storage(storage_folder: Path, tmp_path: Path, clock: StandingClock) -> Iterator[Storage]:
    """Two databases that nobody can reach, in an instance whose nights are Berlin's."""
    settings = Settings(
        data_folder=storage_folder,
        private_folder=tmp_path / "private",
        database_url=Secret(NOWHERE),
        database_variable="DATABASE_URL",
        time_zone="Europe/Berlin",
    )
    storage = open_storage(settings, clock=clock)
    register(storage, "shop")
    yield storage
    storage.stop()


def history(storage: Storage, *days_old: float, database: str = "shop", now: datetime | None = None) -> list[str]:
    now = now or storage.clock()
    return [keep(storage, a_backup(database, at=now - timedelta(days=days))).backup_id for days in days_old]


def trashed(storage: Storage) -> set[str]:
    return {record.backup_id for record in storage.trash.all()}


def prunes(storage: Storage) -> list[Job]:
    return [job for job in storage.jobs.newest_first() if job.kind is JobKind.PRUNE]


def events(storage: Storage, *actions: str) -> list[tuple[str, str]]:
    return sorted((event.action, event.subject) for event in storage.audit.newest_first() if event.action in actions)


def by_hand(storage: Storage, only: list[str] | None = None) -> Job:
    job, _ = storage.retention.run("shop", by="ana", only=only, background=False)
    return storage.runner.run_here(job)


@pytest.mark.postgres
@pytest.mark.parametrize("where", ["web", "terminal"])
def test_story_1_7_ac6_after_a_good_backup_what_is_older_than_thirty_days_goes_and_that_is_logged(
    an_open_storage: Storage, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    storage = an_open_storage
    old = history(storage, 1, 2, 31, 40, now=utc_now())[2:]
    caplog.set_level(logging.INFO, logger="storage")
    ended = threading.Event()
    storage.runner.on_end(lambda job: ended.set() if job.kind is JobKind.PRUNE else None)
    if where == "web":
        storage.claim()
        storage.runner.start()
        take, _ = storage.backups.take("shop", by="ana")
    else:
        asked, _ = storage.backups.take("shop", by="ana", background=False)
        take = storage.runner.run_here(asked)
    assert ended.wait(60)

    [prune] = prunes(storage)
    take = storage.jobs.get(take.job_id)
    assert (take.state, prune.state) == (JobState.COMPLETED, JobState.COMPLETED)
    assert take.ended_at is not None and prune.started_at is not None and take.ended_at <= prune.started_at
    assert trashed(storage) == set(old)
    assert "retention of shop: 2 moved to the trash" in caplog.text
    assert events(storage, "backup_deleted", "retention_ran") == [
        *(("backup_deleted", backup_id) for backup_id in sorted(old)),
        ("retention_ran", "shop"),
    ]
    assert any("Older than 30 days." in line.text for line in storage.jobs.log(prune.job_id))


def test_a_backup_after_which_nothing_expires_asks_for_no_job(storage: Storage) -> None:
    history(storage, 1, 2, 3)
    storage.retention._after(a_job(JobKind.TAKE, "shop", state=JobState.COMPLETED))
    assert prunes(storage) == []


def test_after_a_backup_that_failed_nothing_expires(storage: Storage) -> None:
    history(storage, 1, 2, 3, 40)
    storage.retention._after(a_job(JobKind.TAKE, "shop", state=JobState.FAILED))
    assert trashed(storage) == set()


def test_the_backups_of_a_database_that_is_no_longer_looked_after_stay(storage: Storage, clock: StandingClock) -> None:
    history(storage, 1, 2, 3, 40, database="gone")
    storage.retention.nightly()
    clock.forward(days=2)
    storage.retention.nightly()
    assert trashed(storage) == set()


def test_it_runs_once_a_night_after_four_and_catches_up_after_a_night_without_pghaven(
    storage: Storage, clock: StandingClock
) -> None:
    clock.moment = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)  # 02:00 in Berlin
    storage.retention.nightly()
    assert storage.retention.next_run() == datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
    old = history(storage, 0, 1, 2, 50)[3:]
    clock.moment = datetime(2026, 11, 22, 2, 59, tzinfo=UTC)
    storage.retention.nightly()
    assert trashed(storage) == set()
    clock.forward(minutes=1)
    storage.retention.nightly()
    assert trashed(storage) == set(old)
    more = history(storage, 60)
    clock.forward(hours=23)
    storage.retention.nightly()
    assert trashed(storage) == set(old)
    clock.forward(days=3)
    storage.retention.nightly()
    assert trashed(storage) == {*old, *more}


def test_a_night_in_whose_run_pghaven_was_killed_is_made_up_for(
    storage: Storage, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(database: str) -> None:
        raise KeyboardInterrupt

    storage.retention.nightly()
    old = history(storage, 0, 1, 2, 50)[3:]
    clock.forward(days=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(storage.retention, "_look", killed)
        storage.retention.nightly()
    clock.forward(minutes=1)
    storage.retention.nightly()
    assert trashed(storage) == set(old)


def test_a_new_folder_has_its_first_run_in_the_night_to_come(storage: Storage, clock: StandingClock) -> None:
    history(storage, 1, 2, 3, 50)
    storage.retention.nightly()
    assert trashed(storage) == set()
    assert storage.retention.next_run() == datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def test_the_preview_of_tonight_is_what_tonight_does(storage: Storage, clock: StandingClock) -> None:
    storage.retention.nightly()
    history(storage, 0, 1, 2, 29.5, 29.9, 31)
    tonight = storage.retention.next_run()
    plan = storage.retention.preview("shop", at=tonight)
    assert len(plan.expired) == 3 and len(storage.retention.preview("shop").expired) == 1
    clock.moment = tonight
    storage.retention.nightly()
    assert trashed(storage) == {one.backup_id for one in plan.expired}


def test_a_run_by_hand_touches_only_what_was_agreed_to(storage: Storage) -> None:
    first, second = history(storage, 1, 2, 3, 40, 41)[3:]
    job = by_hand(storage, only=[first])
    assert (job.state, job.result["moved"]) == (JobState.COMPLETED, [first])
    assert trashed(storage) == {first}
    [record] = storage.trash.all()
    assert record.trashed is not None and record.trashed.by == "ana"
    assert [str(reason) for reason in record.trashed.why] == ["Older than 30 days."]
    assert by_hand(storage).result["moved"] == [second]


def test_a_person_can_agree_to_nothing_that_must_stay(storage: Storage) -> None:
    backups = history(storage, 1, 2, 3, 40)
    by_hand(storage, only=backups)
    assert trashed(storage) == {backups[3]}


def test_what_a_job_was_asked_for_with_stays(storage: Storage) -> None:
    backup_id = history(storage, 1, 2, 3, 40)[3]
    request = {"request": {"backup_id": backup_id, "mode": "new"}}
    keep_job(storage, a_job(JobKind.RESTORE, "shop", state=JobState.WAITING, parameters=request))
    assert by_hand(storage).result["moved"] == []
    assert trashed(storage) == set()


def test_files_that_are_gone_are_noticed_before_anything_is_decided(storage: Storage) -> None:
    """An archive disk that is not mounted: every backup is missing, and nothing is thrown away for that."""
    for backup_id in history(storage, 1, 2, 3, 40, 41):
        storage.backups.catalog.archive_path(storage.backups.catalog.get(backup_id)).unlink()
    assert storage.retention.preview("shop").paused
    by_hand(storage)
    assert trashed(storage) == set()


def test_while_two_runs_in_a_row_failed_nothing_goes(storage: Storage) -> None:
    history(storage, 3, 4, 5, 40)
    for days in (1, 2):
        keep(storage, a_backup(at=storage.clock() - timedelta(days=days), state=BackupState.FAILED))
    by_hand(storage)
    assert trashed(storage) == set()


def test_a_policy_is_kept_for_its_database_alone(storage: Storage) -> None:
    policies = storage.retention.policies
    policies.change("shop", {"days": 7, "weekly": 4}, by="ana")
    assert (policies.of("shop").days, policies.of("shop").changed_by) == (7, "ana")
    assert policies.of("other").days == 30
    with pytest.raises(Invalid, match="days"):
        policies.change("shop", {"days": -1}, by="ana")
    assert (policies.of("shop").days, policies.of("shop").weekly) == (7, 4)


def test_a_policy_that_cannot_be_read_keeps_everything(storage: Storage) -> None:
    history(storage, 1, 2, 3, 40)
    storage.retention.policies.change("shop", {"days": 9000}, by="ana")
    place = storage.settings.data_folder / "metadata" / "retention" / "shop.json"
    place.write_text("{")
    with pytest.raises(InvalidRecord):
        storage.retention.policies.of("shop")
    assert by_hand(storage).state is JobState.FAILED
    storage.retention._after(a_job(JobKind.TAKE, "shop", state=JobState.COMPLETED))
    assert trashed(storage) == set()


def test_what_expired_is_erased_a_week_later(storage: Storage, clock: StandingClock) -> None:
    history(storage, 1, 2, 3, 40)
    by_hand(storage)
    clock.forward(days=7)
    storage.trash.settle()
    assert [one.state for one in storage.backups.catalog.find(database="shop")][-1] is BackupState.ERASED
    assert len(storage.backups.catalog.find(database="shop", states={BackupState.COMPLETE})) == 3


def test_a_young_snapshot_stays_and_an_old_one_goes(storage: Storage) -> None:
    def snapshot(days: float) -> BackupRecord:
        return keep(storage, a_backup(at=storage.clock() - timedelta(days=days), kind=BackupKind.SNAPSHOT))

    history(storage, 1, 2, 3)
    snapshot(13)
    old = snapshot(15)
    by_hand(storage)
    assert trashed(storage) == {old.backup_id}
