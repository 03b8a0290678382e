"""`pghaven logs session` and `logs probes`, and where a database's session store is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import a_hub
from tests.servers import Server
from tests.sessions import KEY, SECRETS, fill
from tests.storage.locks.conftest import AServer
from tests.webapp.cli.conftest import NOWHERE, Terminal, url_of

pytestmark = pytest.mark.postgres


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[AServer]:
    server = AServer(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
def with_hub(terminal: Terminal, server: Server, redis: AServer) -> Iterator[Terminal]:
    """The terminal, with the small hub looked after as `hub`, and its Redis."""
    with a_hub(server) as connection:
        store = ("--session-store", redis.url.reveal)
        terminal("databases", "add", "hub", url_of(connection), "--no-test", *store).good()
        yield terminal


def test_a_session_store_is_said_at_the_terminal_and_shown_without_its_password(terminal: Terminal) -> None:
    store = "redis://:hunter2@cache.example:6379/1"
    added = terminal("databases", "add", "shop", NOWHERE, "--no-test", "--session-store", "-", "--json", typed=store)
    assert added.good().json["session_store"] == "redis://cache.example:6379/1"
    changed = terminal("databases", "change", "shop", "--session-store", "rediss://other")
    assert "rediss://other" in changed.good().out
    gone = terminal("databases", "change", "shop", "--no-session-store", "--json").good()
    assert gone.json["session_store"] is None
    refused = terminal("databases", "change", "shop", "--session-store", "https://hunter2@cache")
    assert refused.code == 5 and "hunter2" not in refused.err
    assert terminal("databases", "change", "shop").code == 2
    told = json.dumps(terminal("audit", "list", "--json").good().json)
    assert "cache.example" in told and "hunter2" not in told


def test_a_session_is_written_whole_masked_and_never_over_another_file(
    with_hub: Terminal, redis: AServer, tmp_path: Path
) -> None:
    fill(redis.client, "s-lin", 4)
    file = tmp_path / "session.json"
    ended = with_hub("logs", "session", "hub", "s-lin", "-o", str(file), "--json").good()
    document = json.loads(file.read_text())
    assert ended.json["bytes"] == file.stat().st_size
    assert [one["sequence"] for one in document["requests"]] == [1, 2, 3, 4]
    assert not any(secret in file.read_text() for secret in SECRETS)
    assert with_hub("logs", "session", "hub", "s-lin", "-o", str(file)).code == 4
    with_hub("logs", "session", "hub", "s-lin", "-o", str(file), "--force", "--with-secrets").good()
    assert KEY in file.read_text()


def test_one_request_goes_into_a_file_of_its_own_name_or_to_standard_output(with_hub: Terminal, redis: AServer) -> None:
    fill(redis.client, "s-lin", 4)
    with_hub("logs", "session", "hub", "s-lin", "--sequence", "4").good()
    written = (with_hub.folder.parent / "session-s-lin-seq-4-request.json").read_text()
    assert json.loads(written)["sequence"] == 4
    assert with_hub("logs", "session", "hub", "s-lin", "--sequence", "4", "-o", "-").good().out == written
    gone = with_hub("logs", "session", "hub", "s-lin", "--sequence", "1", "-o", "-")
    assert gone.code == 3 and gone.out == ""


def test_a_session_store_that_is_down_leaves_no_file(with_hub: Terminal, redis: AServer, tmp_path: Path) -> None:
    redis.kill()
    ended = with_hub("logs", "session", "hub", "s-lin", "-o", str(tmp_path / "session.json"))
    assert ended.code == 6 and "does not answer" in ended.err
    assert [path.name for path in tmp_path.iterdir() if "session" in path.name] == []


def test_the_checks_of_an_endpoint_are_written_as_lines(with_hub: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "probes.txt"
    with_hub("logs", "probes", "hub", "1", "-o", str(file)).good()
    assert file.read_text() == (
        "[12:00:00] OK 200 132ms\n[12:01:00] FAIL 503 41ms no upstream\n[12:02:00] FAIL - - first line second line\n"
    )
    failed = with_hub("logs", "probes", "hub", "1", "-o", "-", "--fail", "--text", "UPSTREAM", "--days").good()
    assert failed.out == "[2026-11-22 12:01:00] FAIL 503 41ms no upstream\n"
    assert with_hub("logs", "probes", "hub", "9", "-o", "-").code == 3
    assert with_hub("logs", "probes", "hub", "1", "-o", "-", "--from", "soon").code == 5
