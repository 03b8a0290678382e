"""Settings are read once and strictly, and each refusal names its variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import Invalid
from storage.settings import Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings(data_folder=Path("backups").absolute())


@pytest.mark.parametrize("variable", ["DATABASE_URL", "DSN", "PG_DATABASE_URL"])
def test_the_database_may_be_named_by_three_variables(variable: str) -> None:
    settings = Settings.from_environment({variable: "postgresql://a:hunter2@h/d"})
    assert settings.database_url is not None and settings.database_variable == variable
    assert "hunter2" not in repr(settings)


def test_of_several_database_variables_the_first_in_the_list_counts() -> None:
    settings = Settings.from_environment({"PG_DATABASE_URL": "postgresql://c/c", "DATABASE_URL": "postgresql://a/a"})
    assert settings.database_variable == "DATABASE_URL"
    assert settings.database_url is not None and settings.database_url.reveal == "postgresql://a/a"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "http"), ("PORT", "65536"), ("PORT", "-1"), ("PORT", "８０"), ("THREADS", "2"), ("RESTORE_JOBS", "1.5")],
)
def test_a_number_that_cannot_be_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(Invalid, match=variable):
        Settings.from_environment({variable: value})


@pytest.mark.parametrize(("value", "on"), [("on", True), ("1", True), ("Yes", True), ("off", False), ("", False)])
def test_a_switch_is_on_or_off_and_nothing_else(value: str, on: bool) -> None:
    assert Settings.from_environment({"SECURE_COOKIES": value}).secure_cookies is on
    with pytest.raises(Invalid, match="SECURE_COOKIES is “maybe”"):
        Settings.from_environment({"SECURE_COOKIES": "maybe"})


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("horse battery\n")
    settings = Settings.from_environment({"ADMIN_PASSWORD_FILE": str(file)})
    assert settings.admin_password is not None and settings.admin_password.reveal == "horse battery"


def test_a_secret_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="SECRET_KEY_FILE"):
        Settings.from_environment({"SECRET_KEY_FILE": str(tmp_path / "none")})


def test_a_secret_and_its_file_at_once_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a")
    with pytest.raises(Invalid, match="keep one"):
        Settings.from_environment({"SECRET_KEY": "b", "SECRET_KEY_FILE": str(tmp_path / "key")})


def test_an_unknown_time_zone_is_refused() -> None:
    for name in ("TIMEZONE", "TZ"):
        with pytest.raises(Invalid, match=f"{name} is “Mars/Olympus”, which is not a time zone"):
            Settings.from_environment({name: "Mars/Olympus"})


def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 15)
    for short in ({"SECRET_KEY": "k" * 15}, {"SECRET_KEY_FILE": str(tmp_path / "key")}):
        with pytest.raises(Invalid, match="SECRET_KEY has 15 characters; it must have 16"):
            Settings.from_environment(short)
    key = Settings.from_environment({"SECRET_KEY": "k" * 16}).secret_key
    assert key is not None and key.reveal == "k" * 16


def test_folders_become_absolute() -> None:
    settings = Settings.from_environment({"BACKUP_STORAGE_PATH": "data here", "PG_BIN_DIRS": "/a:/b"})
    assert settings.data_folder == Path("data here").absolute()
    assert settings.pg_bin_dirs == (Path("/a"), Path("/b"))
