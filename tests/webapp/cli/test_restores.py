from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.postgres.connection import Connection, connect
from tests.servers import Server, open_folder
from tests.webapp.cli.conftest import Terminal, url_of

pytestmark = pytest.mark.postgres


@pytest.fixture
def backup_id(with_shop: Terminal) -> str:
    return str(with_shop("backups", "take", "shop", "--json").good().json["id"])


@pytest.fixture
def copy(server: Server, shop: Connection) -> Iterator[Connection]:
    """A name for the copy, dropped afterwards with what a replacement has kept."""
    name = f"{shop.dbname}_copy"
    yield shop.to(name)
    with connect(server.connection, application="tests") as session:
        kept = [name for (name,) in session.execute("SELECT datname FROM pg_database WHERE datname ~ '_before_'")]
    for left in (name, *kept):
        server.drop_database(left)


def rows(connection: Connection, table: str) -> int:
    with connect(connection, application="tests") as session:
        found = session.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found
    return int(found[0])


def test_a_plan_changes_nothing_and_compares_rows_now_with_rows_in_the_backup(
    with_shop: Terminal, shop: Connection, backup_id: str
) -> None:
    with connect(shop, application="tests") as session:
        session.execute("DELETE FROM orders WHERE id > 150")
    plan = with_shop("restores", "plan", backup_id, "--replace", "--json").good().json
    orders = next(table for table in plan["tables"] if table["table"] == "public.orders")
    assert (orders["backup"], orders["difference"]) == (200, 50)
    words = with_shop("restores", "plan", backup_id, "--replace").good().out
    assert "Nothing was changed." in words
    assert "+50" in words
    assert rows(shop, "orders") == 150
    assert with_shop("restores", "list", "--json").good().json == []


def test_a_plan_against_which_something_stands_fails_as_the_restore_would(
    with_shop: Terminal, shop: Connection, backup_id: str
) -> None:
    arguments = (backup_id, "--into", shop.dbname)  # a name that is taken
    plan = with_shop("restores", "plan", *arguments, "--json")
    assert plan.json["blocked"] and plan.code == 4
    assert with_shop("restores", "plan", *arguments).code == 4
    assert with_shop("restores", "run", *arguments).code == 4


def test_a_backup_comes_back_in_a_new_database(with_shop: Terminal, backup_id: str, copy: Connection) -> None:
    restored = with_shop("restores", "run", backup_id, "--into", copy.dbname, "--json").good().json
    assert (restored["state"], restored["target"], restored["tables_compared"]) == ("completed", copy.dbname, 3)
    assert rows(copy, "customers") == 40
    again = with_shop("restores", "run", backup_id, "--into", copy.dbname, "--json")
    assert again.code == 4
    assert again.json["error"]["message"].startswith("Nothing was changed.")
    assert with_shop("restores", "list", "--json").good().json[0]["backup_id"] == backup_id


def test_a_backup_of_which_only_a_copy_is_left_is_verified_and_restored_from_there(
    with_shop: Terminal, copy: Connection, tmp_path: Path
) -> None:
    with_shop("destinations", "add", "away", str(tmp_path / "away")).good()
    taken = with_shop("backups", "take", "shop", "--json").good().json
    backup_id, archive = taken["id"], Path(taken["archive"])
    with_shop("backups", "copy", backup_id, "away").good()
    archive.unlink()
    assert "as it was written" in with_shop("backups", "verify", backup_id, "--at", "away").good().out
    assert not archive.exists()
    into = ("--into", copy.dbname, "--json")
    assert with_shop("restores", "run", backup_id, *into).code == 7
    assert with_shop("restores", "run", backup_id, "--from", "elsewhere", *into).code == 3
    restored = with_shop("restores", "run", backup_id, "--from", "away", *into).good().json
    assert (restored["state"], restored["tables_equal"]) == ("completed", 3)
    assert rows(copy, "customers") == 40
    assert with_shop("backups", "verify", backup_id, "--at", "elsewhere").code == 3


def test_a_replacement_brings_the_rows_back_and_keeps_the_old_database(
    with_shop: Terminal, shop: Connection, backup_id: str, copy: Connection
) -> None:
    with connect(shop, application="tests") as session:
        session.execute("TRUNCATE orders")
    restored = with_shop("restores", "run", backup_id, "--replace", "--yes", "--json").good().json
    assert rows(shop, "orders") == 200
    assert restored["kept_as"].startswith(f"{shop.dbname}_before_")
    assert rows(shop.to(restored["kept_as"]), "orders") == 0


def test_a_backup_goes_to_the_server_of_another_database_and_leaves_its_own_alone(
    with_shop: Terminal, server: Server, shop: Connection, backup_id: str
) -> None:
    with connect(shop, application="tests") as session:
        session.execute("TRUNCATE orders")
    folder = open_folder("pghaven-second-")
    second = Server(server.installation, folder)
    try:
        branch = second.create_database("branch")
        with connect(branch, application="tests") as session:
            session.execute("CREATE TABLE orders AS SELECT 1 AS id")
        with_shop("databases", "add", "branch", url_of(branch), "--no-test").good()
        command = ("restores", "run", backup_id, "--on", "branch", "--json")
        assert with_shop(*command, "--into", "fresh").good().json["target"] == "fresh"
        assert rows(branch.to("fresh"), "orders") == 200
        with connect(server.connection, application="tests") as session:
            assert session.execute("SELECT 1 FROM pg_database WHERE datname = 'fresh'").fetchone() is None
        done = with_shop(*command, "--replace", "--yes").good().json
        assert (done["target"], done["on"], rows(branch, "orders")) == ("branch", "branch", 200)
        assert rows(branch.to(done["kept_as"]), "orders") == 1
        with_shop("restores", "undo", done["id"], "--yes").good()
        assert (rows(branch, "orders"), rows(shop, "orders")) == (1, 0)
    finally:
        second.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_without_a_terminal_a_replacement_needs_yes(with_shop: Terminal, backup_id: str, shop: Connection) -> None:
    ended = with_shop("restores", "run", backup_id, "--replace", "--json")
    assert ended.code == 8
    assert "--yes" in ended.json["error"]["advice"]


@pytest.mark.parametrize("options", [(), ("--replace", "--into", "x")])
def test_where_to_has_to_be_said_once(with_shop: Terminal, options: tuple[str, ...]) -> None:
    assert with_shop("restores", "run", "20261122T131405Z-abcdef", *options, "--json").code == 2


def test_a_restore_is_undone_and_what_it_kept_is_listed_and_dropped(
    with_shop: Terminal, shop: Connection, backup_id: str, copy: Connection
) -> None:
    with connect(shop, application="tests") as session:
        session.execute("DELETE FROM orders WHERE id > 50")
    done = with_shop("restores", "run", backup_id, "--replace", "--yes", "--json").good().json
    assert done["snapshot_id"] and rows(shop, "orders") == 200
    assert [kept["kept_as"] for kept in with_shop("restores", "kept", "--json").good().json] == [done["kept_as"]]
    asked = with_shop("restores", "undo", done["id"], "--drop", "--json")
    assert asked.code == 8 and "--yes" in asked.json["error"]["advice"] and rows(shop, "orders") == 200
    back = with_shop("restores", "undo", done["id"], "--json").good().json
    assert (back["mode"], back["undoes"], rows(shop, "orders")) == ("undo", done["id"], 50)
    assert with_shop("restores", "undo", done["id"], "--yes").code == 4
    assert with_shop("restores", "drop", back["id"]).code == 8  # no terminal to type at
    with_shop("restores", "drop", back["id"], "--yes").good()
    assert with_shop("restores", "kept", "--json").good().json == []
    assert "as it was before" in with_shop("restores", "run", backup_id, "--replace", "--yes").good().out


def test_the_schema_alone_and_a_restore_without_logs_are_asked_for_by_options(
    with_shop: Terminal, backup_id: str, copy: Connection
) -> None:
    arguments = ("restores", "run", backup_id, "--into", copy.dbname)
    assert with_shop(*arguments, "--schema-only", "--no-logs").code == 2
    done = with_shop(*arguments, "--schema-only", "--json").good().json
    assert (done["rows_compared"], rows(copy, "orders")) == (0, 0)


def test_rows_of_chosen_tables_alone_are_replaced(with_shop: Terminal, shop: Connection, backup_id: str) -> None:
    with connect(shop, application="tests") as session:
        session.execute("DELETE FROM orders WHERE id > 150")
    assert with_shop("restores", "run", backup_id, "--tables", "orders", "--into", "x").code == 2
    assert with_shop("restores", "run", backup_id, "--tables", "orders").code == 8
    done = with_shop("restores", "run", backup_id, "--tables", "orders", "--yes", "--json").good().json
    assert (done["tables"], done["kept_as"], rows(shop, "orders")) == (["public.orders"], "", 200)


def test_a_merge_adds_what_is_missing_and_says_what_it_left_alone(
    with_shop: Terminal, shop: Connection, backup_id: str
) -> None:
    with connect(shop, application="tests") as session:
        session.execute("DELETE FROM orders WHERE id > 150")
    present = rows(shop, "orders")
    assert with_shop("restores", "run", backup_id, "--merge", "--replace").code == 2
    assert with_shop("restores", "run", backup_id, "--merge", "--schema-only").code == 2
    assert with_shop("restores", "run", backup_id, "--merge").code == 8
    planned = with_shop("restores", "plan", backup_id, "--merge").good().out
    assert "would get the tables and rows that it lacks" in planned and rows(shop, "orders") == present
    out = with_shop("restores", "run", backup_id, "--merge", "--yes").good().out
    assert f"{200 - present} rows added" in out and rows(shop, "orders") == 200
    done = with_shop("restores", "run", backup_id, "--merge", "--yes", "--json").good().json
    assert (done["mode"], done["kept_as"]) == ("merge", "")
    assert done["merged"]["public.orders"] == {"inserted": 0, "left_alone": 200}
