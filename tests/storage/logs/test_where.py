"""Which database a link to the logs leads to."""

from __future__ import annotations

import pytest

from storage.accounts.permissions import Role
from storage.logs.where import Found
from storage.opening import Storage
from storage.secret import Secret

pytestmark = pytest.mark.postgres


def test_the_first_that_keeps_a_usage_log_is_found_and_who_did_not_answer_is_named(hub: Storage) -> None:
    assert hub.logs.first_with_usage(["hub", "shop"]) == Found("hub")
    assert hub.logs.first_with_usage(["nothing", "shop", "hub"]) == Found("hub", ("nothing",))
    assert hub.logs.first_with_usage(["shop", "nothing"]) == Found("", ("nothing",))
    assert hub.logs.first_with_usage([]) == Found("")


def test_a_removed_database_takes_its_links_along(hub: Storage) -> None:
    hub.accounts.add("ben", Role.USER, Secret("seven herons on the pier"))
    hub.accounts.link("ben", "hub", "2")
    hub.databases.remove("hub")
    assert hub.accounts.get("ben").linked == {}
