"""What the tests of the APIs ask for: a pghaven that listens on a port, and a database that is worth streaming."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from storage.accounts.permissions import Role
from storage.jobs.turns import lock_name
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from storage.settings import Settings
from tests.servers import Server, open_folder
from tests.webapp.conftest import PASSWORD
from webapp import create_app
from webapp.cli.serve import listen

ROWS = 16_000
"""Of 3 kB that no compression makes smaller: more than the server and the sockets on the way take."""


@dataclass
class Answer:
    status: int
    head: str
    body: bytes
    whole: bool
    """Whether the last chunk came; without it, the connection ended too early."""


@dataclass
class Serving:
    """A pghaven on a port of its own, with the admin `ana`, looking after `shop`."""

    storage: Storage
    port: int
    token: str

    def connect(self, path: str, *, version: str = "1.1", method: str = "GET", headers: str = "") -> socket.socket:
        """A connection on which a request was sent and nothing was read."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(
            f"{method} {path} HTTP/{version}\r\nHost: here\r\nConnection: close\r\n"
            f"Authorization: Bearer {self.token}\r\n{headers}\r\n".encode()
        )
        return connection

    def get(self, path: str, headers: str = "") -> Answer:
        with self.connect(path, headers=headers) as connection:
            return read_answer(connection)

    def holds_turn(self) -> bool:
        return self.storage.locks.is_held(lock_name("shop"))


def read_answer(connection: socket.socket) -> Answer:
    """Read to the end and undo the chunks, believing nothing that the server did not say."""
    file = connection.makefile("rb")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = file.readline()
        assert line, head
        head += line
    text = head.decode()
    status = int(text.split()[1])
    if "transfer-encoding: chunked" not in text.lower():
        return Answer(status, text, file.read(), True)
    body = bytearray()
    try:
        while size := int(file.readline().strip() or b"-1", 16):
            if size < 0:
                return Answer(status, text, bytes(body), False)
            body += file.read(size)
            file.readline()
    except (ConnectionResetError, ValueError):
        return Answer(status, text, bytes(body), False)
    return Answer(status, text, bytes(body), True)


def children() -> set[int]:
    """The pg_dump processes of exports that run now."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if b"PGAPPNAME=pghaven export" in (folder / "environ").read_bytes():
                    found.add(int(folder.name))
            except OSError:
                continue
    return found


def eventually(condition: Callable[[], bool], *, seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


@contextmanager
def most_memory_grows_by() -> Iterator[Callable[[], int]]:
    """How many bytes of memory this process has had at most since the block began, above what it had then."""
    # The high-water mark of all tests before would hide everything below it.
    Path("/proc/self/clear_refs").write_text("5")
    before = _most_memory()
    yield lambda: _most_memory() - before


def _most_memory() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def serve(storage: Storage, *, token: str) -> Iterator[Serving]:
    server = listen(create_app(storage), replace(storage.settings, port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield Serving(storage, int(server.effective_port), token)  # type: ignore[union-attr, attr-defined]
    finally:
        server.close()
        server.task_dispatcher.shutdown(timeout=5)  # type: ignore[union-attr]


@pytest.fixture
def api_storage(server: Server, storage_folder: Path, empty_database: Connection) -> Iterator[Storage]:
    """A storage that carries jobs out and looks after `empty_database` as `shop`."""
    private = open_folder("pghaven-private-")
    storage = open_storage(
        Settings(
            data_folder=storage_folder,
            private_folder=private,
            pg_bin_dirs=(server.installation.folder,),
            port=0,
            stall_seconds=4,
            lock_wait_seconds=1,
        )
    )
    storage.databases.add("shop", empty_database, by="tests")
    storage.accounts.add("ana", Role.ADMIN, Secret(PASSWORD))
    yield storage
    storage.stop()
    shutil.rmtree(private, ignore_errors=True)


@pytest.fixture
def serving(api_storage: Storage) -> Iterator[Serving]:
    yield from serve(api_storage, token=api_storage.accounts.create_token("ana"))


@pytest.fixture
def working(api_storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The same, carrying jobs out."""
    api_storage.runner.start()
    api_storage.working = True
    return api_storage


@pytest.fixture
def large(empty_database: Connection) -> Connection:
    with connect(empty_database, application="tests") as session:
        session.execute(
            "CREATE TABLE noise AS SELECT i AS id, (SELECT string_agg(sha256((i || '-' || j)::bytea), ''::bytea)"
            f" FROM generate_series(1, 96) j) AS bytes FROM generate_series(1, {ROWS}) i"
        )
        session.execute("ALTER TABLE noise ALTER bytes SET STORAGE EXTERNAL")
    return empty_database


def kill(pids: set[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)
