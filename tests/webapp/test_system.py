"""The System page: settings by the names that a person sets them with."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from storage.opening import Storage
from tests.webapp.conftest import Browser


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
