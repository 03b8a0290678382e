"""The status of a database: told within a second whatever the server does, and never wrong about who is silent."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from storage.databases import status as module
from storage.databases.profile import DatabaseProfile
from storage.databases.status import DatabaseStatus, DatabaseStatuses, to_api
from storage.postgres.connection import Connection, connect, explain
from storage.secret import Secret
from tests.proxy import Proxy
from tests.servers import Server
from tests.storage.databases.test_testing import silent_listener

pytestmark = pytest.mark.postgres


def a_profile(connection: Connection, name: str = "shop") -> DatabaseProfile:
    return DatabaseProfile(name=name, connection=connection)


def a_silent_profile(port: int, name: str = "silent") -> DatabaseProfile:
    return a_profile(Connection(host="127.0.0.1", port=port, user="u", dbname="d", sslmode="disable"), name)


def test_a_database_that_answers_says_its_size_tables_and_version(empty_database: Connection, server: Server) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE a (n int); CREATE TABLE b (n int) PARTITION BY RANGE (n)")
        session.execute("CREATE TABLE b1 PARTITION OF b FOR VALUES FROM (0) TO (9); CREATE VIEW v AS SELECT * FROM a")
        row = session.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()
    found = DatabaseStatuses().of(a_profile(empty_database))
    assert found.available and found.error is None
    assert found.table_count == 2
    assert row is not None and found.size_pretty == row[0] and found.size_bytes
    assert found.version.startswith(f"{server.major}.")
    assert (found.address, found.dbname) == (empty_database.address, empty_database.dbname)


def test_it_says_what_the_seed_asks_for_and_nothing_else() -> None:
    good = DatabaseStatus(
        available=True, address="db:5432", dbname="shop", size_bytes=8, size_pretty="8 bytes", table_count=3,
        version="18.6",
    )  # fmt: skip
    assert to_api(good) == {
        "isAvailable": True,
        "containerName": "db:5432",
        "databaseName": "shop",
        "databaseSize": "8 bytes",
        "tableCount": 3,
        "postgresVersion": "18.6",
    }
    connection = Connection(host="db", user="u", dbname="shop")
    bad = DatabaseStatus(
        available=False, address="db:5432", dbname="shop", error=explain(connection, "connection refused")
    )
    fields = to_api(bad)
    assert fields["isAvailable"] is False and fields["tableCount"] == 0
    assert fields["error"] == "Nothing answers at db:5432."


def test_a_server_that_is_down_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    started = time.monotonic()
    found = DatabaseStatuses().of(a_silent_profile(port))
    assert time.monotonic() - started < 1
    assert not found.available and found.error is not None and "Nothing answers" in str(found.error)


def test_a_wrong_password_is_told_with_the_name_of_the_trouble(server: Server) -> None:
    found = DatabaseStatuses().of(a_profile(replace(server.connection, password=Secret("wrong"))))
    assert not found.available and "refused the password" in str(found.error)


def test_a_silent_server_is_told_within_a_second_every_time() -> None:
    with silent_listener() as port:
        statuses = DatabaseStatuses(probe_seconds=2)
        for _ in range(4):
            started = time.monotonic()
            found = statuses.of(a_silent_profile(port))
            assert time.monotonic() - started < 1
            assert not found.available and "does not answer" in str(found.error)


def test_many_silent_servers_are_told_together_within_a_second() -> None:
    with silent_listener() as port:
        profiles = [a_silent_profile(port, f"silent-{number}") for number in range(12)]
        started = time.monotonic()
        found = DatabaseStatuses(probe_seconds=2).of_all(profiles)
        assert time.monotonic() - started < 1
        assert [status.available for status in found] == [False] * 12


def test_a_server_that_lets_us_in_and_then_hangs_is_told_within_a_second(server: Server) -> None:
    with Proxy(server.connection.host, server.connection.port, limit=600, then="silence") as proxy:
        statuses = DatabaseStatuses(probe_seconds=2)
        profile = a_profile(replace(server.connection, host="127.0.0.1", port=proxy.port))
        started = time.monotonic()
        assert not statuses.of(profile).available
        assert time.monotonic() - started < 1
        time.sleep(2.5)
        assert not statuses.of(profile).available
        assert time.monotonic() - started < 5


def test_one_question_is_under_way_for_a_database_however_many_ask(
    empty_database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    real = module.read_status

    def counted(connection: Connection, **facts: Any) -> DatabaseStatus:
        asked.append(time.monotonic())
        time.sleep(0.2)
        return real(connection, **facts)

    monkeypatch.setattr(module, "read_status", counted)
    statuses = DatabaseStatuses()
    found: list[DatabaseStatus] = []
    threads = [threading.Thread(target=lambda: found.append(statuses.of(a_profile(empty_database)))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1 and len(set(map(id, found))) == 1 and found[0].available
    statuses.of(a_profile(empty_database))
    assert len(asked) == 1  # fresh enough


def test_a_server_that_is_slow_to_say_its_size_is_available(
    empty_database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FACTS", "SELECT 1, 'x', 1 FROM pg_sleep(1.2)")
    started = time.monotonic()
    statuses = DatabaseStatuses()
    found = statuses.of(a_profile(empty_database))
    assert time.monotonic() - started < 1
    assert found.available and found.version and found.size_bytes is None
    assert to_api(found)["databaseSize"] == "N/A"
    time.sleep(0.8)
    assert statuses.of(a_profile(empty_database)).size_pretty == "x"


def test_a_server_that_is_slow_altogether_is_available_from_the_second_look_on(
    empty_database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.read_status

    def slow(connection: Connection, **facts: Any) -> DatabaseStatus:
        time.sleep(0.5)
        return real(connection, **facts)

    monkeypatch.setattr(module, "read_status", slow)
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    statuses = DatabaseStatuses(deadline=0.2)
    assert not statuses.of(a_profile(empty_database)).available
    time.sleep(0.6)
    assert statuses.of(a_profile(empty_database)).available


def test_another_connection_of_the_same_name_is_asked_anew(empty_database: Connection) -> None:
    statuses = DatabaseStatuses()
    assert statuses.of(a_profile(empty_database)).available
    assert not statuses.of(a_profile(empty_database.to("nowhere"))).available
    assert statuses.of(a_profile(empty_database)).available
