"""The System page's checks of each database: what it needs, from the way to its server to its last proof."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from storage.backups.record import BackupState
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from storage.settings import Settings
from tests.builders import a_backup
from tests.conftest import StandingClock
from tests.servers import Server
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep, register

pytestmark = pytest.mark.postgres


@pytest.fixture
def settings(settings: Settings, server: Server) -> Settings:
    """Those of all pages, with programs that can back the tests' server up."""
    return replace(settings, pg_bin_dirs=(server.installation.folder,))


def checked(admin: Browser, name: str) -> list[tuple[str, str, str]]:
    """(tone, what, advice) of each line that is checked of a database."""
    page = admin.get(f"/system/databases/{name}", headers={"HX-Request": "true"}).text
    assert "<html" not in page
    lines = re.findall(r'<li class="s-(\w+)">(.*?)</li>', page, re.DOTALL)
    return [
        (tone, *(re.sub(r"<[^>]+>", "", "".join(re.findall(pattern, line))).strip() for pattern in (_WHAT, _ADVICE)))
        for tone, line in lines
    ]  # type: ignore[misc]


_WHAT, _ADVICE = r"</svg><span>(.*?)</span>", r'<span class="more">(.*?)</span>'


def test_each_database_is_checked_from_its_server_to_its_last_proof(
    admin: Browser, storage: Storage, clock: StandingClock, empty_database: Connection
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 200) n")
    storage.databases.add("shop", empty_database, by="tests")
    assert 'hx-get="/system/databases/shop"' in admin.get("/system").text
    found = checked(admin, "shop")
    assert [what for _, what, _ in found] == [
        "Its server answers",
        "There are programs for its version",
        "Its role may read every table",
        "The next backup fits on the disk",
        "There is no good backup yet",
        "No backup was proven yet",
        "It is backed up by itself",
    ]
    assert [tone for tone, _, _ in found] == [*["complete"] * 4, "failed", "waiting", "complete"]
    assert "1 thing needs you" in admin.get("/system/databases/shop").text

    keep(storage, a_backup("shop", at=clock() - timedelta(hours=5)))
    storage.schedules.pause("shop", clock() + timedelta(days=3), by="ana")
    assert [(tone, what) for tone, what, _ in checked(admin, "shop")][4:] == [
        ("complete", "The last good backup is young enough"),
        ("waiting", "No backup was proven yet"),
        ("warning", "Its schedule is paused"),
    ]
    keep(storage, a_backup("shop", at=clock() - timedelta(hours=1), state=BackupState.FAILED))
    assert ("failed", "The last backup failed", "") in checked(admin, "shop")


def test_a_role_that_may_not_read_everything_is_found_with_the_grant_that_helps(
    admin: Browser, storage: Storage, empty_database: Connection
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE orders (id int)")
        session.execute("CREATE ROLE looker LOGIN PASSWORD 'a password of its own'")
    try:
        role = replace(empty_database, user="looker", password=Secret("a password of its own"))
        storage.databases.add("shop", role, by="tests")
        [line] = [one for one in checked(admin, "shop") if "role" in one[1]]
        assert line[:2] == ("failed", "Its role may not read every table")
        assert "GRANT pg_read_all_data" in line[2]
    finally:
        with connect(empty_database, application="tests") as session:
            session.execute("DROP ROLE looker")


def test_a_database_that_cannot_be_reached_is_checked_as_far_as_it_can_be(admin: Browser, storage: Storage) -> None:
    register(storage, "away")
    found = checked(admin, "away")
    assert found[0][0] == "failed" and "127.0.0.1:1" in found[0][1] and found[0][2]
    assert len(found) == 5
    page = admin.get("/system/databases/away", headers={"Accept-Language": "zh-CN"})
    assert page.status_code == 200


def test_nobody_is_asked_before_the_part_of_the_page_is_shown(admin: Browser, storage: Storage) -> None:
    register(storage, "away")
    page = admin.get("/system").text
    assert "Asking the server" in page
    assert "Its server answers" not in page
    assert admin.get("/system/databases/nobody").status_code == 404
