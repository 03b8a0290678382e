"""Cleaning up logs at the terminal, on a small hub."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.postgres.connection import Connection, connect
from tests.hub import a_hub
from tests.servers import Server
from tests.webapp.cli.conftest import Terminal, url_of

pytestmark = pytest.mark.postgres
OLD = ("--before", "2026-11-21T10:00Z")


@pytest.fixture
def hub(terminal: Terminal, server: Server) -> Iterator[Connection]:
    """The database; the terminal looks after it as `hub`."""
    with a_hub(server) as connection:
        terminal("databases", "add", "hub", url_of(connection), "--no-test").good()
        yield connection


def ids(connection: Connection) -> list[int]:
    with connect(connection, application="tests") as session:
        return [row[0] for row in session.execute("SELECT id FROM message_request ORDER BY id")]


def test_a_dry_run_counts_what_the_run_deletes(terminal: Terminal, hub: Connection) -> None:
    said = terminal("logs", "cleanup", "hub", *OLD, "--dry-run").good().out
    assert said.startswith("8 rows of public.message_request, from 2026-11-20 10:00:00 UTC")
    counted = terminal("logs", "cleanup", "hub", *OLD, "--dry-run", "--json").good().json
    assert (counted["rows"], counted["soft_deleted"]) == (8, 1)
    assert counted["days"] == {"2026-11-20": 6, "2026-11-21": 2}
    assert len(ids(hub)) == 14
    refused = terminal("logs", "cleanup", "hub", *OLD, "--json")
    assert refused.code == 8 and "Nothing was deleted." in refused.json["error"]["message"]
    done = terminal("logs", "cleanup", "hub", *OLD, "--yes").good().out
    assert done.startswith("8 rows of public.message_request deleted in ")
    assert ids(hub) == [7, 8, 11, 12, 13, 14]


@pytest.mark.parametrize("options", [(), ("--yes",), ("--dry-run",), ("--table", "message_request", "--yes")])
def test_nothing_without_a_condition(terminal: Terminal, hub: Connection, options: tuple[str, ...]) -> None:
    ended = terminal("logs", "cleanup", "hub", *options)
    assert ended.code == 5 and ended.err.startswith("Nothing was deleted. No condition was given")
    assert len(ids(hub)) == 14


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (("--user", "2,99"), [3, 5, 11, 13, 14]),
        (("--provider", "0"), [4]),
        (("--status", "403,529"), [4, 13]),
        (("--status-range", "429-529"), [2, 13]),
        (("--blocked",), [4]),
        (("--after", "2026-11-22T00:00Z"), [14]),
        (("--days", "1", "--user", "4"), []),
    ],
)
def test_every_option_is_a_condition(
    terminal: Terminal, hub: Connection, options: tuple[str, ...], gone: list[int]
) -> None:
    if options[0] == "--days":
        assert "fulfils this" in terminal("logs", "cleanup", "hub", "--days", "36500", "--user", "4", "--dry-run").out
        return
    assert terminal("logs", "cleanup", "hub", *options, "--yes", "--json").good().json["rows"] == len(gone)
    assert [number for number in range(1, 15) if number not in ids(hub)] == gone


def test_archived_rows_are_listed_and_put_back(terminal: Terminal, hub: Connection) -> None:
    done = terminal("logs", "cleanup", "hub", *OLD, "--archive", "--format", "ndjson", "--json").good().json
    assert done["archived"] == done["rows"] == 8
    [archive] = terminal("logs", "archives", "hub", "--json").good().json
    assert archive["id"] == done["archive_id"] and archive["form"] == "ndjson"
    assert (terminal.folder / "log_archives" / archive["key"]).is_file()
    assert archive["id"] in terminal("logs", "archives").good().out
    said = terminal("logs", "put-back", archive["id"]).good().out
    assert said == "8 rows put back into public.message_request; 0 were there.\n"
    assert ids(hub) == list(range(1, 15))
    assert terminal("logs", "cleanup", "hub", *OLD, "--yes", "--archive", "nowhere").code == 3
    assert len(ids(hub)) == 14


def test_rules_for_the_night_are_made_shown_and_taken_back(terminal: Terminal, hub: Connection) -> None:
    assert terminal("logs", "retention", "hub").good().out == "Nothing is deleted by itself.\n"
    rule = terminal("logs", "retention", "hub", "--days", "message_request=9000", "--archive", "here", "--json").good()
    assert rule.json["days"] == {"message_request": 9000} and rule.json["archive"] == ""
    assert rule.json["tables"] == [{"table": "message_request", "days": 9000, "rows": 0}]
    assert "message_request  9000          0" in terminal("logs", "retention", "hub").good().out
    assert terminal("logs", "retention", "hub", "--days", "users=3").code == 3
    assert terminal("logs", "retention", "hub", "--days", "message_request=many").code == 2
    gone = terminal("logs", "retention", "hub", "--days", "message_request=forever", "--archive", "none", "--json")
    assert gone.good().json["days"] == {} and gone.json["archive"] is None
