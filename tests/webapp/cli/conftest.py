"""What the tests of the terminal ask for: pghaven as a process of its own, and a small shop to back up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from storage.postgres.connection import Connection, connect
from tests.servers import Server

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    def good(self) -> Ended:
        assert self.code == 0, f"code {self.code}\n{self.out}\n{self.err}"
        return self


class Terminal:
    """Runs `pghaven` on a data folder, as a shell would: with nothing of this process but the search path."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        (folder / "metadata").mkdir(exist_ok=True)  # by which a data folder is known
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
            "BACKUP_STORAGE_PATH": str(folder),
            # A default database that is not there: otherwise every command would look for the embedded server.
            "DATABASE_URL": NOWHERE,
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "80",
            **environment,
        }
        for name in ("PG_BIN_DIRS", "PGHAVEN_PRIVATE_FOLDER"):
            if name in os.environ:
                self.environment.setdefault(name, os.environ[name])
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, typed: str = "", timeout: float = 120) -> Ended:
        process = self.start(*arguments)
        out, err = process.communicate(typed, timeout=timeout)
        return Ended(process.returncode, out, err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "webapp.cli", *arguments],
            env=self.environment,
            cwd=self.folder.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def end_all(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def terminal(storage_folder: Path) -> Iterator[Terminal]:
    """terminal("backups", "list") -> Ended, on a data folder of the test's own."""
    terminal = Terminal(storage_folder)
    yield terminal
    terminal.end_all()


def url_of(connection: Connection, **options: str) -> str:
    password = f":{quote(connection.password.reveal, safe='')}" if connection.password else ""
    query = urlencode({"host": connection.host, "port": str(connection.port), **options})
    return f"postgresql://{quote(connection.user, safe='')}{password}@/{quote(connection.dbname, safe='')}?{query}"


SHOP = """
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, notes jsonb);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, total numeric(10,2));
CREATE TABLE visits (at timestamptz, page text);
INSERT INTO customers SELECT n, '客户 ' || n, jsonb_build_object('n', n) FROM generate_series(1, 40) n;
INSERT INTO orders SELECT n, n % 40 + 1, n * 1.5 FROM generate_series(1, 200) n;
INSERT INTO visits SELECT now(), '/p/' || n FROM generate_series(1, 60) n;
"""


@pytest.fixture
def shop(server: Server) -> Iterator[Connection]:
    """A database with three small tables that only this test sees."""
    with server.a_database() as connection:
        with connect(connection, application="tests") as session:
            session.execute(SHOP)
        yield connection


@pytest.fixture
def with_shop(terminal: Terminal, server: Server, shop: Connection) -> Terminal:
    """The terminal, with the shop looked after under the name shop."""
    terminal.environment["PG_BIN_DIRS"] = str(server.installation.folder)
    terminal("databases", "add", "shop", url_of(shop), "--log-table", "public.visits", "--no-test").good()
    return terminal


def wait_until(true: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
