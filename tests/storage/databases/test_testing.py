"""Testing a connection against real servers and real silence: each trouble has an answer of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from storage.databases import testing
from storage.databases.testing import Seen, judge
from storage.postgres.connection import Connection, connect, explain
from storage.postgres.programs import Installation
from storage.secret import Secret
from tests.proxy import Proxy
from tests.servers import Server

pytestmark = pytest.mark.postgres


def an_installation(major: int) -> Installation:
    return Installation(folder=Path(f"/pg/{major}"), major=major, version=f"{major}.1", has_server=False, zstd=False)


def a_tester(*majors: int, seconds: int = 2) -> testing.Tester:
    installations: Sequence[Installation] = tuple(an_installation(major) for major in majors)
    return testing.Tester(lambda: installations, seconds=seconds)


@pytest.fixture
def over_tcp(server: Server) -> Iterator[Connection]:
    """The server's database postgres, over 127.0.0.1."""
    connection = server.connection
    with Proxy(connection.host, connection.port) as proxy:
        yield replace(connection, host="127.0.0.1", port=proxy.port)


@contextmanager
def silent_listener() -> Iterator[int]:
    """Accepts, and then says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def accept() -> None:
        try:
            while True:
                accepted.append(listener.accept()[0])
        except OSError:
            return

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for one in accepted:
            one.close()


def test_a_good_connection_says_the_servers_version(server: Server) -> None:
    found = a_tester(server.major)(server.connection)
    assert found.good and found.server_version.startswith(str(server.major)) and found.advice is None
    assert found.server_version in str(found.message)


def test_a_role_that_may_not_read_everything_gets_in_and_is_told_what_is_missing(
    server: Server, empty_database: Connection
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE ROLE \"half-blind\" LOGIN PASSWORD 'p'")
        session.execute("CREATE TABLE seen (); CREATE TABLE unseen (); CREATE SCHEMA closed; CREATE TABLE closed.t ()")
        session.execute('GRANT SELECT ON seen, closed.t TO "half-blind"')
    try:
        restricted = replace(empty_database, user="half-blind", password=Secret("p"))
        found = a_tester(server.major)(restricted)
        assert found.good
        assert "half-blind may read 1 of 3 tables" in str(found.advice)
        assert 'GRANT pg_read_all_data TO "half-blind";' in str(found.advice)
        with connect(empty_database, application="tests") as session:
            session.execute('GRANT pg_read_all_data TO "half-blind"')
        assert a_tester(server.major)(restricted).advice is None
    finally:
        with connect(empty_database, application="tests") as session:
            session.execute('DROP OWNED BY "half-blind"; DROP ROLE "half-blind"')


def test_a_name_that_is_not_known() -> None:
    found = a_tester(18)(Connection(host="no-such-host.invalid", user="u", dbname="d"))
    assert found.kind == "name" and "no-such-host.invalid" in str(found.message)


def test_a_port_where_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    found = a_tester(18)(Connection(host="127.0.0.1", port=port, user="u", dbname="d"))
    assert found.kind == "refused" and f"127.0.0.1:{port}" in str(found.message)


def test_a_server_that_accepts_and_says_nothing_is_told_within_bounds() -> None:
    with silent_listener() as port:
        started = time.monotonic()
        found = a_tester(18)(Connection(host="127.0.0.1", port=port, user="u", dbname="d", sslmode="disable"))
        assert found.kind == "silent"
        assert time.monotonic() - started < 3


def test_a_server_that_lets_us_in_and_then_says_nothing_is_told_within_bounds(server: Server) -> None:
    with Proxy(server.connection.host, server.connection.port, limit=600, then="silence") as proxy:
        started = time.monotonic()
        found = a_tester(18)(replace(server.connection, host="127.0.0.1", port=proxy.port))
        assert found.kind == "silent"
        assert time.monotonic() - started < 3


def test_a_wrong_password(server: Server) -> None:
    found = a_tester(18)(replace(server.connection, password=Secret("wrong")))
    assert found.kind == "password" and "pghaven" in str(found.message)
    assert "wrong" not in str(found.message) + found.words


def test_no_password_at_all(server: Server) -> None:
    found = a_tester(18)(replace(server.connection, password=None))
    assert found.kind == "password" and "none was given" in str(found.message)


def test_tls_that_the_server_does_not_offer(over_tcp: Connection) -> None:
    found = a_tester(18)(replace(over_tcp, sslmode="require"))
    assert found.kind == "tls" and "require" in str(found.message)


def test_a_certificate_that_is_not_there(over_tcp: Connection) -> None:
    found = a_tester(18)(replace(over_tcp, sslmode="verify-full", sslrootcert="/nowhere/root.crt"))
    assert found.kind == "tls"


def test_a_certificate_file_that_is_not_there_is_named() -> None:
    """In the words that libpq has for it once the server offers TLS."""
    connection = Connection(host="h", user="u", dbname="d", sslmode="verify-full", sslrootcert="/nowhere/root.crt")
    words = 'connection to server at "h", port 5432 failed: root certificate file "/nowhere/root.crt" does not exist'
    found = explain(connection, words)
    assert found.kind == "tls" and "There is no file /nowhere/root.crt" in str(found.cause)


def test_a_database_that_does_not_exist(server: Server) -> None:
    found = a_tester(18)(server.connection.to("nowhere"))
    assert found.kind == "database" and "nowhere" in str(found.message)


def test_a_role_that_may_not_log_in(server: Server) -> None:
    with connect(server.connection, application="tests") as session:
        session.execute("CREATE ROLE sleeper NOLOGIN PASSWORD 'p'")
    try:
        found = a_tester(18)(replace(server.connection, user="sleeper", password=Secret("p")))
        assert found.kind == "forbidden"
    finally:
        with connect(server.connection, application="tests") as session:
            session.execute("DROP ROLE sleeper")


def test_a_server_newer_than_the_programs_comes_with_the_command_that_helps(server: Server) -> None:
    found = a_tester(13)(server.connection)
    assert found.kind == "newer"
    assert str(found.advice) == f"Run: pghaven tools install {server.major}"
    assert "the newest programs here are 13" in str(found.message)


def test_a_machine_without_programs_is_told_so() -> None:
    found = judge(Connection(host="h", user="u", dbname="d"), Seen("16.4 (Debian 16.4-1)"), ())
    assert found.kind == "newer" and str(found.advice) == "Run: pghaven tools install 16"


def test_a_server_that_nobody_can_install_programs_for_is_told_so() -> None:
    found = judge(Connection(host="h", user="u", dbname="d"), Seen("21devel"), [an_installation(18)])
    assert found.kind == "newer" and "PG_BIN_DIRS" in str(found.advice)


@pytest.mark.parametrize(
    ("version", "majors", "advised"), [("15.4", (18,), True), ("15.4", (16, 18), False), ("17.1", (18,), False)]
)
def test_programs_whose_archives_could_not_go_back_are_said_with_the_command_that_helps(
    version: str, majors: tuple[int, ...], advised: bool
) -> None:
    found = judge(Connection(host="h", user="u", dbname="d"), Seen(version), [an_installation(one) for one in majors])
    assert found.kind == "ok"
    assert ("pghaven tools install 16" in str(found.advice)) is advised


def probes() -> int:
    return sum(thread.name.startswith("probe-") for thread in threading.enumerate())


def test_many_tests_of_a_silent_server_do_not_pile_up_threads() -> None:
    with silent_listener() as port:
        tester, before = a_tester(18), probes()
        connection = Connection(host="127.0.0.1", port=port, user="u", dbname="d", sslmode="disable")
        threads = [threading.Thread(target=tester, args=(connection,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        assert probes() - before <= 4
        started = time.monotonic()
        for thread in threads:
            thread.join()
        assert time.monotonic() - started < 4


@pytest.mark.slow
def test_a_name_server_that_never_answers_does_not_hold_the_caller() -> None:
    """The name is looked up by a resolver of our own making, which takes ten seconds."""
    code = """
import socket, time
socket.getaddrinfo = lambda *a, **k: time.sleep(10)
from storage.databases.testing import Tester
from storage.postgres.connection import Connection
started = time.monotonic()
found = Tester(lambda: (), seconds=1)(Connection(host="slow.example.org", user="u", dbname="d"))
print(found.kind, time.monotonic() - started < 2.5)
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["silent", "True"]
    assert time.monotonic() - started < 6  # the thread that still waits does not keep the program from ending
