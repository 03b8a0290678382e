"""What the tests of logs ask for: a small claude-code-hub, and a storage that knows it as `hub`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection
from storage.secret import Secret
from storage.settings import Settings
from tests.hub import a_hub
from tests.servers import Server

NOWHERE = Secret("postgresql://nobody@127.0.0.1:1/nothing")
"""A default database that cannot be reached, so that no embedded server is looked for."""


@pytest.fixture
def hub_database(server: Server) -> Iterator[Connection]:
    """The database itself, which only this test sees."""
    with a_hub(server) as connection:
        yield connection


@pytest.fixture
def hub(
    server: Server, storage_folder: Path, tmp_path: Path, hub_database: Connection, empty_database: Connection
) -> Iterator[Storage]:
    """A storage, not started, with the database added as `hub`, and an empty one as `shop`."""
    storage = open_storage(
        Settings(
            data_folder=storage_folder,
            private_folder=tmp_path / "private",
            pg_bin_dirs=(server.installation.folder,),
            database_url=NOWHERE,
            database_variable="DATABASE_URL",
        )
    )
    storage.databases.add("hub", hub_database, by="tests")
    storage.databases.add("shop", empty_database, by="tests")
    yield storage
    storage.stop()
