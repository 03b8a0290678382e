"""Retention, pins and the trash at the terminal: on records that lie in a data folder."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage.backups.catalog import Catalog
from storage.clock import utc_now
from tests.builders import a_backup
from tests.webapp.cli.conftest import NOWHERE, Terminal
from tests.webapp.seeding import BODY


@pytest.fixture
def old(terminal: Terminal) -> list[str]:
    """Backups of shop, newest first; the last two have expired by the usual policy."""
    terminal("databases", "add", "shop", NOWHERE, "--no-test").good()
    catalog = Catalog(terminal.folder, clock=utc_now)
    ids = []
    for days in (1, 2, 3, 31, 40):
        record = a_backup(at=utc_now() - timedelta(days=days)).with_(bytes=len(BODY))
        path = catalog.archive_path(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BODY)
        catalog.save(record)
        ids.append(record.backup_id)
    return ids


def states(terminal: Terminal) -> dict[str, str]:
    return {one["id"]: one["state"] for one in terminal("backups", "list", "shop", "--json").good().json}


def test_the_preview_says_what_goes_and_why_and_changes_nothing(terminal: Terminal, old: list[str]) -> None:
    said = terminal("retention", "preview", "shop").good().out
    assert "Older than 30 days." in said and "3 stay, 2 go." in said
    facts = terminal("retention", "preview", "shop", "--json").good().json
    assert [(one["id"], one["kept"]) for one in facts["backups"]] == [
        (backup_id, place < 3) for place, backup_id in enumerate(old)
    ]
    assert facts["paused"] is False and facts["policy"]["days"] == 30
    assert set(states(terminal).values()) == {"complete"}


def test_a_run_moves_to_the_trash(terminal: Terminal, old: list[str]) -> None:
    facts = terminal("retention", "run", "shop", "--json").good().json
    assert set(facts["moved"]) == set(old[3:]) and facts["kept"] == 3
    assert [states(terminal)[one] for one in old[3:]] == ["trashed", "trashed"]
    assert "0 moved to the trash" in terminal("retention", "run", "shop", "--yes").good().out


def test_a_policy_is_set_number_by_number(terminal: Terminal, old: list[str]) -> None:
    set_ = ("retention", "set", "shop")
    facts = terminal(*set_, "--days", "7", "--keep-last", "4", "--most-gb", "1.5", "--json").good().json
    assert (facts["days"], facts["keep_last"], facts["most_bytes"], facts["minimum"]) == (7, 4, 1_500_000_000, 3)
    facts = terminal(*set_, "--days", "forever", "--most-gb", "0", "--json").good().json
    assert (facts["days"], facts["keep_last"], facts["most_bytes"]) == (None, 4, None)
    assert "3 stay" not in terminal("retention", "preview", "shop").good().out
    assert terminal(*set_, "--days", "0", "--json").code == 5
    assert terminal(*set_, "--days", "soon", "--json").code == 2
    assert "keep last" in terminal(*set_).good().out


def test_a_pinned_backup_stays(terminal: Terminal, old: list[str]) -> None:
    terminal("backups", "pin", old[4]).good()
    assert terminal("trash", "put", old[4], "--json").code == 4
    assert terminal("retention", "run", "shop", "--yes", "--json").good().json["moved"] == [old[3]]
    assert terminal("backups", "unpin", old[4], "--json").good().json == {"id": old[4], "pinned": False}
    assert terminal("retention", "run", "shop", "--yes", "--json").good().json["moved"] == [old[4]]


def test_into_the_trash_and_back_and_away(terminal: Terminal, old: list[str]) -> None:
    for backup_id in old[2:4]:
        assert "is in the trash until" in terminal("trash", "put", backup_id).good().out
    assert [one["id"] for one in terminal("trash", "list", "--json").good().json] == [old[3], old[2]]
    assert "is back: complete" in terminal("trash", "restore", old[2]).good().out
    assert terminal("trash", "empty", "--json").code == 8
    assert terminal("trash", "empty", "--yes", "--json").good().json == {"erased": [old[3]]}
    assert old[3] not in states(terminal) and states(terminal)[old[2]] == "complete"
    assert "The trash is empty." in terminal("trash", "list").good().out
    told = [event["action"] for event in terminal("audit", "list", "--json").good().json]
    assert {"backup_deleted", "backup_put_back", "backup_erased"} <= set(told)
