"""What the tests of pages ask for: the application over a data folder of its own, and browsers that are signed in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from storage.accounts.permissions import Role
from storage.opening import Storage, open_storage
from storage.secret import Secret
from storage.settings import Settings
from tests.conftest import StandingClock
from webapp import create_app

NO_JSON = [b'{"database": "\\ud800"}', b'{"userIds": ' + b"[" * 100_000, b'{"a": ' * 100_000]
"""Bodies of which Python makes something, or breaks in the attempt, and nothing else could: half a surrogate pair, and
more brackets than its parser has room for."""
PASSWORD = "seven herons on the pier"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
"""A default database that is not there: no embedded server is looked for."""

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Browser(FlaskClient):
    """A client that sends the CSRF token of its session with every write, as our pages do, unless csrf=False."""

    def open(self, *args: Any, csrf: bool = True, **options: Any) -> TestResponse:
        if csrf and options.get("method") in _WRITES:
            headers = dict(options.pop("headers", None) or {})
            headers.setdefault("X-CSRF-Token", self.csrf_token())
            options["headers"] = headers
        return super().open(*args, **options)

    def csrf_token(self) -> str:
        """The token as the sign-in page, an error page, or any other gives it."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', super().open("/no-such-page", method="GET").text)
        assert found, "the page has no CSRF token"
        return found[1]

    def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> TestResponse:
        return self.post("/login", data={"name": name, "password": password, **more})


@pytest.fixture
def settings(storage_folder: Path, tmp_path: Path) -> Settings:
    return Settings(
        data_folder=storage_folder,
        private_folder=tmp_path / "private",
        database_url=Secret(NOWHERE),
        database_variable="DATABASE_URL",
        time_zone="Europe/Berlin",
    )


@pytest.fixture
def fresh_storage(settings: Settings, clock: StandingClock) -> Iterator[Storage]:
    """A storage in which nobody has an account; not started."""
    storage = open_storage(settings, clock=clock)
    yield storage
    storage.stop()


@pytest.fixture
def storage(fresh_storage: Storage) -> Storage:
    """A storage with the admin `ana` and the user `ben`; not started."""
    fresh_storage.accounts.add("ana", Role.ADMIN, Secret(PASSWORD))
    fresh_storage.accounts.add("ben", Role.USER, Secret(PASSWORD))
    return fresh_storage


def an_app(storage: Storage) -> Flask:
    app = create_app(storage)
    app.test_client_class = Browser
    return app


@pytest.fixture
def app(storage: Storage) -> Flask:
    return an_app(storage)


@pytest.fixture
def client(app: Flask) -> Browser:
    """A browser in which nobody is signed in."""
    return _browser(app)


@pytest.fixture
def admin(app: Flask) -> Browser:
    return _signed_in(app, "ana")


@pytest.fixture
def user(app: Flask) -> Browser:
    return _signed_in(app, "ben")


def _browser(app: Flask) -> Browser:
    client = app.test_client()
    assert isinstance(client, Browser)
    return client


def _signed_in(app: Flask, name: str) -> Browser:
    browser = _browser(app)
    assert browser.sign_in(name).status_code == 303
    return browser
