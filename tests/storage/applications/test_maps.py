"""Application maps: reading them strictly, recognising a database, naming its logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.applications import maps
from storage.applications.maps import ApplicationMap, LogTable
from storage.applications.sessions import Part
from storage.errors import Invalid

SHOP = """
name = "shop"
title = "Shop"
recognise = ["orders", "customers"]

[[log_tables]]
table = "visits"
time_column = "seen_at"
"""

HUB_TABLES = {"users", "keys", "providers", "message_request", "model_prices", "provider_endpoint_probe_logs"}


def a_folder(tmp_path: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


def in_schema(schema: str, tables: set[str]) -> set[str]:
    return {f"{schema}.{table}" for table in tables}


def test_the_shipped_maps_can_be_read_and_their_names_are_their_files() -> None:
    shipped = maps.load_maps(None)
    assert [application.name for application in shipped] == ["claude_code_hub", "crearis", "fenghua", "opendeepwiki"]


def test_the_hub_deletes_its_requests_softly_and_says_by_which_time() -> None:
    hub = next(application for application in maps.load_maps(None) if application.name == "claude_code_hub")
    assert hub.log_tables[0] == LogTable(
        table="message_request", time_column="created_at", soft_delete_column="deleted_at"
    )


def test_a_map_of_the_users_own_is_read_and_comes_first(tmp_path: Path) -> None:
    found = maps.load_maps(a_folder(tmp_path, shop=SHOP))
    assert found[0] == ApplicationMap(
        name="shop",
        title="Shop",
        recognise=("orders", "customers"),
        log_tables=(LogTable(table="visits", time_column="seen_at"),),
    )
    assert len(found) == 5


def test_a_map_of_the_users_own_replaces_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    found = maps.load_maps(a_folder(tmp_path, mine=SHOP.replace('"shop"', '"crearis"')))
    assert [application.title for application in found if application.name == "crearis"] == ["Shop"]


def test_a_folder_that_is_not_there_adds_nothing(tmp_path: Path) -> None:
    assert maps.load_maps(tmp_path / "nowhere") == maps.load_maps()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 'red'\n" + SHOP, "own.toml has an unknown key colour"),
        (SHOP + "soft_delete = 'x'\n", "own.toml has an unknown key soft_delete"),
        (SHOP.replace('title = "Shop"', ""), "own.toml has no title"),
        (SHOP.replace('"seen_at"', "7"), "own.toml, time_column has a value of the wrong type"),
        (SHOP.replace('["orders", "customers"]', "[]"), "own.toml, recognise has a value of the wrong type"),
        (SHOP.replace('["orders", "customers"]', "[1]"), "own.toml, recognise has a value of the wrong type"),
        (SHOP.replace('name = "shop"', 'name = ""'), "own.toml, name has a value of the wrong type"),
        ("log_tables = [1]\n" + SHOP.partition("[[")[0], "own.toml, log_tables has a value of the wrong type"),
        ("name = ", "own.toml cannot be read"),
        (SHOP + "[sessions.store]\nbody = 'request:{sequence}'\n", "own.toml, a key of the session store"),
        (SHOP + "[sessions.store]\nbody = 'session:{session}'\n", "own.toml, a key of the session store"),
        (SHOP + "[sessions]\ncount = 'requests'\n", "own.toml, a key of the session store"),
        (SHOP + "[sessions.store]\ncookies = '{session}{sequence}'\n", "own.toml has an unknown key cookies"),
        (SHOP + "[probes]\ntable = 'checks'\n", "own.toml, endpoints has a value of the wrong type"),
        (SHOP + "[probes]\nendpoints = {table = 'shops', title = 'e.name'}\n", "own.toml has no table"),
    ],
)
def test_a_map_that_is_not_understood_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        maps.load_maps(a_folder(tmp_path, own=text))


def test_two_maps_of_the_users_own_with_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="Two application maps are called shop"):
        maps.load_maps(a_folder(tmp_path, one=SHOP, two=SHOP))


@pytest.mark.parametrize("schema", ["public", "hub"])
def test_a_database_is_recognised_in_whatever_schema_its_tables_are(schema: str) -> None:
    tables = in_schema(schema, HUB_TABLES) | {"public.else"}
    found = maps.recognise(maps.load_maps(), tables)
    assert found is not None
    assert found.name == "claude_code_hub"
    assert maps.log_tables(found, tables) == (f"{schema}.message_request", f"{schema}.provider_endpoint_probe_logs")


def log_tables_of(tables: set[str]) -> tuple[str, ...]:
    found = maps.recognise(maps.load_maps(), tables)
    assert found is not None
    return maps.log_tables(found, tables)


def test_tables_of_two_schemas_do_not_make_one_application() -> None:
    tables = in_schema("one", HUB_TABLES - {"keys"}) | {"two.keys"}
    assert maps.recognise(maps.load_maps(), tables) is None


def test_public_is_preferred_to_a_copy_beside_it() -> None:
    tables = in_schema("archive_of_2024", HUB_TABLES) | in_schema("public", HUB_TABLES)
    assert log_tables_of(tables) == ("public.message_request", "public.provider_endpoint_probe_logs")


def test_a_log_table_that_is_not_there_is_left_out() -> None:
    tables = in_schema("public", HUB_TABLES - {"provider_endpoint_probe_logs"})
    assert log_tables_of(tables) == ("public.message_request",)


def test_a_map_may_name_the_schema_itself() -> None:
    shop = ApplicationMap(
        name="shop",
        title="Shop",
        recognise=("sales.orders", "customers"),
        log_tables=(LogTable(table="web.visits", time_column="seen_at"),),
    )
    tables = {"sales.orders", "crm.customers", "web.visits"}
    assert maps.recognise((shop,), tables) == shop
    assert maps.log_tables(shop, tables) == ("web.visits",)
    assert maps.recognise((shop,), {"public.orders", "crm.customers"}) is None


def test_the_map_that_asks_for_most_wins() -> None:
    small = ApplicationMap(name="small", title="Small", recognise=("users",))
    large = ApplicationMap(name="large", title="Large", recognise=("users", "keys"))
    assert maps.recognise((small, large), {"public.users", "public.keys"}) == large


def test_a_sessions_id_is_only_put_where_the_keys_name_it() -> None:
    hub = next(application for application in maps.load_maps(None) if application.name == "claude_code_hub")
    assert hub.sessions is not None
    assert hub.sessions.key(Part.BODY, "a{sequence}{session}", 7) == "session:a{sequence}{session}:req:7:requestBody"
    assert hub.sessions.count_key("{sequence}") == "session:{sequence}:seq"
