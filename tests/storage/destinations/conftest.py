"""The places that the tests of destinations ask for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.destinations.destination import parse_url
from tests.storage.destinations.places import ObjectServer, Place


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    folder = tmp_path_factory.mktemp("objects")
    server = ObjectServer(folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["folder", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Makes destinations of one kind; every test that asks for it is carried out for each kind."""
    if request.param == "folder":
        (tmp_path / "copies").mkdir()
        return lambda name: parse_url(name, str(tmp_path / "copies" / name))
    server: ObjectServer = request.getfixturevalue("object_server")
    return server.destination
