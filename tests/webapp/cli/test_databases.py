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


def test_a_database_that_does_not_answer_is_added_and_fails(terminal: Terminal) -> None:
    ended = terminal("databases", "add", "shop", NOWHERE)
    assert ended.code == 6
    assert "Added shop" in ended.out and "backups take" not in ended.out
    assert "nothing can be backed up yet" in ended.err
    again = terminal("databases", "add", "other", NOWHERE, "--json")
    assert (again.code, again.json["error"]["kind"], again.json["name"]) == (6, "Unreachable", "other")
    assert {"other", "shop"} <= {one["name"] for one in terminal("databases", "list", "--json").good().json}
    assert terminal("databases", "add", "later", NOWHERE, "--no-test").code == 0
