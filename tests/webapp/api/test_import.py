"""POST /api/admin/database/import: an archive replaces the database, told by events; nothing else happens to it."""

from __future__ import annotations

import io
import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from psycopg import sql
from werkzeug.test import TestResponse

from storage.backups.catalog import Catalog
from storage.errors import Damaged, say
from storage.jobs.model import JobKind, JobState
from storage.jobs.turns import lock_name
from storage.opening import Storage
from storage.postgres.connection import Connection, connect, write_pass_file
from tests.servers import Server
from tests.webapp.api.conftest import Serving, eventually
from tests.webapp.conftest import Browser
from webapp import create_app

PATH = "/api/admin/database/import"

pytestmark = pytest.mark.postgres


@pytest.fixture
def script(working: Storage) -> FlaskClient:
    """A program with a token."""
    client = create_app(working).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {working.accounts.create_token('ana')}"
    return client


@pytest.fixture
def archive(server: Server, empty_database: Connection, tmp_path: Path) -> Any:
    """A dump of 500 orders and five lines of log; of both, half are gone from the database since."""
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE orders AS SELECT generate_series(1, 500) AS id")
        for table in ("users", "keys", "providers", "message_request", "model_prices"):
            session.execute(f"CREATE TABLE {table} AS SELECT generate_series(1, 5) AS id")  # type: ignore[arg-type]
    environment = empty_database.environment(write_pass_file(tmp_path, empty_database), application="tests")
    dump = subprocess.run(
        [server.installation.program("pg_dump"), "-Fc"],
        env={**environment, **server.installation.environment()}, check=True, capture_output=True,
    )  # fmt: skip
    with connect(empty_database, application="tests") as session:
        session.execute("DELETE FROM orders WHERE id > 250")
    yield dump.stdout
    with connect(empty_database.to("postgres"), application="tests") as session:
        names = f"^{empty_database.dbname}_(before|restoring)"
        kept = session.execute("SELECT datname::text FROM pg_database WHERE datname ~ %s", (names,))
        for (name,) in kept.fetchall():
            session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def send(client: FlaskClient, body: bytes, name: str = "backup.dump", **fields: str) -> TestResponse:
    headers = {"Accept-Language": fields.pop("language", "zh-CN")}
    data = {"file": (io.BytesIO(body), name), "cleanFirst": "true", "database": "shop", **fields}
    return client.post(PATH, data=data, headers=headers, content_type="multipart/form-data")


def events_of(answer: TestResponse) -> list[dict[str, Any]]:
    lines = [line for line in answer.text.split("\n\n") if line]
    assert all(line.startswith(("data: ", ": ")) and "\n" not in line for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def rows(connection: Connection, table: str) -> int:
    with connect(connection, application="tests") as session:
        found = session.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert found
    return int(found[0])


def test_the_archive_replaces_the_database_and_the_events_end_with_complete(
    script: FlaskClient, archive: bytes, empty_database: Connection
) -> None:
    answer = send(script, archive)
    assert answer.status_code == 200 and answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    events = events_of(answer)
    assert events[-1] == {"type": "complete", "message": "数据导入和迁移全部完成！", "exitCode": 0}, events[-3:]
    assert events[-2] == {"type": "progress", "message": "数据导入成功！"}
    assert {event["type"] for event in events[:-1]} == {"progress"}
    assert "原数据库保留为 " in events[-3]["message"], "the way back is named"
    assert rows(empty_database, "orders") == 500 and rows(empty_database, "message_request") == 5


def test_without_logs_their_tables_are_there_and_empty(
    script: FlaskClient, archive: bytes, empty_database: Connection
) -> None:
    events = events_of(send(script, archive, skipLogs="true", language="en"))
    assert events[-1]["type"] == "complete" and events[-1]["message"].startswith("Import"), events[-3:]
    assert "The rows of log tables were left out." in [event["message"] for event in events]
    assert rows(empty_database, "orders") == 500 and rows(empty_database, "message_request") == 0


@pytest.mark.parametrize("fields", [{"cleanFirst": "false"}, {"cleanFirst": ""}])
def test_without_clean_first_missing_rows_and_tables_are_added_and_said_in_chinese(
    script: FlaskClient, archive: bytes, empty_database: Connection, fields: dict[str, str]
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute(
            "ALTER TABLE orders ADD PRIMARY KEY (id); DROP TABLE users; UPDATE keys SET id = 7 WHERE id = 1"
        )
        before = session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    events = events_of(send(script, archive, **fields))
    assert events[-1] == {
        "type": "complete", "message": "数据导入和迁移全部完成！", "exitCode": 0,
        "inserted": 255, "leftAlone": 270, "warningCount": 4,
    }  # fmt: skip
    assert events[-2] == {"type": "progress", "message": "数据导入完成，新增了 255 行，跳过了 270 行已存在的数据"}
    told = [event["message"] for event in events]
    assert "public.orders：新增 250 行，250 行保持不变。" in told
    assert "public.users 已创建，写入 5 行。" in told
    assert any(line.startswith("public.keys 保持不变：文件中的 5 行未导入。") and "主键" in line for line in told)
    assert rows(empty_database, "orders") == 500 and rows(empty_database, "users") == 5
    with connect(empty_database, application="tests") as session:
        assert session.execute("SELECT sum(id) FROM keys").fetchone() == (21,)
        after = session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    assert after == before


def test_a_merge_is_said_in_english_and_skips_the_rows_of_logs(
    script: FlaskClient, archive: bytes, empty_database: Connection
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute("ALTER TABLE orders ADD PRIMARY KEY (id); DROP TABLE message_request")
    events = events_of(send(script, archive, cleanFirst="false", skipLogs="true", language="en"))
    told = [event["message"] for event in events]
    assert events[-1]["type"] == "complete", events[-3:]
    assert "public.message_request was created, with 0 rows." in told
    assert told[-2] == "The data were imported: 250 rows were added, and 270 that exist already were skipped."
    assert rows(empty_database, "message_request") == 0 and rows(empty_database, "orders") == 500


def test_a_merge_that_fails_half_way_changes_nothing_and_says_the_sqlstate(
    script: FlaskClient, archive: bytes, empty_database: Connection
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute(
            "ALTER TABLE orders ADD PRIMARY KEY (id); DROP TABLE keys; ALTER TABLE users ADD PRIMARY KEY (id)"
        )
        session.execute("DELETE FROM users WHERE id = 3; ALTER TABLE users ADD CONSTRAINT never CHECK (id <> 3)")
    for language, cause in (("zh-CN", "public.users"), ("en", "The rows do not fit the rules of public.users: never.")):
        events = events_of(send(script, archive, cleanFirst="false", language=language))
        assert events[-1]["type"] == "error" and events[-1]["exitCode"] == 1, events[-3:]
        assert cause in events[-1]["message"] and events[-1]["details"].startswith("23514: ")
        assert ("未做任何更改" if language == "zh-CN" else "Nothing was changed.") in events[-1]["message"]
    assert rows(empty_database, "orders") == 250 and rows(empty_database, "users") == 4
    with connect(empty_database, application="tests") as session:
        assert session.execute("SELECT to_regclass('keys')").fetchone() == (None,)


def test_the_same_archive_can_be_imported_twice(
    script: FlaskClient, archive: bytes, empty_database: Connection, working: Storage
) -> None:
    assert events_of(send(script, archive))[-1]["type"] == "complete"
    with connect(empty_database, application="tests") as session:
        session.execute("DELETE FROM orders")
    assert events_of(send(script, archive))[-1]["type"] == "complete"
    assert rows(empty_database, "orders") == 500


def test_what_is_no_archive_is_refused_and_changes_nothing(
    script: FlaskClient, archive: bytes, empty_database: Connection, working: Storage
) -> None:
    assert (answer := send(script, archive, name="backup.sql")).status_code == 400
    assert answer.json == {"error": "文件格式错误，仅支持 .dump 格式的备份文件"}
    guessed = send(script, b"PGDMP", cleanFirst="banana", language="en")
    assert (guessed.status_code, guessed.json) == (400, {"error": "cleanFirst should be true or false."})
    nothing = script.post(PATH, data={"cleanFirst": "true"}, content_type="multipart/form-data")
    assert nothing.status_code == 400 and nothing.json == {"error": "缺少备份文件"}
    assert send(script, b"CREATE TABLE x ();").status_code == 422
    assert send(script, archive[: len(archive) // 2]).status_code == 422
    assert rows(empty_database, "orders") == 250
    assert not working.jobs.newest_first() and not working.backups.catalog.all()


def test_a_busy_database_is_409_as_claude_code_hub_says_it(
    script: FlaskClient, archive: bytes, working: Storage
) -> None:
    with working.locks.hold(lock_name("shop"), holder="a test"):
        answer = send(script, archive)
    assert answer.status_code == 409 and answer.json
    assert answer.json["error"] == "其他管理员正在执行备份操作，请稍后重试"


def test_a_failure_ends_with_error_and_the_database_is_as_it_was(
    script: FlaskClient, archive: bytes, empty_database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> Path:
        raise Damaged(say("The archive is damaged."))

    monkeypatch.setattr(Catalog, "good_archive", damaged)
    events = events_of(send(script, archive, language="en"))
    assert events[-1]["type"] == "error" and events[-1]["exitCode"] == 1, events[-3:]
    assert "The archive is damaged." in events[-1]["message"]
    assert rows(empty_database, "orders") == 250


@pytest.mark.parametrize("clean_first", ["true", "false"])
def test_a_client_that_goes_cancels_the_job_and_the_database_is_as_it_was(
    serving: Serving, api_storage: Storage, archive: bytes, empty_database: Connection, clean_first: str
) -> None:
    """The job is still in the queue: nobody works on it until the client has gone."""
    api_storage.working = True
    part = b'--x\r\nContent-Disposition: form-data; name="'
    body = part + f'cleanFirst"\r\n\r\n{clean_first}\r\n'.encode() + part + b'database"\r\n\r\nshop\r\n'
    body += part + b'file"; filename="a.dump"\r\n\r\n' + archive + b"\r\n--x--\r\n"
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as connection:
        connection.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {serving.token}\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert eventually(lambda: bool(api_storage.jobs.active("shop", JobKind.RESTORE)))
        [job] = api_storage.jobs.active("shop", JobKind.RESTORE)
        assert api_storage.jobs.asked_to_stop(job.job_id) is None
    assert eventually(lambda: api_storage.jobs.asked_to_stop(job.job_id) == "ana")
    api_storage.runner.start()
    assert eventually(lambda: api_storage.jobs.get(job.job_id).ended)
    assert api_storage.jobs.get(job.job_id).state is JobState.CANCELLED
    assert rows(empty_database, "orders") == 250


def test_who_may_not_gets_json(client: Browser, user: Browser, admin: Browser) -> None:
    assert client.post(PATH, csrf=False).status_code in (401, 403)
    assert user.post(PATH).status_code == 403
    assert admin.post(PATH, csrf=False).status_code == 403
