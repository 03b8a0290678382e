"""One backup: what its page says in each state, and the buttons that a state has."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage.accounts.permissions import Role
from storage.backups.record import BackupState
from storage.jobs.model import JobKind, JobState
from storage.opening import Storage
from tests.builders import NOON, a_backup, a_job, a_table
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep, keep_job, register


def text(page: str) -> str:
    return page.replace("\u00a0", " ")


def test_everything_recorded_is_shown(admin: Browser, storage: Storage) -> None:
    register(storage, "shop")
    record = keep(storage, a_backup("shop", at=NOON, seconds=133))
    keep_job(storage, a_job(database="shop", job_id=record.job_id), "room: 56.1 GB free", "pg_dump: warning: circles")
    page = text(admin.get(f"/backups/{record.backup_id}").text)
    for said in (
        "Sun 22 Nov, 13:00:00",  # Berlin
        "12:00:00 UTC",
        ">1 h ago<",
        "2 min 13 s",
        "pg_dump 16.11",
        "PostgreSQL 16.10 (Debian 16.10-1)",
        "zstd:1",
        record.sha256,
        record.backup_id,
        record.snapshot,
        "room: 56.1 GB free",
        "This backup can be used.",
        "pg_restore --no-owner --exit-on-error --jobs=4 --dbname=shop_20261122 backup_shop_2026-11-22T12-00-00.dump",
        f"http://localhost/backups/{record.backup_id}/archive",
        f"/restores/new?backup_id={record.backup_id}",
    ):
        assert said in page, said
    assert '<li class="s-warning">' in page


def test_tables_are_compared_with_the_backup_before(admin: Browser, storage: Storage) -> None:
    many = {f"public.t{number:02}": a_table(number, bytes=number) for number in range(30)}
    earlier = {**many, "public.old": a_table(5), "public.t03": a_table(9), "public.t04": a_table(4, digest="other")}
    del earlier["public.t29"]
    keep(storage, a_backup("shop", at=NOON - timedelta(days=1), tables=earlier))
    record = keep(storage, a_backup("shop", at=NOON, tables=many))
    page = text(admin.get(f"/backups/{record.backup_id}").text)
    assert "10 of 31, the largest first" in page
    assert '<th scope="row">t29</th>' in page
    assert "t03" not in page
    page = text(admin.get(f"/backups/{record.backup_id}?all=1").text)
    assert '<span class="down">6</span>' in page
    assert "other content" in page
    assert "new</td>" in page
    assert "gone" in page
    assert "Show all" not in page


def test_rows_that_were_left_out_are_not_called_zero(admin: Browser, storage: Storage) -> None:
    record = keep(storage, a_backup("shop", no_logs=True, tables={"public.log": a_table(0, left_out=True)}))
    page = admin.get(f"/backups/{record.backup_id}").text
    assert "left out" in page
    assert "the rows of log tables; their structure is kept" in page


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (BackupState.TAKING, "This backup is being taken."),
        (BackupState.FAILED, "This backup failed, and nothing of it was kept."),
        (BackupState.CANCELLED, "This backup was cancelled, and nothing of it was kept."),
        (BackupState.INTERRUPTED, "pghaven ended while this backup was being taken"),
        (BackupState.DAMAGED, "This file no longer matches what was written. It will not be used."),
        (BackupState.MISSING, "The file was removed outside pghaven."),
    ],
)
def test_a_backup_that_cannot_be_used_says_why_and_names_the_newest_good_one(
    admin: Browser, storage: Storage, state: BackupState, sentence: str
) -> None:
    good = keep(storage, a_backup("shop", at=NOON - timedelta(days=1)))
    record = keep(storage, a_backup("shop", at=NOON, state=state))
    page = admin.get(f"/backups/{record.backup_id}").text
    assert sentence in page
    assert "Restore…" not in page
    assert f"/backups/{record.backup_id}/archive" not in page
    assert (f'href="/backups/{good.backup_id}"' in page) == (state is not BackupState.TAKING)


def test_a_file_that_went_missing_is_noticed_when_its_page_is_opened(admin: Browser, storage: Storage) -> None:
    record = keep(storage, a_backup("shop"))
    storage.backups.catalog.archive_path(record).unlink()
    assert "The file was removed outside pghaven." in admin.get(f"/backups/{record.backup_id}").text
    assert storage.backups.catalog.get(record.backup_id).state is BackupState.MISSING


def test_a_backup_that_is_not_there_is_a_404_in_words(admin: Browser) -> None:
    answer = admin.get("/backups/20261122T120000Z-ffffff")
    assert answer.status_code == 404
    assert "There is no backup 20261122T120000Z-ffffff." in answer.text


def test_taking_answers_with_the_job(admin: Browser, storage: Storage) -> None:
    register(storage, "shop")
    answer = admin.post("/backups", data={"database": "shop", "no_logs": "on"})
    [job] = storage.jobs.active("shop", JobKind.TAKE)
    assert (answer.status_code, answer.location) == (303, f"/jobs/{job.job_id}")
    assert job.parameters["no_logs"] is True
    assert job.requested_by == "ana"


def test_two_who_press_at_once_get_one_job(admin: Browser, user: Browser, storage: Storage) -> None:
    register(storage, "shop")
    storage.accounts.change_role("ben", Role.ADMIN)
    first = admin.post("/backups", data={"database": "shop"})
    second = user.post("/backups", data={"database": "shop"})
    assert first.location == second.location
    assert len(storage.jobs.active("shop")) == 1
    assert "already asked for by ana" in user.get(second.location).text


def test_who_presses_twice_is_not_told_of_somebody_else(admin: Browser, storage: Storage) -> None:
    register(storage, "shop")
    admin.post("/backups", data={"database": "shop"})
    again = admin.get(admin.post("/backups", data={"database": "shop"}).location).text
    assert "You asked for this already." in again
    assert "both of you" not in again


def test_what_pghaven_asked_for_itself_is_said_in_words(admin: Browser, storage: Storage) -> None:
    register(storage, "shop")
    storage.backups.take("shop", by="first backup")
    assert (
        "asked for by pghaven, as there was no backup yet"
        in admin.get(admin.post("/backups", data={"database": "shop"}).location).text
    )


def test_what_a_program_said_is_marked_as_english(admin: Browser, storage: Storage) -> None:
    job = keep_job(storage, a_job(database="shop", state=JobState.COMPLETED), "pg_dump: warning: <circular>")
    record = keep(storage, a_backup("shop", job_id=job.job_id))
    for path in (f"/backups/{record.backup_id}", f"/jobs/{job.job_id}"):
        page = admin.get(path, headers={"Accept-Language": "zh-CN"}).text
        assert '<li class="s-warning">' in page, path
        assert '<span lang="en">pg_dump: warning: &lt;circular&gt;</span>' in page, path


def test_all_databases_can_be_taken_at_once(admin: Browser, storage: Storage) -> None:
    register(storage, "shop", "wiki")
    answer = admin.post("/backups", data={"all": "on"})
    assert answer.location == "/jobs"
    assert {job.database for job in storage.jobs.active()} >= {"shop", "wiki"}


@pytest.mark.parametrize(("data", "status"), [({}, 422), ({"database": "nobody"}, 404), ({"database": "../etc"}, 404)])
def test_a_take_of_nothing_or_of_an_unknown_database_is_refused(
    admin: Browser, storage: Storage, data: dict[str, str], status: int
) -> None:
    assert admin.post("/backups", data=data).status_code == status
    assert storage.jobs.active() == []


def test_verifying_answers_with_the_job(admin: Browser, storage: Storage) -> None:
    record = keep(storage, a_backup("shop"))
    answer = admin.post(f"/backups/{record.backup_id}/verify")
    [job] = storage.jobs.active("shop", JobKind.VERIFY)
    assert answer.location == f"/jobs/{job.job_id}"
    assert "Being verified" in admin.get(f"/backups/{record.backup_id}").text


def test_the_json_twin_has_what_scripts_rely_on(admin: Browser, storage: Storage) -> None:
    record = keep(storage, a_backup("shop"))
    facts = admin.get(f"/api/backups/{record.backup_id}").json
    assert facts["archive"] == str(storage.backups.catalog.archive_path(record))
    assert facts["tables"]["public.orders"]["rows"] == 1000
    assert {facts["id"], facts["state"], facts["bytes"]} == {record.backup_id, "complete", record.bytes}
    [listed] = admin.get("/api/backups?database=shop").json
    assert listed["id"] == record.backup_id
    assert "tables" not in listed
    assert admin.get("/api/backups?database=nobody").status_code == 404
    for limit in ("abc", "0", "1001", "-1", "٣"):
        for address in ("/api/backups", "/api/jobs"):
            refused = admin.get(address, query_string={"limit": limit})
            assert refused.status_code == 422 and "limit must be a whole number from 1 to 1000" in refused.text


def test_the_page_speaks_chinese(admin: Browser, storage: Storage) -> None:
    record = keep(storage, a_backup("shop", at=NOON))
    page = admin.get(f"/backups/{record.backup_id}", headers={"Accept-Language": "zh-CN"}).text
    assert "11月22日周日 13:00" in page
