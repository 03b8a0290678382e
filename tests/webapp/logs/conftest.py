"""What the tests of logs' pages ask for: a small claude-code-hub as `hub`, and the user `ben` linked to one of its."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.opening import Storage
from storage.postgres.connection import Connection
from tests.hub import LIN, a_hub
from tests.servers import Server


@pytest.fixture
def hub_database(server: Server) -> Iterator[Connection]:
    with a_hub(server) as connection:
        yield connection


@pytest.fixture
def hub(storage: Storage, hub_database: Connection) -> Storage:
    """The storage of the pages: the default database cannot be reached, `hub` can."""
    storage.databases.add("hub", hub_database, by="tests")
    return storage


@pytest.fixture
def linked(hub: Storage) -> Storage:
    """The same, and the account `ben` is the application's user `Lin, Wei`."""
    hub.accounts.link("ben", "hub", LIN)
    return hub
