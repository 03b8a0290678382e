"""The System page: settings by the names that a person sets them with."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from storage.backups.copies import Copy, CopyState
from storage.destinations.destination import parse_url
from storage.opening import Storage
from tests.builders import a_backup
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep, register


def test_settings_have_the_names_that_the_readme_gives_them(admin: Browser, storage: Storage) -> None:
    page = admin.get("/system").text
    settings = dict(re.findall(r'<dt class="mono">([^<]+)</dt><dd class="mono">(.*?)</dd>', page))
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [name for name in settings if f"`{name}`" not in readme] == []
    assert settings["SPACE_RESERVE_MB"] == "64"
    assert settings["BACKUP_STORAGE_PATH"] == str(storage.settings.data_folder)
    assert settings["SECURE_COOKIES"] == "no"


def test_yes_and_no_are_said_in_the_readers_language(admin: Browser) -> None:
    page = admin.get("/system", headers={"Accept-Language": "zh-CN"}).text
    settings = dict(re.findall(r'<dt class="mono">([^<]+)</dt><dd class="mono">(.*?)</dd>', page))
    assert settings["SECURE_COOKIES"] == "否"


def test_programs_without_zstd_are_enough_and_better_ones_are_named(
    admin: Browser, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = "pghaven tools install 16"
    have = tuple(replace(one, zstd=True) for one in storage.programs())
    monkeypatch.setattr(storage, "programs", lambda: have)
    with_zstd = admin.get("/system").text
    monkeypatch.setattr(storage, "programs", lambda: tuple(replace(one, zstd=False) for one in have))
    without = admin.get("/system").text
    assert hint not in with_zstd and hint in without
    heading = re.compile(r"<h1.*?</h1>", re.DOTALL)
    assert heading.findall(with_zstd) == heading.findall(without) != []


def test_a_fresh_instance_is_told_that_copies_and_alerts_are_missing(admin: Browser) -> None:
    page = admin.get("/system").text
    assert "Every backup is on this machine alone" in page
    assert "Nobody is told about failures yet." in page
    assert "The audit log is as it was written" in page


def test_copies_that_do_not_arrive_are_named(admin: Browser, storage: Storage, tmp_path: Path) -> None:
    register(storage, "shop")
    storage.destinations.add(parse_url("nas", str(tmp_path / "nas")), by="ana")
    copy = Copy(destination="nas", state=CopyState.COMPLETE)
    record = keep(storage, a_backup("shop", copies=(copy,)))
    assert "Backups are copied to other places" in admin.get("/system").text
    keep(storage, replace(record, copies=(replace(copy, state=CopyState.FAILED),)))
    page = admin.get("/system").text
    assert "Copies do not arrive" in page and "nas (shop)" in page


def test_an_audit_log_that_was_edited_needs_somebody(admin: Browser, storage: Storage) -> None:
    storage.audit.record("backup_taken", actor="ana", subject="b1")
    storage.audit.record("backup_taken", actor="ana", subject="b2")
    [month] = storage.audit.folder.glob("[0-9]*.jsonl")
    month.write_bytes(month.read_bytes().replace(b'"b1"', b'"b9"'))
    storage.audit.look()
    assert "The audit log is not as it was written" in admin.get("/system").text
    assert storage.lookout.look().audit_faults > 0
    assert "pghaven_audit_faults 0.0" not in admin.get("/metrics").text
    assert "pghaven_audit_faults" in admin.get("/metrics").text
