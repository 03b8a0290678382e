"""The registry: what is given and what was added, and what a file of it may hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from storage.databases.profile import DatabaseProfile, Source
from storage.databases.registry import Demos, Registry, from_environment, name_for
from storage.databases.session_store import checked_address, shown_address
from storage.databases.testing import ConnectionTest
from storage.errors import Conflict, Invalid, NotFound, StorageError, Unavailable, say
from storage.locks.filelocks import FileLocks
from storage.postgres.connection import Connection, parse_url
from storage.secret import Secret, SecretBox
from tests.builders import NOON

SHOP = parse_url("postgresql://ana:hunter2@db.example.org:6543/shop?sslmode=require")


def a_registry(
    folder: Path,
    *,
    environment: str = "",
    demos: Demos | None = None,
    key: str = "k",
    in_use: Callable[[str], StorageError | None] = lambda name: None,
    backed_up_as: Callable[[str], str] = lambda name: "",
) -> Registry:
    return Registry(
        folder / "databases",
        box=SecretBox(key),
        clock=lambda: NOON,
        locks=FileLocks(folder / "locks"),
        test=lambda connection: ConnectionTest(kind="ok", message=say("ok")),
        environment=lambda: from_environment(Secret(environment), "DATABASE_URL") if environment else None,
        demos=demos or Demos(),
        in_use=in_use,
        backed_up_as=backed_up_as,
    )


DEMOS = Demos(names=("hub", "wiki"), connection=lambda name: Connection(host="/run/x", user="pghaven", dbname=name))


def test_what_was_added_is_read_back_whole(tmp_path: Path) -> None:
    added = a_registry(tmp_path).add("shop", SHOP, log_tables=["public.log"], digests=False, by="ana")
    found = a_registry(tmp_path).get("shop")
    assert found == added
    assert found.connection == SHOP and found.connection.password == Secret("hunter2")
    assert (found.log_tables, found.digests, found.added_by, found.source) == (
        ("public.log",), False, "ana", Source.ADDED,
    )  # fmt: skip


def test_no_file_and_no_print_shows_the_password(tmp_path: Path) -> None:
    registry = a_registry(tmp_path)
    registry.add("shop", SHOP, by="ana")
    assert "hunter2" not in repr(registry.all())
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert "hunter2" not in path.read_text()
            assert path.stat().st_mode & 0o077 == 0


def test_the_environment_comes_first_and_cannot_be_edited(tmp_path: Path) -> None:
    registry = a_registry(tmp_path, environment="postgresql://u:p@h/My%20Shop", demos=DEMOS)
    registry.add("another", SHOP, by="ana")
    assert [profile.name for profile in registry.all()] == ["my-shop", "another"]
    default = registry.default()
    assert default is not None and default.source is Source.ENVIRONMENT and not default.editable
    with pytest.raises(Conflict, match="environment"):
        registry.remove("my-shop")
    with pytest.raises(Conflict, match="environment"):
        registry.change("my-shop", SHOP)


def test_without_a_database_of_its_own_the_demos_come_first(tmp_path: Path) -> None:
    registry = a_registry(tmp_path, demos=DEMOS)
    registry.add("another", SHOP, by="ana")
    assert [(profile.name, profile.source.value) for profile in registry.all()] == [
        ("hub", "embedded"), ("wiki", "embedded"), ("another", "added"),
    ]  # fmt: skip
    with pytest.raises(Conflict, match="demo database"):
        registry.remove("hub")
    with pytest.raises(Conflict, match="already"):
        registry.add("hub", SHOP, by="ana")


def test_nothing_given_and_nothing_added_has_no_default(tmp_path: Path) -> None:
    assert a_registry(tmp_path).default() is None


def test_a_change_keeps_what_it_does_not_name(tmp_path: Path) -> None:
    registry = a_registry(tmp_path)
    before = registry.add("shop", SHOP, log_tables=["public.log"], by="ana")
    registry.change("shop", digests=False)
    assert registry.get("shop") == before.with_(digests=False)
    moved = parse_url("postgresql://ana:other@elsewhere/shop")
    registry.change("shop", moved, log_tables=[])
    assert registry.get("shop") == before.with_(digests=False, connection=moved, log_tables=())


def test_one_that_was_removed_is_gone_and_its_name_free(tmp_path: Path) -> None:
    registry = a_registry(tmp_path)
    registry.add("shop", SHOP, by="ana")
    registry.remove("shop")
    with pytest.raises(NotFound, match="shop"):
        registry.get("shop")
    registry.add("shop", SHOP, by="ana")


@pytest.mark.parametrize("name", ["", "Shop", "../shop", "a/b", ".shop", "a..b", "shop ", "x" * 64, "läden"])
def test_a_name_that_cannot_be_part_of_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid):
        a_registry(tmp_path).add(name, SHOP, by="ana")
    assert list(tmp_path.glob("**/*.json")) == []


@pytest.mark.parametrize("name", ["none", "../accounts/admin", "a/b", "\0"])
def test_a_name_that_nobody_knows_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        a_registry(tmp_path).get(name)


def test_with_another_key_the_databases_are_listed_without_passwords_and_none_is_lost(tmp_path: Path) -> None:
    a_registry(tmp_path).add("shop", SHOP, by="ana")
    without = a_registry(tmp_path, key="another")
    assert [profile.connection.password for profile in without.all()] == [None]
    with pytest.raises(Unavailable, match="SECRET_KEY"):
        without.change("shop", digests=False)
    assert a_registry(tmp_path).get("shop").connection.password == Secret("hunter2")
    without.change("shop", SHOP, digests=False)
    assert a_registry(tmp_path, key="another").get("shop").connection.password == Secret("hunter2")


@pytest.mark.parametrize(
    ("dbname", "name"),
    [
        ("shop", "shop"),
        ("My Shop", "my-shop"),
        ("..", "database"),
        ("数据", "database"),
        ("a..b", "a.b"),
        ("_private", "private"),
        ("x" * 80, "x" * 63),
        ("../etc", "etc"),
    ],
)
def test_the_environments_name_is_made_from_the_databases(dbname: str, name: str) -> None:
    assert name_for(dbname) == name
    DatabaseProfile(name=name, connection=SHOP)


def test_a_url_that_cannot_be_used_is_named_by_its_variable_and_not_shown() -> None:
    with pytest.raises(Invalid, match="DSN cannot be used") as refusal:
        from_environment(Secret("mysql://u:hunter2@h/d"), "DSN")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("address", ["postgresql://u:hunter2@[/d", "postgresql://u:hunter2@h\u2100/d"])
def test_what_is_no_address_at_all_is_refused_without_being_repeated(address: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_url(address)
    assert "hunter2" not in str(refusal.value) and refusal.value.__cause__ is None


def test_a_database_in_use_stays_where_it_is_but_takes_a_new_password(tmp_path: Path) -> None:
    busy = Conflict(say("A job of %(name)s is waiting or running.", name="shop"))
    registry = a_registry(tmp_path, in_use=lambda name: busy)
    registry.add("shop", SHOP, by="ana")
    with pytest.raises(Conflict, match="A job of shop"):
        registry.remove("shop")
    for elsewhere in (replace(SHOP, host="other"), replace(SHOP, port=1), SHOP.to("wiki")):
        with pytest.raises(Conflict, match="A job of shop"):
            registry.change("shop", elsewhere)
    registry.change("shop", replace(SHOP, user="ben", password=Secret("new")), digests=False)
    assert registry.get("shop").connection.password == Secret("new")


def test_a_name_whose_backups_are_of_another_database_is_not_given_to_a_new_one(tmp_path: Path) -> None:
    registry = a_registry(tmp_path, backed_up_as=lambda name: "shop" if name == "shop" else "")
    with pytest.raises(Conflict, match="backups here under the name “shop” are of another database, shop"):
        registry.add("shop", SHOP.to("blog"), by="ana")
    registry.add("shop", SHOP, by="ana")
    registry.add("blog", SHOP.to("blog"), by="ana")


STORE = Secret("redis://:hunter2@cache.example:6379/1")


def test_the_session_store_is_kept_encrypted_until_it_is_taken_away(tmp_path: Path) -> None:
    registry = a_registry(tmp_path)
    registry.add("shop", SHOP, session_store_url=STORE, by="ana")
    assert not any("hunter2" in path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "hunter2" not in repr(registry.all())
    registry.change("shop", digests=False)
    assert a_registry(tmp_path).get("shop").session_store_url == STORE
    registry.change("shop", session_store_url=Secret(""))
    assert a_registry(tmp_path).get("shop").session_store_url is None


def test_a_record_from_before_there_were_session_stores_is_read(tmp_path: Path) -> None:
    box = SecretBox("k")
    data = DatabaseProfile(name="shop", connection=SHOP).to_json(box)
    del data["session_store"]
    assert DatabaseProfile.from_json(data, box).session_store_url is None


@pytest.mark.parametrize(
    "address",
    ["redis://cache", "redis://:p%40ss@cache:6379/0", "rediss://user:pw@[::1]:6380", "unix:///run/redis.sock?db=2"],
)
def test_the_address_of_a_redis_server_is_taken_as_it_is(address: str) -> None:
    assert checked_address(address) == Secret(address)


@pytest.mark.parametrize(
    "address",
    ["", "cache:6379", "http://hunter2@cache", "redis://", "redis://cache:hunter2/0", "redis://c/hunter2", "unix://",
     "redis://cache?hunter2=1", "redis://cache#hunter2", "redis://cache/0\nhunter2", "redis://:hunter2#@cache"],
)  # fmt: skip
def test_any_other_address_is_refused_without_being_repeated(address: str) -> None:
    with pytest.raises(Invalid, match="not the address of a Redis server") as refused:
        checked_address(address)
    assert "hunter2" not in str(refused.value)


def test_a_session_store_is_shown_without_its_password() -> None:
    assert shown_address(STORE) == "redis://cache.example:6379/1"
    assert shown_address(Secret("unix://user:hunter2@/run/redis.sock?db=2")) == "unix:///run/redis.sock"


def test_the_environments_session_store_belongs_to_its_database() -> None:
    assert from_environment(Secret("postgresql://u@h/d"), "DSN", STORE).session_store_url == STORE
    with pytest.raises(Invalid, match="SESSION_STORE_URL cannot be used"):
        from_environment(Secret("postgresql://u@h/d"), "DSN", Secret("http://hunter2"))
