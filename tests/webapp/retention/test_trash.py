"""The trash in the browser, and what the page of a backup offers for keeping it and for letting it go."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage.backups.record import BackupState
from storage.opening import Storage
from tests.builders import a_backup
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser
from tests.webapp.retention.test_retention import audited
from tests.webapp.seeding import keep, register


@pytest.fixture
def old(storage: Storage) -> str:
    register(storage, "shop")
    keep(storage, a_backup(at=storage.clock() - timedelta(hours=1)))
    return keep(storage, a_backup(at=storage.clock() - timedelta(days=3))).backup_id


def state(storage: Storage, backup_id: str) -> BackupState:
    return storage.backups.catalog.get(backup_id).state


def test_a_backup_is_moved_to_the_trash_with_one_press_and_back_with_another(
    admin: Browser, storage: Storage, old: str
) -> None:
    page = admin.post(f"/backups/{old}/trash", follow_redirects=True).text
    assert state(storage, old) is BackupState.TRASHED
    assert "This backup is in the trash until" in page and f'action="/trash/{old}/put-back"' in page
    assert f"/backups/{old}/archive" not in page
    page = admin.post(f"/trash/{old}/put-back", follow_redirects=True).text
    assert state(storage, old) is BackupState.COMPLETE
    assert "The backup is back in its place." in page
    assert audited(storage, "backup_deleted") == audited(storage, "backup_put_back") == [(old, "ana")]


def test_the_trash_shows_what_is_in_it_and_until_when(
    admin: Browser, user: Browser, storage: Storage, old: str
) -> None:
    assert "The trash is empty" in user.get("/trash").text
    storage.trash.discard(old, by="ana")
    page = admin.get("/trash").text
    assert "1 backup in the trash" in page
    assert "Sun 29 Nov, 14:14" in page and "By hand." in page
    assert f"/trash/{old}/erase" in page
    assert f"/trash/{old}" not in user.get("/trash").text


def test_what_is_in_the_trash_cannot_be_restored_downloaded_or_verified(
    admin: Browser, storage: Storage, old: str
) -> None:
    storage.trash.discard(old, by="ana")
    assert admin.get(f"/backups/{old}/archive").status_code == 409
    assert admin.post(f"/backups/{old}/verify").status_code == 409
    assert "It is in the trash." in admin.get("/restores/new", query_string={"backup": old}).text


@pytest.mark.parametrize("typed", ["", "hub", "SHOP"])
def test_erasing_asks_for_the_name_of_the_database(admin: Browser, storage: Storage, old: str, typed: str) -> None:
    storage.trash.discard(old, by="ana")
    assert "Nobody can bring it back." in admin.get(f"/trash/{old}/erase").text
    response = admin.post(f"/trash/{old}/erase", data={"typed": typed})
    assert response.status_code == 422 and "Nothing was changed." in response.text
    assert state(storage, old) is BackupState.TRASHED
    assert admin.post(f"/trash/{old}/erase", data={"typed": "shop"}).status_code == 303
    assert state(storage, old) is BackupState.ERASED
    assert "its archive was erased" in admin.get(f"/backups/{old}").text
    assert audited(storage, "backup_erased") == [(old, "ana")]


def test_emptying_asks_for_a_word_and_leaves_what_is_in_no_trash(admin: Browser, storage: Storage, old: str) -> None:
    storage.trash.discard(old, by="ana")
    assert admin.post("/trash/empty", data={"typed": "yes"}).status_code == 422
    assert len(storage.trash.all()) == 1
    page = admin.post("/trash/empty", data={"typed": "trash"}, follow_redirects=True).text
    assert "1 backup is erased." in page and "The trash is empty" in page
    assert len(storage.backups.catalog.find(states={BackupState.COMPLETE})) == 1
    assert "The trash is empty" in admin.get("/trash/empty").text


def test_what_is_in_no_trash_cannot_be_erased_or_put_back(admin: Browser, storage: Storage, old: str) -> None:
    for path, data in ((f"/trash/{old}/erase", {"typed": "shop"}), (f"/trash/{old}/put-back", {})):
        assert admin.post(path, data=data).status_code == 409
    assert state(storage, old) is BackupState.COMPLETE


def test_a_pinned_backup_stays_until_it_is_unpinned(admin: Browser, storage: Storage, old: str) -> None:
    page = admin.post(f"/backups/{old}/pin", follow_redirects=True).text
    assert "This backup never expires." in page and f"/backups/{old}/unpin" in page
    assert f'action="/backups/{old}/trash"' not in page
    assert storage.backups.catalog.get(old).pinned
    assert admin.post(f"/backups/{old}/trash").status_code == 409
    assert "Pinned." in admin.get("/databases/shop/retention").text
    admin.post(f"/backups/{old}/unpin")
    assert not storage.backups.catalog.get(old).pinned
    assert admin.post(f"/backups/{old}/trash").status_code == 303
    assert audited(storage, "backup_pinned") == audited(storage, "backup_unpinned") == [(old, "ana")]


def test_the_last_good_backup_is_not_thrown_away_by_mistake(admin: Browser, storage: Storage, old: str) -> None:
    newest = storage.backups.catalog.all()[0].backup_id
    assert admin.post(f"/backups/{newest}/trash").status_code == 303
    response = admin.post(f"/backups/{old}/trash")
    assert response.status_code == 409 and "only good backup of shop" in response.text


def test_no_page_counts_what_is_in_the_trash_as_protection(
    admin: Browser, storage: Storage, old: str, clock: StandingClock
) -> None:
    register(storage, "shop")
    newest = storage.backups.catalog.all()[0].backup_id
    storage.trash.discard(newest, by="ana")
    assert "1 kept" in admin.get("/databases/shop").text
    history = admin.get("/history").text
    assert "1 is in the trash" in history
    assert "In the trash" in admin.get("/history", query_string={"result": "trashed"}).text
    assert newest not in admin.get("/restores").text
    assert "1 in the trash" in admin.get("/databases/shop").text  # the cell of its day


def test_a_user_sees_a_backup_without_the_means_to_delete_it(user: Browser, old: str) -> None:
    page = user.get(f"/backups/{old}").text
    assert "/pin" not in page and f"/backups/{old}/trash" not in page
