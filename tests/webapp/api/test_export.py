"""GET /api/admin/database/export: a whole dump or a broken transfer, and the database's turn let go in every ending."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from storage.jobs.turns import lock_name
from storage.opening import Storage
from storage.postgres.archive import read as read_archive
from storage.postgres.connection import Connection, connect
from tests.servers import Server
from tests.webapp.api.conftest import Serving, children, eventually, kill, most_memory_grows_by, read_answer
from tests.webapp.conftest import Browser
from webapp.cli.serve import CONNECTIONS_A_THREAD

PATH = "/api/admin/database/export"
SHOP = f"{PATH}?database=shop"

pytestmark = pytest.mark.postgres


@pytest.fixture
def hub(empty_database: Connection) -> Connection:
    """The tables by which claude-code-hub is recognised; one row in its log."""
    with connect(empty_database, application="tests") as session:
        for table in ("users", "keys", "providers", "message_request", "model_prices"):
            session.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")  # type: ignore[arg-type]
            session.execute(f"INSERT INTO {table} VALUES (1)")  # type: ignore[arg-type]
    return empty_database


def tables_of(server: Server, archive: bytes, folder: Path) -> tuple[set[str], set[str]]:
    """Tables in an archive that pg_restore has read in full, and those with rows."""
    path = folder / "export.dump"
    path.write_bytes(archive)
    program = server.installation.program("pg_restore")
    subprocess.run([program, "--file=/dev/null", path], check=True, env=server.installation.environment())
    entries = read_archive(path).entries
    return (
        {entry.name for entry in entries if entry.kind == "TABLE"},
        {entry.name for entry in entries if entry.kind == "TABLE DATA"},
    )


@pytest.mark.parametrize(
    ("query", "suffix", "with_log"),
    [
        ("", "", True),
        ("&excludeLogs=true", "_no-logs", False),
        ("&excludeLogs=false", "", True),
        ("&mode=excludeLogs", "_no-logs", False),
        ("&mode=ledgerOnly", "_ledger-only", False),
        ("&mode=something", "", True),
    ],
)
def test_the_dump_has_what_was_asked_for_and_its_name(
    serving: Serving, hub: Connection, server: Server, tmp_path: Path, query: str, suffix: str, with_log: bool
) -> None:
    answer = serving.get(SHOP + query)
    assert answer.status == 200 and answer.whole and answer.body.startswith(b"PGDMP")
    assert "content-type: application/octet-stream" in answer.head.lower()
    assert re.search(rf'filename="?backup_\d{{4}}-\d\d-\d\dT\d\d-\d\d-\d\d{suffix}\.dump"?\r', answer.head), answer.head
    tables, filled = tables_of(server, answer.body, tmp_path)
    assert "message_request" in tables and "users" in filled
    assert ("message_request" in filled) is with_log
    assert eventually(lambda: not serving.holds_turn())
    assert not list(serving.storage.staging.folder.iterdir())


def test_a_pg_dump_that_dies_breaks_the_transfer(serving: Serving, large: Connection) -> None:
    with serving.connect(SHOP) as connection:
        assert eventually(lambda: bool(children()))
        first = connection.recv(1 << 16)
        kill(children(), signal.SIGKILL)
        assert first.startswith(b"HTTP/1.1 200")
        answer = read_rest(connection, first)
    assert not answer.endswith(b"\r\n0\r\n\r\n")
    assert eventually(lambda: not serving.holds_turn())


def test_a_pg_dump_that_dies_resets_the_connection_of_a_client_without_chunks(
    serving: Serving, large: Connection
) -> None:
    with serving.connect(SHOP, version="1.0") as connection:
        first = connection.recv(1 << 16)
        kill(children(), signal.SIGKILL)
        with pytest.raises(ConnectionResetError):
            while connection.recv(1 << 20):
                pass
        assert first.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))


def read_rest(connection: object, first: bytes) -> bytes:
    received = bytearray(first)
    try:
        while chunk := connection.recv(1 << 20):  # type: ignore[attr-defined]
            received += chunk
    except ConnectionResetError:
        received += b""
    return bytes(received)


def test_a_server_that_ends_the_session_breaks_the_transfer(
    serving: Serving, large: Connection, server: Server
) -> None:
    with serving.connect(SHOP) as connection:
        first = connection.recv(1 << 16)
        with connect(server.connection, application="tests") as session:
            session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pghaven export%'"
            )
        assert not read_rest(connection, first).endswith(b"\r\n0\r\n\r\n")
    assert eventually(lambda: not serving.holds_turn())


def test_a_client_that_goes_ends_pg_dump_and_frees_the_database(serving: Serving, large: Connection) -> None:
    with serving.connect(SHOP) as connection:
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert serving.holds_turn()
    assert eventually(lambda: not serving.holds_turn() and not children())
    assert not list(serving.storage.staging.folder.iterdir())
    assert serving.get(SHOP + "&mode=excludeLogs").whole


def test_a_client_that_takes_nothing_is_given_up(serving: Serving, large: Connection) -> None:
    with serving.connect(SHOP):
        assert eventually(lambda: serving.holds_turn())
        assert eventually(lambda: not serving.holds_turn() and not children())


def test_what_is_being_answered_does_not_make_way_for_those_who_only_knock(serving: Serving, large: Connection) -> None:
    knocking = serving.storage.settings.threads * CONNECTIONS_A_THREAD + 80
    with serving.connect(SHOP) as connection, ExitStack() as others:
        first = connection.recv(1 << 16)
        for _ in range(knocking):
            others.enter_context(socket.create_connection(("127.0.0.1", serving.port), timeout=20))
        assert read_rest(connection, first).endswith(b"\r\n0\r\n\r\n")


def test_a_slow_client_gets_everything_and_costs_no_memory(
    serving: Serving, large: Connection, server: Server, tmp_path: Path
) -> None:
    """The rest of the dump waits in the database, and not here."""
    with serving.connect(SHOP) as connection:
        first = connection.recv(1 << 16)
        assert eventually(lambda: bool(children()))
        with most_memory_grows_by() as grown:
            # The dump stands still although nobody told it to: it is not at its end when no more is taken.
            assert not eventually(lambda: not children(), seconds=1.5)
            assert grown() < 8 << 20
        answer = read_rest(connection, first)
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert len(answer) > 45_000_000


def test_a_database_that_is_worked_on_is_answered_as_claude_code_hub_does(
    serving: Serving, empty_database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with serving.storage.locks.hold(lock_name("shop"), holder="take 1"):
        answer = serving.get(SHOP)
        assert actions(caplog)[-1] == "database_export_lock_conflict"
        english = serving.get(SHOP, "Accept-Language: en\r\n")
    assert answer.status == english.status == 409
    assert json_of(answer.body) == {
        "error": "其他管理员正在执行备份操作，请稍后重试",
        "details": "为确保数据一致性，同一时间只能执行一个备份操作",
    }
    assert json_of(english.body)["error"].startswith("Another admin")


def test_two_at_once_get_one_dump_and_one_refusal(serving: Serving, large: Connection) -> None:
    with serving.connect(SHOP) as first:
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 200")
        with serving.connect(SHOP) as second:
            assert read_answer(second).status == 409


def test_a_locked_table_is_a_refusal_and_no_file(serving: Serving, large: Connection) -> None:
    with connect(large, application="tests", autocommit=False) as session:
        session.execute("LOCK TABLE noise")
        answer = serving.get(SHOP)
        assert answer.status == 409 and b"PGDMP" not in answer.body
    assert not serving.holds_turn()
    assert serving.get(SHOP).status == 200


def test_who_may_not_gets_json(client: Browser, user: Browser, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.get(PATH)
    assert answer.status_code == 401 and answer.json == {"error": "Unauthorized"}
    assert actions(caplog) == ["database_export_unauthorized"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    answer = user.get(PATH)
    assert answer.status_code == 403 and answer.json and isinstance(answer.json["error"], str)
    assert actions(caplog)[1:] == ["database_export_unauthorized"]


def test_a_server_that_is_down_is_answered_as_claude_code_hub_does(
    admin: Browser, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    answer = admin.get(PATH)
    assert actions(caplog)[-1] == "database_export_connection_unavailable"
    assert answer.status_code == 503 and answer.json
    assert answer.json["error"] == "数据库连接不可用，请检查数据库服务状态"
    assert not storage.locks.is_held(lock_name("nothing"))


def test_a_look_at_the_head_makes_no_dump(serving: Serving, empty_database: Connection) -> None:
    with serving.connect(SHOP, method="HEAD") as connection:
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert not serving.holds_turn()


def test_eight_threads_stay_free_for_pages(app: Flask, storage: Storage) -> None:
    streams, free = app.extensions["streams"], storage.settings.threads - 8
    slots = [streams.enter() for _ in range(free)]
    with pytest.raises(Exception, match="room"):
        streams.enter()
    # However often a slot is given back, it is one.
    threads = [threading.Thread(target=slots[0].leave) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    streams.enter()
    with pytest.raises(Exception, match="room"):
        streams.enter()


def test_the_log_has_the_names_of_claude_code_hub(
    serving: Serving, large: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert serving.get(SHOP).whole
    assert actions(caplog) == ["pg_dump_start", "database_export_initiated", "pg_dump_complete"]
    caplog.clear()
    with serving.connect(SHOP) as connection:
        first = connection.recv(1 << 16)
        kill(children(), signal.SIGKILL)
        read_rest(connection, first)
    assert eventually(lambda: "database_export_error" in actions(caplog))
    assert "pg_dump_error" in actions(caplog)
    caplog.clear()
    with serving.connect(SHOP) as connection:
        assert connection.recv(1 << 16)
    assert eventually(lambda: "pg_dump_cancelled" in actions(caplog))


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What happened, by the names that a collector of logs looks for."""
    return [record.action for record in caplog.records if hasattr(record, "action")]


def json_of(body: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(body)
    return found
