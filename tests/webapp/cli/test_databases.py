"""`pghaven databases`: what is asked before one is no longer looked after, and how its size is written."""

from __future__ import annotations

import pytest

from tests.webapp.cli.conftest import NOWHERE, Terminal


def test_without_a_terminal_removing_needs_yes(terminal: Terminal) -> None:
    terminal("databases", "add", "shop", NOWHERE, "--no-test").good()
    ended = terminal("databases", "remove", "shop")
    assert ended.code == 8
    assert "there is no terminal to ask. Add --yes" in ended.err
    terminal("databases", "remove", "shop", "--yes").good()


@pytest.mark.postgres
def test_a_size_is_written_as_on_the_pages(with_shop: Terminal) -> None:
    (status,) = (one for one in with_shop("databases", "status", "--json").json if one["name"] == "shop")
    assert f"  {round(status['size_bytes'] / 1e6, 1)} MB  " in with_shop("databases", "status", "shop").good().out
    assert status["size_pretty"].endswith("kB")  # PostgreSQL's own, for programs


def test_a_database_that_does_not_answer_is_added_and_told_as_that(terminal: Terminal) -> None:
    ended = terminal("databases", "add", "shop", NOWHERE).good()
    assert "Added shop" in ended.out and "backups take" not in ended.out
    assert "Nothing of it can be backed up before that is mended." in ended.err
    assert terminal("databases", "add", "other", NOWHERE, "--json").good().json["test"]["kind"] != "ok"
    assert "backups take later" in terminal("databases", "add", "later", NOWHERE, "--no-test").good().out
