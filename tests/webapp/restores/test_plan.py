"""The plan, the confirmation and the start, on a real server: what they say, and that nothing starts by mistake."""

from __future__ import annotations

import re
from html import unescape

import pytest

from storage.backups.record import BackupRecord
from storage.jobs.model import JobKind, JobState
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from storage.restores.request import RestoreRequest
from tests.webapp.conftest import Browser
from tests.webapp.restores.conftest import signed_in, taken

pytestmark = pytest.mark.postgres

HTMX = {"HX-Request": "true"}


def restores_asked_for(storage: Storage) -> list[dict[str, object]]:
    return [job.parameters["request"] for job in storage.jobs.newest_first() if job.kind is JobKind.RESTORE]


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the confirmation's form."""
    form = page[page.index('action="/restores"') :]
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)}


def words(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def a_day_later(database: Connection) -> None:
    with connect(database, application="tests") as session:
        session.execute("DELETE FROM orders WHERE id > 60")
        session.execute("INSERT INTO users SELECT 4")
        session.execute("CREATE TABLE coupons AS SELECT 1 AS id")


def test_a_plan_for_a_new_database_replaces_nothing(ana: Browser, shop: Storage, backup: BackupRecord) -> None:
    page = ana.get(f"/restores/new?backup_id={backup.backup_id}").text
    said = words(page)
    proposed = re.search(r'id="into" name="into" value="([^"]+)"', page)
    assert proposed and proposed[1].startswith(backup.source.database)
    assert "Nothing has been changed yet." in said and "Nothing is replaced." in said
    assert (
        "The archive was whole when it was last read in full" in said
        and "Checked beforehand" in said
        and "How it goes" in said
    )
    assert f"into the new database {proposed[1]}? Nothing is overwritten." in said
    assert 'name="typed"' not in page
    assert restores_asked_for(shop) == []


def test_a_plan_that_replaces_says_what_comes_back_what_is_lost_and_what_is_kept(
    ana: Browser, shop: Storage, backup: BackupRecord, empty_database: Connection
) -> None:
    a_day_later(empty_database)
    page = ana.get(f"/restores/new?backup={backup.backup_id}&mode=replace").text
    said = words(page)
    assert "40 rows come back" in said and "1 row since then is lost" in said
    assert "newer than the backup: it goes" in said
    assert re.search(r"orders 60 100 40 40 rows come back", said)
    assert "Comes back 40 rows in 1 table" in said and "2 rows written since then, in 2 tables" in said
    assert f"{empty_database.dbname}_before_" in said


def test_each_choice_gets_the_plan_alone(ana: Browser, backup: BackupRecord) -> None:
    fragment = ana.get(f"/restores/new?backup={backup.backup_id}&mode=replace&into=ignored", headers=HTMX).text
    assert fragment.lstrip().startswith('<div class="flow" id="plan">') and "<html" not in fragment
    assert "ignored" not in fragment


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "Restore the data from the backup of {time}? This overwrites the present data."),
        ("zh_Hans", "确定要从备份 {time} 恢复数据吗？此操作将覆盖当前数据。"),
    ],
)
def test_the_confirmation_asks_in_the_agreed_words(
    ana: Browser, backup: BackupRecord, language: str, question: str
) -> None:
    ana.set_cookie("language", language)
    for path in ("new", "confirm"):
        page = ana.get(f"/restores/{path}?backup={backup.backup_id}&mode=replace").text
        title = re.search(r'(?s)<h2 id="confirm-title">(.*?)</h2>', page)
        assert title
        before, after = question.split("{time}")
        said = title[1].strip()
        assert said.startswith(before) and said.endswith(after), said
        assert re.search(r"\d\d:\d\d", said), "the time of the backup is in it"


def test_a_wrong_name_starts_nothing(ana: Browser, shop: Storage, backup: BackupRecord) -> None:
    form = fields(ana.get(f"/restores/confirm?backup={backup.backup_id}&mode=replace").text)
    for typed in ("", "shop", "SHOP ", "template1"):
        answer = ana.post("/restores", data=form | {"typed": typed})
        assert answer.status_code == 422
        assert "Nothing was changed." in answer.text and 'id="typed-why"' in answer.text
    assert restores_asked_for(shop) == []


def test_the_right_name_starts_the_replacement(
    ana: Browser, shop: Storage, backup: BackupRecord, empty_database: Connection
) -> None:
    form = fields(ana.get(f"/restores/new?backup={backup.backup_id}&mode=replace").text)
    answer = ana.post("/restores", data=form | {"typed": empty_database.dbname})
    (job,) = shop.jobs.active("shop", JobKind.RESTORE)
    assert (answer.status_code, answer.location) == (303, f"/jobs/{job.job_id}")
    assert job.requested_by == "ana"
    assert restores_asked_for(shop) == [
        {"backup_id": backup.backup_id, "mode": "replace", "target": empty_database.dbname}
    ]


def test_a_new_database_needs_no_name_typed(ana: Browser, shop: Storage, backup: BackupRecord) -> None:
    page = ana.get(f"/restores/new?backup={backup.backup_id}&into=shop_copy").text
    answer = ana.post("/restores", data=fields(page))
    assert answer.status_code == 303
    assert restores_asked_for(shop) == [{"backup_id": backup.backup_id, "mode": "new", "target": "shop_copy"}]


def test_a_plan_that_has_changed_since_is_shown_again(
    ana: Browser, shop: Storage, backup: BackupRecord, empty_database: Connection
) -> None:
    form = fields(ana.get(f"/restores/new?backup={backup.backup_id}&into=shop_copy_2").text)
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE DATABASE shop_copy_2")
    try:
        answer = ana.post("/restores", data=form)
        assert answer.status_code == 409
        assert "The plan says something else than the one you confirmed" in answer.text
        assert "There is a database shop_copy_2 already." in answer.text
    finally:
        with connect(empty_database, application="tests") as session:
            session.execute("DROP DATABASE shop_copy_2")
    without = ana.post("/restores", data={name: value for name, value in form.items() if name != "plan"})
    assert without.status_code == 409
    assert restores_asked_for(shop) == []


def test_a_plan_that_something_stands_against_cannot_be_confirmed(
    ana: Browser, shop: Storage, backup: BackupRecord
) -> None:
    page = ana.get(f"/restores/new?backup={backup.backup_id}&into=postgres").text
    assert "There is a database postgres already." in page and "<dialog" not in page
    assert "It cannot be started like this" in page
    assert (
        "There is a database postgres already."
        in ana.get(f"/restores/confirm?backup={backup.backup_id}&into=postgres").text
    )


def test_a_name_that_cannot_be_one_is_told_at_its_field(ana: Browser, shop: Storage, backup: BackupRecord) -> None:
    name = "x" * 70
    page = ana.get(f"/restores/new?backup={backup.backup_id}&into={name}").text
    assert 'id="into-why"' in page and f'value="{name}"' in page and "<dialog" not in page
    answer = ana.post("/restores", data={"backup": backup.backup_id, "mode": "new", "into": name})
    assert answer.status_code == 422 and restores_asked_for(shop) == []


def test_a_damaged_backup_is_never_offered_and_leads_to_the_newest_good_one(
    ana: Browser, shop: Storage, backup: BackupRecord
) -> None:
    newest = taken(shop)
    path = shop.backups.catalog.archive_path(newest)
    path.write_bytes(path.read_bytes()[:-1])
    listed = ana.get("/restores").text
    assert backup.backup_id in listed and newest.backup_id not in listed
    for address in ("new", "confirm"):
        answer = ana.get(f"/restores/{address}?backup={newest.backup_id}")
        assert answer.status_code == 409
        assert "This backup will not be used." in answer.text and "no longer what was written" in answer.text
        assert f"/restores/new?backup_id={backup.backup_id}" in answer.text
    assert ana.post("/restores", data={"backup": newest.backup_id}).status_code == 409
    shop.backups.catalog.archive_path(backup).unlink()
    assert "There is no other good backup" in ana.get(f"/restores/new?backup={newest.backup_id}").text
    assert "The file was removed outside pghaven." in ana.get(f"/restores/new?backup={backup.backup_id}").text
    assert "There is no good backup to go back to." in ana.get("/restores").text
    assert restores_asked_for(shop) == []


def test_a_restore_is_planned_by_admins_alone(shop: Storage, backup: BackupRecord) -> None:
    ben = signed_in(shop, "ben")
    assert ben.get("/restores").status_code == 200
    assert "/restores/new" not in ben.get("/restores").text
    for answer in (
        ben.get(f"/restores/new?backup={backup.backup_id}"),
        ben.get(f"/restores/confirm?backup={backup.backup_id}"),
        ben.post("/restores", data={"backup": backup.backup_id}),
    ):
        assert answer.status_code == 403


def test_a_restore_that_ended_says_so(ana: Browser, shop: Storage, backup: BackupRecord) -> None:
    request = shop.restores.plan(RestoreRequest(backup_id=backup.backup_id)).request
    job, _ = shop.restores.start(request, by="ana", background=False)
    assert shop.runner.run_here(job).state is JobState.COMPLETED
    (record,) = shop.restores.all()
    try:
        page = ana.get(f"/restores/{record.restore_id}")
        assert page.status_code == 200
        said = words(page.text)
        assert "Data restored" in said and "2 of 2 tables equal" in said and record.target in said
        ana.set_cookie("language", "zh_Hans")
        assert "数据恢复成功" in ana.get(f"/restores/{record.restore_id}").text
    finally:
        with connect(shop.databases.get("shop").connection, application="tests") as session:
            session.execute(f'DROP DATABASE "{record.target}"')


def test_what_is_not_there_is_not_found(ana: Browser) -> None:
    assert ana.get("/restores/20261122T131405Z-abcdef").status_code == 404
    assert ana.get("/restores/new?backup=20261122T131405Z-abcdef").status_code == 404
    assert ana.get("/restores/new").status_code == 422
    assert ana.get("/restores/new?backup=20261122T131405Z-abcdef&mode=both").status_code == 422
