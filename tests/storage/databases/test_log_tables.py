"""Which tables a backup without logs leaves out."""

from __future__ import annotations

from storage.applications import maps
from storage.applications.maps import ApplicationMap, LogTable
from storage.databases.log_tables import Among
from storage.databases.profile import DatabaseProfile
from storage.postgres.connection import Connection

SHOP = ApplicationMap(
    name="shop",
    title="Shop",
    recognise=("orders", "events"),
    log_tables=(LogTable(table="events", time_column="at"), LogTable(table="gone", time_column="at")),
)


def a_profile(*log_tables: str) -> DatabaseProfile:
    return DatabaseProfile(
        name="shop", connection=Connection(host="h", user="u", dbname="d"), log_tables=tuple(log_tables)
    )


def test_those_of_the_map_and_those_of_the_profile_as_far_as_they_exist() -> None:
    tables = {"public.orders", "public.events", "public.visits"}
    assert Among((SHOP,))(a_profile("public.visits", "public.nowhere"), tables) == {"public.events", "public.visits"}


def test_a_database_of_no_known_application_has_those_of_its_profile() -> None:
    assert Among((SHOP,))(a_profile("public.a"), {"public.a", "public.b"}) == {"public.a"}
    assert Among(())(a_profile(), {"public.a"}) == frozenset()


def test_the_shipped_maps_can_be_used() -> None:
    assert Among(maps.load_maps())(a_profile(), {"public.a"}) == frozenset()
