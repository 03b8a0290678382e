"""Story 1.7, acceptance criterion 2: the state of the backups, thirty days of them, and everything about each."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

from storage.backups.record import BackupState
from storage.opening import Storage
from tests.builders import a_backup
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser
from tests.webapp.history.reading import listed
from tests.webapp.seeding import keep, register


def test_story_1_7_ac2_the_newest_backup_the_last_thirty_days_and_each_backup_are_shown(
    admin: Browser, storage: Storage, clock: StandingClock
) -> None:
    register(storage, "shop")
    kept = [keep(storage, a_backup("shop", at=clock() - timedelta(days=days, hours=2))) for days in range(40)]
    newest = words(admin.get("/databases/shop").text)
    assert "shop Protected" in newest
    assert "Sun 22 Nov, 12:14 Complete 10 kB" in newest  # as the clocks of Berlin show it

    keep(storage, a_backup("shop", at=clock() - timedelta(hours=1), state=BackupState.FAILED))
    assert "shop Failing" in words(admin.get("/databases/shop").text)

    history = admin.get("/history?database=shop").text
    assert listed(history)[:2] == [("shop", "Failed"), ("shop", "Complete")]
    assert "31 backups" in words(history)
    assert f"/backups/{kept[29].backup_id}" in history
    assert f"/backups/{kept[30].backup_id}" not in history

    details = words(admin.get(f"/backups/{kept[3].backup_id}").text)
    for fact in (kept[3].sha256, "10 kB", "pg_dump 16.11", "orders", "1,000", "zstd"):
        assert fact in details


def words(page: str) -> str:
    """What is read, without what is drawn."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page))).replace("\xa0", " ")
