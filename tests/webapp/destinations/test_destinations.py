"""The page of destinations, and the copies on a backup's page."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from storage.backups.copies import Copy, CopyState
from storage.backups.record import BackupState
from storage.destinations.destination import parse_url
from storage.errors import Conflict
from storage.opening import Storage
from tests.builders import NOON, a_backup
from tests.webapp.conftest import Browser


def add(admin: Browser, folder: Path, **more: str) -> int:
    return admin.post("/destinations", data={"name": "away", "url": str(folder), **more}).status_code


def test_a_place_is_tried_out_before_it_is_kept(admin: Browser, storage: Storage, tmp_path: Path) -> None:
    assert "No destinations yet." in admin.get("/destinations").text
    assert add(admin, tmp_path / "copies", keep_days="14", weekly="4", monthly="", yearly="2") == 303
    [kept] = storage.destinations.all()
    assert (kept.weekly, kept.monthly, kept.yearly) == (4, 0, 2)
    assert (kept.name, kept.keep_days, kept.url) == ("away", 14, f"file://{tmp_path}/copies")
    assert list((tmp_path / "copies").rglob("object")) == [], "trying out leaves nothing"
    page = admin.get("/destinations").text
    assert f"file://{tmp_path}/copies" in page
    assert "then one a week, for 4 weeks" in page and "then one a year, for 2 years" in page
    assert "then one a month" not in page


def test_what_cannot_be_kept_is_refused_before_anything_is_tried_out(
    admin: Browser, storage: Storage, tmp_path: Path
) -> None:
    for more in ({"name": "Bad Name"}, {"keep_days": "999999"}):
        answer = admin.post("/destinations", data={"name": "away", "url": str(tmp_path / "copies"), **more})
        assert answer.status_code == 422
        assert not (tmp_path / "copies").exists()


def test_all_but_the_place_can_be_changed_and_an_empty_secret_stays(
    admin: Browser, storage: Storage, tmp_path: Path
) -> None:
    assert add(admin, tmp_path / "copies", secret="hush-hush", keep_days="14", weekly="4") == 303
    page = admin.get("/destinations/away").text
    assert 'value="14"' in page and "hush-hush" not in page and f"file://{tmp_path}/copies" in page
    refused = admin.post("/destinations/away", data={"keep_days": "fourteen", "weekly": "9"})
    assert refused.status_code == 422 and 'value="9"' in refused.text
    assert storage.destinations.get("away").weekly == 4
    assert admin.post("/destinations/away", data={"keep_days": "7", "yearly": "1"}).status_code == 303
    changed = storage.destinations.get("away")
    assert (changed.keep_days, changed.weekly, changed.yearly, changed.url) == (7, 0, 1, f"file://{tmp_path}/copies")
    assert changed.secret_key is not None and changed.secret_key.reveal == "hush-hush"
    assert next(event.action for event in storage.audit.newest_first()) == "destination_changed"


def test_a_place_that_cannot_be_used_is_not_kept_and_the_form_keeps_what_was_typed(
    admin: Browser, storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    answer = admin.post(
        "/destinations",
        data={"name": "away", "url": f"{tmp_path}/file/copies", "secret": "hush-hush", "keep_days": "9"},
    )
    assert answer.status_code == 422
    assert storage.destinations.all() == []
    assert f'value="{tmp_path}/file/copies"' in answer.text and 'value="9"' in answer.text
    assert "hush-hush" not in answer.text


def test_the_data_folder_is_no_place_for_copies_nor_is_one_place_two_destinations(
    admin: Browser, storage: Storage, tmp_path: Path
) -> None:
    data = storage.settings.data_folder
    (tmp_path / "link").symlink_to(data)
    for inside in (data, data / "archives", f"{data}/../{data.name}/archives", tmp_path / "link" / "archives"):
        answer = admin.post("/destinations", data={"name": "near", "url": str(inside)})
        assert answer.status_code == 422, inside
    assert "where the archives themselves lie" in answer.text
    assert add(admin, tmp_path / "copies") == 303
    for same in (f"file://{tmp_path}//copies/", f"{tmp_path}/copies/"):
        assert admin.post("/destinations", data={"name": "twice", "url": same}).status_code == 422
    assert [one.name for one in storage.destinations.all()] == ["away"]
    storage.destinations.add(parse_url("s3", "s3://KEY:one@bucket/a?endpoint=http://127.0.0.1:1"), by="ana")
    with pytest.raises(Conflict):
        storage.destinations.add(parse_url("again", "s3://OTHER:two@bucket/a/?endpoint=http://127.0.0.1:1/"), by="ana")
    storage.destinations.add(parse_url("beside", "s3://KEY:one@bucket/b?endpoint=http://127.0.0.1:1"), by="ana")


def test_a_secret_is_encrypted_in_its_file_and_on_no_page(admin: Browser, storage: Storage) -> None:
    answer = admin.post(
        "/destinations", data={"name": "s3", "url": "s3://KEY:hush-hush@b/f?endpoint=http://127.0.0.1:1"}
    )
    assert answer.status_code == 422 and "hush-hush" not in answer.text
    storage.destinations.add(parse_url("s3", "s3://KEY:hush-hush@b/f"), by="ana")
    assert "hush-hush" not in admin.get("/destinations").text
    for path in (storage.settings.data_folder / "metadata").rglob("*"):
        assert path.is_dir() or b"hush-hush" not in path.read_bytes()
    secret = storage.destinations.get("s3").secret_key
    assert secret is not None and secret.reveal == "hush-hush"


def test_a_place_that_is_gone_is_told_on_the_page_itself(admin: Browser, tmp_path: Path) -> None:
    add(admin, tmp_path / "copies")
    (tmp_path / "copies").rmdir()
    (tmp_path / "copies").write_text("in the way")
    answer = admin.post("/destinations/away/test")
    assert answer.status_code == 503
    assert "Add a destination" in answer.text and answer.text.index('role="alert"') < answer.text.index("<table")
    assert "PostgreSQL" not in answer.text.partition('role="alert"')[2].partition("</article>")[0]


def test_removing_asks_first(admin: Browser, storage: Storage, tmp_path: Path) -> None:
    add(admin, tmp_path / "copies")
    assert "The copies that lie there stay." in admin.get("/destinations/away/remove").text
    assert len(storage.destinations.all()) == 1
    assert admin.post("/destinations/away/remove").status_code == 303
    assert storage.destinations.all() == []


def test_a_backups_page_shows_its_copies_and_brings_a_lost_archive_back(
    admin: Browser, user: Browser, storage: Storage, tmp_path: Path
) -> None:
    add(admin, tmp_path / "copies")
    good = Copy(
        destination="away", state=CopyState.COMPLETE, key="shop/x", bytes=1, sha256="0", at=NOON,
        checked_at=NOON - timedelta(hours=1),
    )  # fmt: skip
    lost = a_backup(state=BackupState.MISSING, copies=(good,))
    storage.backups.catalog.save(lost)
    page = admin.get(f"/backups/{lost.backup_id}").text
    assert "away: there, as it was written" in page
    fetch = f"/backups/{lost.backup_id}/copies/away/fetch"
    assert fetch in page
    for plan in ("new", "confirm"):
        refused = admin.get(f"/restores/{plan}?backup_id={lost.backup_id}")
        assert refused.status_code == 409
        assert "This backup will not be used." in refused.text and fetch in refused.text
    assert fetch not in user.get(f"/backups/{lost.backup_id}").text
    answer = admin.post(fetch)
    assert answer.status_code == 303 and "/jobs/" in answer.headers["Location"]
    [event] = [job.parameters for job in storage.jobs.active()]
    assert event == {"backup_id": lost.backup_id, "destination": "away"}


def test_bad_input_is_refused_by_name(admin: Browser, tmp_path: Path) -> None:
    for data, word in (
        ({"url": "ftp://x"}, "begins with one of"),
        ({"url": "s3:///folder"}, "names no bucket"),
        ({"url": "s3://[b/folder"}, "begins with one of"),
        ({"url": "s3://b?endpoint=http://["}, "The endpoint must begin with"),
        ({"url": "s3://b/f?unknown=1"}, "option that is not known: unknown"),
        ({"url": "/srv/../etc"}, "cannot be a folder of copies"),
        ({"url": str(tmp_path / "c"), "keep_days": "soon"}, "“soon” is not a whole number"),
        ({"url": str(tmp_path / "c"), "monthly": "1001"}, "Copies of 0 to 1000 weeks, months or years"),
        ({"url": str(tmp_path / "c"), "databases": "nowhere"}, "no database"),
        ({"url": str(tmp_path / "c"), "recipients": "age1nonsense"}, "not a public key of age"),
        ({"url": str(tmp_path / "c"), "name": "../x"}, "name"),
    ):
        answer = admin.post("/destinations", data={"name": "away", **data})
        assert answer.status_code == 422, data
        assert re.search(re.escape(word), answer.text), data
