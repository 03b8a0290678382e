"""A storage with a real database, a backup of it, and browsers that are signed in."""

from __future__ import annotations

import pytest

from storage.accounts.permissions import Role
from storage.backups.record import BackupRecord
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from tests.webapp.conftest import PASSWORD, Browser, an_app


@pytest.fixture
def shop(an_open_storage: Storage, empty_database: Connection) -> Storage:
    """`shop`, with 100 orders and 3 users."""
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE orders AS SELECT n AS id, n * 2 AS price FROM generate_series(1, 100) n")
        session.execute("CREATE TABLE users AS SELECT n AS id FROM generate_series(1, 3) n")
    an_open_storage.accounts.add("ana", Role.ADMIN, Secret(PASSWORD))
    an_open_storage.accounts.add("ben", Role.USER, Secret(PASSWORD))
    return an_open_storage


@pytest.fixture
def backup(shop: Storage) -> BackupRecord:
    return taken(shop)


@pytest.fixture
def ana(shop: Storage) -> Browser:
    return signed_in(shop, "ana")


def taken(storage: Storage) -> BackupRecord:
    job, _ = storage.backups.take("shop", by="tests", background=False)
    record = storage.backups.catalog.get(storage.runner.run_here(job).result["backup_id"])
    assert record.good
    return record


def signed_in(storage: Storage, name: str) -> Browser:
    browser = an_app(storage).test_client()
    assert isinstance(browser, Browser)
    assert browser.sign_in(name).status_code == 303
    return browser
