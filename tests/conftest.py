"""What every test may ask for: real servers, databases of its own, a data folder, a clock."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection
from storage.settings import Settings
from tests.servers import Server, Servers, open_folder


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """All servers of this run; each is started when the first test asks for it."""
    running = Servers()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def server(servers: Servers) -> Server:
    """A server of the newest major that this machine has."""
    return servers.newest()


@pytest.fixture(scope="session")
def server_of(servers: Servers) -> Callable[[int], Server]:
    """server_of(14) to server_of(18)."""
    return servers.of


@pytest.fixture
def empty_database(server: Server) -> Iterator[Connection]:
    """A database that only this test sees, dropped afterwards."""
    with server.a_database() as connection:
        yield connection


class StandingClock:
    """A clock that stands until it is told to go on."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **by: float) -> datetime:
        self.moment += timedelta(**by)
        return self.moment


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(datetime(2026, 11, 22, 13, 14, 5, tzinfo=UTC))


@pytest.fixture
def storage_folder(tmp_path: Path) -> Path:
    """A data folder of the test's own."""
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def an_open_storage(server: Server, storage_folder: Path, empty_database: Connection) -> Iterator[Storage]:
    """A storage over a data folder of its own, not started, with `empty_database` added as `shop`.

    Its embedded server would be in a folder of its own too; nothing starts it unless the test does.
    """
    private = open_folder("pghaven-private-")
    storage = open_storage(
        Settings(data_folder=storage_folder, private_folder=private, pg_bin_dirs=(server.installation.folder,))
    )
    storage.databases.add("shop", empty_database, by="tests")
    yield storage
    storage.stop()
    shutil.rmtree(private, ignore_errors=True)
