"""What the tests of the generator ask for: an unused claude-code-hub, marked as a demo or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.opening import Storage
from storage.postgres.connection import Connection
from tests.hub import an_unused_hub
from tests.servers import Server


@pytest.fixture
def unused(server: Server) -> Iterator[Connection]:
    with an_unused_hub(server) as connection:
        yield connection


@pytest.fixture
def marked(an_open_storage: Storage, unused: Connection) -> Storage:
    """A storage that knows the unused hub, marked as a demo, as `made`."""
    an_open_storage.databases.add("made", unused, by="tests")
    assert an_open_storage.logs.generator.mark("made") is True
    return an_open_storage
