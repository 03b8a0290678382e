"""The way back in the browser: seen before it is done, asked once, and a kept database dropped by its typed name."""

from __future__ import annotations

import re

import pytest

from storage.backups.record import BackupRecord
from storage.jobs.model import JobKind, JobState
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from storage.restores.record import RestoreRecord
from storage.restores.request import Mode, RestoreRequest
from tests.webapp.conftest import Browser
from tests.webapp.restores.conftest import signed_in
from tests.webapp.restores.test_plan import a_day_later, fields, words

pytestmark = pytest.mark.postgres


def rows(database: Connection) -> int:
    with connect(database, application="tests") as session:
        row = session.execute("SELECT count(*) FROM orders").fetchone()
        assert row
        return int(row[0])


def carried_out(storage: Storage) -> RestoreRecord:
    """Carry out the job that was asked for last."""
    waiting = (job for job in storage.jobs.newest_first() if job.kind is JobKind.RESTORE and not job.ended)
    job = storage.runner.run_here(next(waiting))
    assert job.state is JobState.COMPLETED, job.error
    return storage.restores.get(job.result["restore_id"])


@pytest.fixture
def replaced(shop: Storage, backup: BackupRecord, empty_database: Connection) -> RestoreRecord:
    a_day_later(empty_database)
    request = RestoreRequest(backup_id=backup.backup_id, mode=Mode.REPLACE)
    shop.restores.start(request, by="ana", confirmed=empty_database.dbname, background=False)
    return carried_out(shop)


def token(page: str) -> dict[str, str]:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    return {"csrf_token": found[1]} if found else {}


def test_story_1_7_ac4_the_plan_says_that_a_snapshot_is_taken_and_the_end_says_that_the_data_are_restored(
    ana: Browser, replaced: RestoreRecord
) -> None:
    plan = words(ana.get(f"/restores/new?backup={replaced.backup_id}&mode=replace").text)
    assert "a snapshot of it is taken meanwhile" in plan and "A snapshot of" in plan
    done = ana.get(f"/restores/{replaced.restore_id}").text
    assert "Data restored" in done and f"/backups/{replaced.snapshot_id}" in done
    chinese = ana.get(f"/restores/{replaced.restore_id}", headers={"Accept-Language": "zh-CN"}).text
    assert "数据恢复成功" in chinese


def test_a_restore_is_undone_from_its_page_with_one_confirmation(
    ana: Browser, shop: Storage, replaced: RestoreRecord, empty_database: Connection
) -> None:
    assert rows(empty_database) == 100
    page = ana.get(f"/restores/{replaced.restore_id}").text
    assert f'href="/restores/{replaced.restore_id}/undo"' in page
    asked = ana.get(f"/restores/{replaced.restore_id}/undo").text
    assert "gets the name" in words(asked) and rows(empty_database) == 100
    assert ana.post(f"/restores/{replaced.restore_id}/undo", data=token(asked)).status_code == 303
    back = carried_out(shop)
    assert rows(empty_database) == 60
    assert "The restore was undone" in ana.get(f"/restores/{back.restore_id}").text
    page = ana.get(f"/restores/{replaced.restore_id}").text
    assert "/undo" not in page and back.restore_id in page
    again = ana.get(f"/restores/{replaced.restore_id}/undo").text
    assert "It cannot be started like this" in again


def test_what_a_restore_keeps_is_listed_and_dropped_by_its_typed_name(
    ana: Browser, shop: Storage, replaced: RestoreRecord
) -> None:
    assert replaced.kept_as in ana.get("/restores").text
    assert replaced.kept_as in ana.get("/restores/of/shop").text
    assert "/restores/of/shop" in ana.get("/databases/shop").text
    asked = ana.get(f"/restores/{replaced.restore_id}/drop").text
    wrong = ana.post(f"/restores/{replaced.restore_id}/drop", data={**token(asked), "typed": "shop"})
    assert wrong.status_code == 422 and shop.restores.kept()
    right = ana.post(f"/restores/{replaced.restore_id}/drop", data={**token(asked), "typed": replaced.kept_as})
    assert right.status_code == 303 and not shop.restores.kept()
    assert replaced.kept_as not in ana.get("/restores/of/shop").text


def test_whoever_may_only_look_is_offered_neither(shop: Storage, replaced: RestoreRecord) -> None:
    ben = signed_in(shop, "ben")
    assert "/undo" not in ben.get(f"/restores/{replaced.restore_id}").text
    for path in ("undo", "drop"):
        assert ben.get(f"/restores/{replaced.restore_id}/{path}").status_code == 403
    assert shop.restores.kept()


def test_a_part_is_chosen_planned_and_started(
    ana: Browser, shop: Storage, backup: BackupRecord, empty_database: Connection
) -> None:
    page = ana.get(f"/restores/new?backup={backup.backup_id}&what=schema").text
    assert "The schema alone is restored" in words(page)
    form = fields(page)
    assert form["what"] == "schema"
    assert ana.post("/restores", data={**form, **token(page)}).status_code == 303
    assert rows(empty_database.to(carried_out(shop).target)) == 0
    assert ana.get(f"/restores/new?backup={backup.backup_id}&what=half").status_code == 422


def test_rows_of_chosen_tables_are_planned_confirmed_by_the_typed_name_and_replaced(
    ana: Browser, shop: Storage, backup: BackupRecord, empty_database: Connection
) -> None:
    a_day_later(empty_database)
    page = ana.get(f"/restores/new?backup={backup.backup_id}&mode=tables&table=public.orders").text
    assert "Nothing else is touched" in words(page) and 'value="public.users">' in page
    form = fields(page) | token(page)
    assert form["table"] == "public.orders"
    assert ana.post("/restores", data={**form, "typed": "orders"}).status_code == 422
    assert ana.post("/restores", data={**form, "typed": empty_database.dbname}).status_code == 303
    record = carried_out(shop)
    assert (rows(empty_database), record.tables) == (100, ("public.orders",))
    with connect(empty_database, application="tests") as session:
        assert session.execute("SELECT count(*) FROM users").fetchone() == (4,)
    assert "public.orders" in ana.get(f"/restores/{record.restore_id}").text
