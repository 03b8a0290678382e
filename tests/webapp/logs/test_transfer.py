"""Exports through a real server: what is not whole, of whatever format, ends as a broken connection."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.storage.logs.test_exports import CSV
from tests.webapp.api.conftest import Serving, eventually, read_answer, serve

pytestmark = pytest.mark.postgres

EXPORT = "/databases/hub/logs/export"
TABLE = "/databases/hub/tables/public.message_request"
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


@pytest.fixture
def probes(hub_database: Connection) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO provider_endpoint_probe_logs (endpoint_id, ok, error_message)"
            " SELECT 2, false, repeat(md5(n::text), 40) FROM generate_series(1, 40000) AS n"
        )


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


def test_a_small_export_is_whole_in_both_shapes(served: Serving) -> None:
    answer = served.get(EXPORT)
    assert answer.status == 200 and answer.whole and answer.body.decode() == CSV
    with post(served) as connection:
        answer = read_answer(connection)
    assert answer.whole and json.loads(answer.body) == {"csv": CSV}


@pytest.mark.parametrize(
    "address",
    [
        EXPORT,
        f"{EXPORT}?format=ndjson",
        f"{TABLE}/export",
        f"{TABLE}/export?format=ndjson",
        "/databases/hub/logs/probes.txt?id=2",
        REST,
    ],
)
def test_a_server_that_ends_the_session_breaks_the_transfer(
    served: Serving, long: Log, probes: None, address: str
) -> None:
    with post(served) if address == REST else served.connect(address) as connection:
        first = connection.recv(1 << 16)
        assert first.startswith(b"HTTP/1.1 200"), first
        assert long.copies() == 1
        long.terminate()
        received = rest_of(connection, first)
    assert not received.endswith(LAST_CHUNK)
    assert not received.endswith(b'"}' + LAST_CHUNK)
    assert eventually(lambda: broken_off(served)), "the audit log knows that it was not whole"
    assert served.get(f"{EXPORT}?model=gpt-5").whole, "the next one has its place again"


def test_a_session_that_cannot_be_read_to_its_end_breaks_the_transfer(
    served: Serving, hub_database: Connection
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO message_request (user_id, key, provider_id, session_id, request_sequence)"
            " SELECT 1, 'sk-ana', 1, 's-long', n FROM generate_series(1, 3000) AS n"
        )
        with served.connect("/databases/hub/logs/session/requests.json?id=s-long") as connection:
            first = connection.recv(1 << 16)
            assert first.startswith(b"HTTP/1.1 200"), first
            session.execute("ALTER TABLE message_request RENAME TO gone")
            received = rest_of(connection, first)
    assert not received.endswith(LAST_CHUNK) and b"]\n}" not in received[-40:]
    assert eventually(lambda: broken_off(served))


def broken_off(served: Serving) -> bool:
    """Whether the audit log has an export that began, and then that it failed."""
    found = [one for one in served.storage.audit.newest_first() if one.action.endswith("_exported")]
    return [(one.result, one.actor) for one in found] == [("failed", "ana"), ("ok", "ana")]


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
