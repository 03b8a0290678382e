"""Which data folder a command works on, and what it does where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.webapp.cli.conftest import NOWHERE, Terminal
from tests.webapp.cli.test_json import ON_AN_EMPTY_FOLDER

MAY_MAKE_IT = {"databases add", "backups take", "backups upload", "accounts add", "alerts add", "destinations add"}
MAY_MAKE_IT |= {"serve"}
NEEDS_NONE = {"databases test", "tools list", "tools install"}


@pytest.fixture
def elsewhere(terminal: Terminal, tmp_path: Path) -> Path:
    """A folder that is not there, named to the terminal as its data folder."""
    folder = tmp_path / "elsewhere" / "backups"
    terminal.environment["BACKUP_STORAGE_PATH"] = str(folder)
    return folder


@pytest.mark.parametrize("name", sorted(ON_AN_EMPTY_FOLDER.keys() - MAY_MAKE_IT - NEEDS_NONE))
def test_a_command_that_needs_a_data_folder_makes_none(name: str, terminal: Terminal, elsewhere: Path) -> None:
    arguments, typed, _ = ON_AN_EMPTY_FOLDER[name]
    ended = terminal(*name.split(), *arguments, typed=typed)
    assert ended.code == 3
    assert f"There is no data folder of pghaven in {elsewhere}. Name it in BACKUP_STORAGE_PATH." in ended.err
    assert not elsewhere.parent.exists()


def test_a_folder_of_another_program_is_left_as_it_is(terminal: Terminal, elsewhere: Path) -> None:
    elsewhere.mkdir(parents=True)
    (elsewhere / "photos.tar").touch()
    assert terminal("backups", "list").code == 3
    assert [path.name for path in elsewhere.iterdir()] == ["photos.tar"]


def test_a_url_is_tried_without_a_data_folder(terminal: Terminal, elsewhere: Path) -> None:
    assert terminal("databases", "test", NOWHERE).code == 6
    assert not elsewhere.parent.exists()


def test_the_first_database_that_is_added_makes_the_folder(terminal: Terminal, elsewhere: Path) -> None:
    terminal("databases", "add", "shop", NOWHERE, "--no-test").good()
    assert (elsewhere / "secret.key").exists()
    assert [one["name"] for one in terminal("databases", "list", "--json").good().json] == ["nothing", "shop"]
