"""The System page: settings by the names that a person sets them with."""

from __future__ import annotations

import re
from pathlib import Path

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
