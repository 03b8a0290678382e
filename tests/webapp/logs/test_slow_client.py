"""Two million rows to a slow client, from a pghaven that is a process of its own and whose memory is looked at."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from storage.postgres.connection import Connection, connect
from tests.webapp.api.conftest import eventually
from tests.webapp.cli.conftest import Terminal, url_of
from tests.webapp.cli.test_serve import started

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ROWS = 2_000_000
STAND_STILL_EVERY = 40_000_000
MOST_RESIDENT = 100_000_000
MOST_GROWTH = 10_000_000


@pytest.fixture
def long(hub_database: Connection) -> Connection:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "DROP INDEX idx_message_request_created_at, idx_message_request_user_query, idx_message_request_key,"
            " idx_message_request_endpoint, idx_message_request_session_seq"
        )
        session.execute(
            "INSERT INTO message_request (user_id, key, provider_id, model, endpoint, session_id, created_at)"
            " SELECT 1, 'sk-ana', 1, 'claude-sonnet-4-5', '/v1/messages', md5(n::text), timestamptz '2027-01-01Z'"
            f" + n * interval '1 second' FROM generate_series(1, {ROWS}) AS n"
        )
        session.execute("ANALYZE message_request")
    return hub_database


@pytest.fixture
def terminal(storage_folder: Path, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(
        storage_folder, ADMIN_PASSWORD="a haven for exports", PGHAVEN_PRIVATE_FOLDER=str(tmp_path / "private")
    )
    yield terminal
    terminal.end_all()


def resident(pid: int) -> int:
    """Bytes of memory that a process takes now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def stands_still(connection: Connection) -> bool:
    """Whether the server cannot go on with its COPY, because nobody takes what it has."""
    with connect(connection, application="tests") as session:
        return session.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'"
            " AND wait_event = 'ClientWrite'"
        ).fetchone() is not None  # fmt: skip


def test_two_million_rows_reach_a_slow_client_and_cost_no_memory(terminal: Terminal, long: Connection) -> None:
    """The client stops now and then until everything stands still: the rest of the rows waits in the database."""
    terminal("databases", "add", "hub", url_of(long), "--no-test").good()
    process, where = started(terminal)
    token = terminal("accounts", "token", "admin", "--json").good().json["token"]
    address = urlsplit(where["url"])
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
        connection.sendall(
            b"GET /databases/hub/logs/export HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
            b"Authorization: Bearer " + token.encode() + b"\r\n\r\n"
        )
        file = connection.makefile("rb", buffering=1 << 16)
        assert b" 200 " in file.readline()
        while file.readline() not in (b"\r\n", b""):
            pass
        lines, size, taken = 0, 0, [resident(process.pid)]
        still = 0
        while length := int(file.readline(), 16):
            piece = file.read(length)
            file.readline()
            lines += piece.count(b"\n")
            size += length
            if size > still * STAND_STILL_EVERY:
                still += 1
                if ROWS - lines > 500_000:  # of fewer, all may be on their way
                    assert eventually(lambda: stands_still(long)), "nobody takes more, and the server goes on"
            taken.append(resident(process.pid))
    assert lines == 1 + ROWS + 14, "a line of headings, every row, and one cell of two lines"
    assert still > 4
    assert max(taken) < MOST_RESIDENT
    settled = taken[len(taken) // 20]
    assert max(taken) - settled < MOST_GROWTH, (size, taken[:: len(taken) // 20])
