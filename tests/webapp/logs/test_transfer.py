"""Exports through a real server: what is not whole ends as a broken connection, and a slow client costs no memory."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.storage.logs.test_exports import CSV
from tests.webapp.api.conftest import Serving, eventually, read_answer, serve

pytestmark = pytest.mark.postgres

EXPORT = "/databases/hub/logs/export"
REST = "/api/v1/usage-logs/exports?database=hub"
ROWS = 400_000
LAST_CHUNK = b"\r\n0\r\n\r\n"


@pytest.fixture
def served(hub: Storage) -> Iterator[Serving]:
    yield from serve(hub, token=hub.accounts.create_token("ana"))


@dataclass
class Log:
    """A usage log that is more than the server and the sockets on the way take."""

    connection: Connection

    def copies(self) -> int:
        with connect(self.connection, application="tests") as session:
            row = session.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'"
                " AND backend_type = 'client backend'"
            ).fetchone()
        return int(row[0]) if row else 0

    def terminate(self) -> None:
        with connect(self.connection, application="tests") as session:
            session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'COPY%'"
                " AND backend_type = 'client backend'"
            )


@pytest.fixture
def long(hub_database: Connection) -> Log:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO message_request (user_id, key, provider_id, model, endpoint, session_id, created_at)"
            " SELECT 1, 'sk-ana', 1, repeat('m', 120), '/v1/messages', md5(n::text), timestamptz '2027-01-01Z'"
            f" + n * interval '1 second' FROM generate_series(1, {ROWS}) AS n"
        )
    return Log(hub_database)


def post(served: Serving, body: str = "{}") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=60)
    connection.sendall(
        f"POST {REST} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nAuthorization: Bearer {served.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return connection


def rest_of(connection: socket.socket, first: bytes) -> bytes:
    received = bytearray(first)
    try:
        while piece := connection.recv(1 << 20):
            received += piece
    except ConnectionResetError:
        received += b""
    return bytes(received)


def resident() -> int:
    """Bytes of memory that this process, and the server in it, take now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_a_small_export_is_whole_in_both_shapes(served: Serving) -> None:
    answer = served.get(EXPORT)
    assert answer.status == 200 and answer.whole and answer.body.decode() == CSV
    with post(served) as connection:
        answer = read_answer(connection)
    assert answer.whole and json.loads(answer.body) == {"csv": CSV}


def test_a_slow_client_gets_every_row_and_costs_no_memory(served: Serving, long: Log) -> None:
    """The rest of the rows waits in the database, and not here."""
    with served.connect(EXPORT) as connection:
        file = connection.makefile("rb", buffering=1 << 16)
        while file.readline() not in (b"\r\n", b""):
            pass
        before = most = resident()
        lines, size = 0, 0
        while length := int(file.readline().strip() or b"0", 16):
            piece = file.read(length)
            file.readline()
            lines += piece.count(b"\n")
            size += length
            most = max(most, resident())
            if size < 3_000_000:
                assert long.copies() == 1, "the server stands still because nobody takes more"
    assert lines == 1 + ROWS + 14, "a line of headings, every row, and one cell of two lines"
    assert size > 80_000_000
    assert most - before < size / 2, (before, most, size)


@pytest.mark.parametrize("rest", [False, True])
def test_a_server_that_ends_the_session_breaks_the_transfer(served: Serving, long: Log, rest: bool) -> None:
    with post(served) if rest else served.connect(EXPORT) as connection:
        first = connection.recv(1 << 16)
        assert first.startswith(b"HTTP/1.1 200")
        assert long.copies() == 1
        long.terminate()
        received = rest_of(connection, first)
    assert not received.endswith(LAST_CHUNK)
    assert not received.endswith(b'"}' + LAST_CHUNK)
    assert served.get(f"{EXPORT}?model=gpt-5").whole, "the next one has its place again"


def test_a_client_that_knows_no_chunks_finds_the_connection_reset(served: Serving, long: Log) -> None:
    with served.connect(EXPORT, version="1.0") as connection:
        connection.recv(1 << 16)
        long.terminate()
        with pytest.raises(ConnectionResetError):
            while connection.recv(1 << 20):
                pass


def test_a_client_that_goes_lets_go_of_the_server(served: Serving, long: Log) -> None:
    with served.connect(EXPORT) as connection:
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert long.copies() == 1
    assert eventually(lambda: not long.copies())


def test_what_can_be_refused_is_refused_before_the_answer_begins(served: Serving, hub_database: Connection) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute("ALTER TABLE message_request DROP COLUMN cost_usd")
    answer = served.get(EXPORT)
    assert answer.status >= 400 and "attachment" not in answer.head
    with post(served) as connection:
        answer = read_answer(connection)
    assert answer.status >= 400 and "problem+json" in answer.head
