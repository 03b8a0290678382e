"""Made-up requests at the terminal: many of them, the same for the same seed, and never but in a demo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.postgres.connection import Connection, connect
from tests.generating import ask
from tests.hub import an_unused_hub
from tests.servers import Server
from tests.webapp.cli.conftest import Terminal, url_of

pytestmark = pytest.mark.postgres

CONTENT = "SELECT md5(string_agg(md5((to_jsonb(r) - 'id')::text), '' ORDER BY id)), count(*) FROM message_request r"
UNTIL = ("--until", "2026-11-22T13:00")


@pytest.fixture
def unused(terminal: Terminal, server: Server) -> Iterator[Connection]:
    with an_unused_hub(server) as connection:
        terminal("databases", "add", "made", url_of(connection), "--no-test").good()
        yield connection


def test_a_database_is_marked_then_filled_and_the_same_again_gives_the_same(
    terminal: Terminal, unused: Connection
) -> None:
    assert terminal("demo", "generate", "made", "--json").json["error"]["kind"] == "Conflict"
    assert terminal("demo", "mark", "made", "--json").good().json == {"database": "made", "demo": True, "new": True}
    asked = ("demo", "generate", "made", "--rows", "11000", "--days", "14", "--seed", "5", *UNTIL, "--json")
    answer = terminal(*asked).good().json
    assert {name: answer[name] for name in ("database", "rows", "days", "seed")} == {
        "database": "made", "rows": 11_000, "days": 14, "seed": 5,
    }  # fmt: skip
    [first] = ask(unused, CONTENT)
    with connect(unused, application="tests") as session:
        session.execute("TRUNCATE message_request RESTART IDENTITY")
    ended = terminal(*asked[:-1]).good()
    assert "11000 requests were made up in made." in ended.out
    assert [first] == ask(unused, CONTENT)


def test_one_in_use_is_neither_marked_nor_filled(terminal: Terminal, unused: Connection) -> None:
    with connect(unused, application="tests") as session:
        session.execute("INSERT INTO users (name) VALUES ('Ana')")
    ended = terminal("demo", "mark", "made")
    assert ended.code == 4
    assert ended.err.startswith("Nothing was marked. The table users is not empty")
    assert terminal("demo", "generate", "made").code == 4
    assert ask(unused, "SELECT count(*) FROM message_request") == [(0,)]
