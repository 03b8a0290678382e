"""Protected or not, and why."""

from __future__ import annotations

from datetime import timedelta

from storage.backups.protection import DatabaseProtection, Protection, protection, sentence
from storage.backups.record import BackupRecord, BackupState
from storage.jobs.model import Job, JobKind, JobState
from tests.builders import NOON, a_backup, a_job


def judged(*records: BackupRecord, jobs: tuple[Job, ...] = (), database: str = "shop") -> DatabaseProtection:
    return protection(database, records, jobs, now=NOON)


def hours_ago(hours: float, state: BackupState = BackupState.COMPLETE, *, no_logs: bool = False) -> BackupRecord:
    return a_backup(at=NOON - timedelta(hours=hours), state=state, no_logs=no_logs)


def test_a_good_backup_of_last_night_protects() -> None:
    standing = judged(hours_ago(7))
    assert (standing.state, standing.age) == (Protection.PROTECTED, timedelta(hours=7))
    assert not standing.needs_someone


def test_after_two_days_without_a_good_backup_it_is_late() -> None:
    assert judged(hours_ago(47.9)).state is Protection.PROTECTED
    assert judged(hours_ago(48.1)).state is Protection.LATE


def test_without_any_backup_it_was_never_backed_up() -> None:
    assert judged().state is Protection.NEVER
    assert judged(hours_ago(1, BackupState.CANCELLED)).state is Protection.NEVER


def test_the_first_backup_is_not_a_trouble_while_it_runs_or_waits() -> None:
    for state in (JobState.RUNNING, JobState.WAITING):
        standing = judged(hours_ago(0, BackupState.TAKING), jobs=(a_job(state=state),))
        assert standing.state is Protection.FIRST
        assert not standing.needs_someone


def test_jobs_of_other_databases_or_other_kinds_are_no_first_backup() -> None:
    assert judged(jobs=(a_job(database="wiki"), a_job(JobKind.VERIFY))).state is Protection.NEVER


def test_failures_are_counted_back_to_the_last_good_backup() -> None:
    failed = BackupState.FAILED
    standing = judged(hours_ago(80, failed), hours_ago(59), hours_ago(34, failed), newest := hours_ago(10, failed))
    assert (standing.state, standing.failures, standing.trouble) == (Protection.FAILING, 2, newest)
    assert standing.newest_good is not None
    assert standing.age == timedelta(hours=59)


def test_a_good_backup_ends_the_failing() -> None:
    assert judged(hours_ago(2, BackupState.FAILED), hours_ago(1)).state is Protection.PROTECTED


def test_cancelling_one_does_not_make_a_database_unprotected() -> None:
    assert judged(hours_ago(7), hours_ago(1, BackupState.CANCELLED)).state is Protection.PROTECTED
    assert judged(hours_ago(7), hours_ago(1, BackupState.INTERRUPTED)).state is Protection.PROTECTED


def test_a_cancelled_attempt_does_not_hide_the_failure_before_it() -> None:
    standing = judged(hours_ago(30), hours_ago(7, BackupState.FAILED), hours_ago(1, BackupState.CANCELLED))
    assert standing.state is Protection.FAILING


def test_when_the_newest_backup_is_damaged_or_missing_the_one_before_is_named() -> None:
    good = hours_ago(31)
    for state in (BackupState.DAMAGED, BackupState.MISSING):
        standing = judged(good, bad := hours_ago(7, state))
        assert (standing.state, standing.trouble, standing.newest_good) == (Protection.DAMAGED, bad, good)


def test_a_backup_without_log_rows_stands_back_behind_one_that_has_them() -> None:
    whole = hours_ago(30)
    assert judged(whole, hours_ago(1, no_logs=True)).newest_good == whole
    assert judged(hours_ago(60), hours_ago(1, no_logs=True)).state is Protection.LATE
    standing = judged(older := hours_ago(60, no_logs=True), hours_ago(70, no_logs=True))
    assert (standing.newest_good, standing.state) == (older, Protection.LATE)
    assert judged(hours_ago(1, no_logs=True)).state is Protection.PROTECTED


def test_an_older_damaged_backup_does_not_make_the_database_unprotected() -> None:
    assert judged(hours_ago(31, BackupState.DAMAGED), hours_ago(7)).state is Protection.PROTECTED


def test_the_sentence_counts_and_names_the_worst_first() -> None:
    standings = [
        judged(hours_ago(60), database="hub"),
        judged(hours_ago(7), database="wiki"),
        judged(hours_ago(9, BackupState.FAILED), database="shop"),
        judged(jobs=(a_job(database="new"),), database="new"),
    ]
    said = sentence(standings)
    assert (said.databases, said.protected) == (4, 1)
    assert said.needing == ("shop", "hub")
    assert said.first == ("new",)
    assert not said.all_protected
    assert said.oldest_good is None


def test_when_all_are_protected_the_oldest_good_backup_is_told() -> None:
    said = sentence([judged(hours_ago(2)), judged(hours_ago(7))])
    assert said.all_protected
    assert said.oldest_good == timedelta(hours=7)


def test_no_databases_are_not_all_protected() -> None:
    assert not sentence([]).all_protected
