"""Story 1.7's API: its addresses, its fields, and what its client does with them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from psycopg import sql

from storage.backups.record import BackupState
from storage.jobs.model import JobKind, JobState
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.builders import NOON, a_backup, a_job
from tests.webapp.api.conftest import eventually
from tests.webapp.conftest import NO_JSON, Browser
from tests.webapp.seeding import keep, keep_job, register
from webapp import create_app


@pytest.fixture
def records(storage: Storage) -> Storage:
    register(storage, "shop")
    return storage


def test_the_status_is_that_of_the_newest_backup_that_has_ended(admin: Browser, records: Storage) -> None:
    assert admin.get("/api/backup/status?database=shop").json == {}
    good = keep(records, a_backup("shop", at=NOON - timedelta(days=1)))
    keep(records, a_backup("shop", at=NOON, state=BackupState.TAKING))
    assert admin.get("/api/backup/status?database=shop").json == {
        "lastBackupTime": "2026-11-21T12:00:00.000Z",
        "lastBackupStatus": "success",
        "lastBackupFileSize": good.bytes,
        "lastBackupFilePath": good.archive,
    }
    keep(records, a_backup("shop", at=NOON, state=BackupState.FAILED))
    failed = admin.get("/api/backup/status?database=shop").json
    assert failed and failed["lastBackupStatus"] == "failed"
    assert "refused the password" in failed["lastBackupError"]


def test_the_history_has_thirty_days_newest_first_in_pages(admin: Browser, records: Storage) -> None:
    """The clock of these tests stands at noon of 22 November."""
    kept = [keep(records, a_backup("shop", at=NOON - timedelta(days=days))) for days in (1, 2, 40)]
    keep(records, a_backup("shop", at=NOON - timedelta(days=3), state=BackupState.FAILED))
    first = admin.get("/api/backup/history?database=shop&limit=1").json
    assert first and (first["total"], first["limit"], first["offset"]) == (3, 1, 0)
    assert [one["id"] for one in first["backups"]] == [kept[0].backup_id]
    facts = first["backups"][0]
    assert facts["checksum"] == kept[0].sha256 and facts["fileSize"] == kept[0].bytes
    assert facts["status"] == "success" and facts["databaseName"] == "shop" and facts["workspaceId"] == "shop"
    second = admin.get("/api/backup/history?database=shop&limit=1&offset=1").json
    assert second and [one["id"] for one in second["backups"]] == [kept[1].backup_id]
    failed = admin.get("/api/backup/history?database=shop&status=failed").json
    assert failed and failed["total"] == 1 and failed["backups"][0]["errorMessage"]
    all_of_them = admin.get("/api/backup/history?database=shop&startDate=2026-01-01&endDate=2026-11-22").json
    assert all_of_them and all_of_them["total"] == 4
    one_day = admin.get("/api/backup/history?database=shop&startDate=2026-11-20&endDate=2026-11-20").json
    assert one_day and [one["id"] for one in one_day["backups"]] == [kept[1].backup_id]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "offset=-1", "status=good", "startDate=yesterday", "endDate=0001-01-01"],
)
def test_a_query_that_means_nothing_is_refused_as_their_framework_does(
    admin: Browser, records: Storage, query: str
) -> None:
    answer = admin.get(f"/api/backup/history?database=shop&{query}")
    assert answer.status_code == 400 and answer.json
    assert answer.json["statusCode"] == 400 and answer.json["error"] == "Bad Request" and answer.json["message"]


def test_one_backup_is_found_by_its_id_or_not_at_all(admin: Browser, records: Storage) -> None:
    record = keep(records, a_backup("shop"))
    found = admin.get(f"/api/backup/{record.backup_id}").json
    assert found and found["id"] == record.backup_id
    missing = admin.get("/api/backup/backup_1764000000000")
    assert missing.status_code == 404 and missing.json
    assert missing.json["statusCode"] == 404 and missing.json["error"] == "Not Found"


def test_no_job_is_begun_while_nobody_would_do_it(admin: Browser, records: Storage) -> None:
    answer = admin.post("/api/backup?database=shop")
    assert answer.status_code == 503 and not records.jobs.active("shop")


@pytest.mark.parametrize("sent", NO_JSON)
@pytest.mark.parametrize("path", ["/api/backup", "/api/restore"])
def test_a_body_that_cannot_be_kept_begins_nothing(records: Storage, admin: Browser, path: str, sent: bytes) -> None:
    answer = admin.post(path, data=sent, content_type="application/json")
    assert answer.status_code == 400, answer.text
    assert records.jobs.active() == []


def test_a_restore_that_nobody_knows_has_failed(admin: Browser) -> None:
    answer = admin.get("/api/restore/restore_1/status")
    assert answer.status_code == 200 and answer.json
    assert answer.json["status"] == "failed" and answer.json["message"] == "Restore status not found"


def test_the_progress_of_a_restore_is_that_of_its_work(admin: Browser, records: Storage) -> None:
    job = keep_job(records, a_job(JobKind.RESTORE))
    running = admin.get(f"/api/restore/{job.job_id}/status").json
    assert running and (running["status"], running["progress"]) == ("running", 43)
    failed = keep_job(records, a_job(JobKind.RESTORE, state=JobState.FAILED))
    ended = admin.get(f"/api/restore/{failed.job_id}/status").json
    assert ended and ended["status"] == "failed" and "Nothing was changed." in ended["errorMessage"]
    assert ended["completedAt"]


@pytest.mark.parametrize("body", [None, {}, {"backupId": 7}, {"backupId": ""}, [1]])
def test_a_restore_of_nothing_is_refused(admin: Browser, body: object) -> None:
    answer = admin.post("/api/restore", json=body)
    assert answer.status_code in (400, 415) and answer.json and answer.json["statusCode"] == answer.status_code


def test_a_second_restore_of_a_database_waits_for_no_turn_but_is_refused(admin: Browser, records: Storage) -> None:
    first, second = (keep(records, a_backup("shop", at=NOON + timedelta(hours=hour))) for hour in (0, 1))
    assert admin.post("/api/restore", json={"backupId": first.backup_id}).status_code == 202
    refused = admin.post("/api/restore", json={"backupId": second.backup_id})
    assert refused.status_code == 409 and refused.json and "A restore of shop is under way." in refused.json["message"]
    assert len(records.jobs.active("shop", JobKind.RESTORE)) == 1


def test_writes_of_a_session_need_its_token(admin: Browser) -> None:
    assert admin.post("/api/backup", csrf=False).status_code == 403
    assert admin.post("/api/restore", json={"backupId": "x"}, csrf=False).status_code == 403


def test_who_may_not_is_told_in_their_form(client: Browser, user: Browser) -> None:
    stranger = client.get("/api/backup/status")
    assert stranger.status_code == 401 and stranger.json and stranger.json["statusCode"] == 401
    assert user.post("/api/backup").status_code == 403
    assert user.get("/api/backup/status").status_code == 200


@pytest.fixture
def script(working: Storage) -> FlaskClient:
    """A program with a token."""
    client = create_app(working).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {working.accounts.create_token('ana')}"
    return client


@pytest.mark.postgres
def test_a_backup_is_taken_and_restored_over_what_was_changed_since(
    script: FlaskClient, working: Storage, empty_database: Connection
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE orders AS SELECT generate_series(1, 500) AS id")
    taken = script.post("/api/backup", json={"database": "shop"})
    assert taken.status_code == 201 and taken.json, taken.text
    assert taken.json["status"] == "success" and taken.json["fileSize"] > 0 and len(taken.json["checksum"]) == 64
    assert script.get(taken.headers["Location"]).json == taken.json
    with connect(empty_database, application="tests") as session:
        session.execute("DELETE FROM orders WHERE id > 10")
    begun = script.post("/api/restore", json={"backupId": taken.json["id"]})
    assert begun.status_code == 202 and begun.json, begun.text
    address = f"/api/restore/{begun.json['restoreId']}/status"

    def ended() -> bool:
        status = script.get(address).json
        assert status and isinstance(status["progress"], int)
        return bool(status["status"] != "running")

    assert eventually(ended, seconds=60)
    status = script.get(address).json
    assert status and (status["status"], status["progress"]) == ("completed", 100), status
    with connect(empty_database, application="tests") as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (500,)
    actions = [event.action for event in working.audit.newest_first()]
    assert "backup_requested" in actions and "restore_requested" in actions
    with connect(empty_database.to("postgres"), application="tests") as session:
        for (name,) in session.execute("SELECT datname FROM pg_database WHERE datname LIKE 'test%before%'").fetchall():
            session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.postgres
def test_a_backup_that_fails_is_400_with_the_reason(
    script: FlaskClient, working: Storage, empty_database: Connection
) -> None:
    with connect(empty_database, application="tests", autocommit=False) as session:
        session.execute("CREATE TABLE held (id int)")
        session.commit()
        session.execute("LOCK TABLE held")
        answer = script.post("/api/backup?database=shop")
    assert answer.status_code == 400 and answer.json
    assert answer.json["message"].startswith("Backup failed: ") and "locked" in answer.json["message"]


@pytest.mark.postgres
def test_a_backup_under_way_is_not_asked_for_twice_and_can_be_left_alone(
    script: FlaskClient, working: Storage, empty_database: Connection
) -> None:
    with working.locks.hold("database-shop", holder="a test"):
        first = script.post("/api/backup?database=shop&wait=0")
        assert first.status_code == 202 and first.json and first.json["status"] == "running"
        second = script.post("/api/backup?database=shop")
        assert second.status_code == 400 and second.json
        assert second.json["message"].startswith("A backup operation is already in progress")
    assert eventually(lambda: script.get(first.headers["Location"]).json["status"] == "success")  # type: ignore[index]
