"""With --json, standard output is one JSON document: for every command, whether it can do its work or not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from tests.webapp.cli.conftest import NOWHERE, Terminal
from webapp.cli import main

ID = "20261122T131405Z-abcdef"

# Every command, with arguments that it gets on an empty data folder, and the exit code it has there.
ON_AN_EMPTY_FOLDER: dict[str, tuple[tuple[str, ...], str, int]] = {
    "databases list": ((), "", 0),
    "databases add": (("shop", NOWHERE, "--password-stdin"), "secret\n", 0),
    "databases test": ((NOWHERE,), "", 6),
    "databases status": ((), "", 6),
    "databases remove": (("shop", "--yes"), "", 3),
    "databases change": (("shop", "--session-store", "redis://cache"), "", 3),
    "backups take": (("shop",), "", 3),
    "backups list": ((), "", 0),
    "backups show": ((ID,), "", 3),
    "backups verify": ((ID,), "", 3),
    "backups prove": ((ID,), "", 3),
    "backups download": ((ID,), "", 3),
    "backups upload": (("no-such-file.dump", "--database", "shop"), "", 3),
    "backups copy": ((ID, "away"), "", 3),
    "backups fetch": ((ID, "away"), "", 3),
    "destinations list": ((), "", 0),
    "destinations add": (("away", "ftp://example.org"), "", 5),
    "destinations change": (("away", "--keep-days", "7"), "", 3),
    "destinations test": (("away",), "", 3),
    "destinations remove": (("away", "--yes"), "", 3),
    "destinations rebuild": (("away",), "", 3),
    "backups pin": ((ID,), "", 3),
    "backups unpin": ((ID,), "", 3),
    "retention preview": (("shop",), "", 3),
    "retention run": (("shop", "--yes"), "", 3),
    "retention set": (("shop", "--days", "7"), "", 3),
    "trash put": ((ID,), "", 3),
    "trash list": ((), "", 0),
    "trash restore": ((ID,), "", 3),
    "trash empty": (("--yes",), "", 0),
    "restores plan": ((ID, "--into", "copy"), "", 3),
    "restores run": ((ID, "--into", "copy"), "", 3),
    "restores list": ((), "", 0),
    "restores undo": ((ID, "--yes"), "", 3),
    "restores kept": ((), "", 0),
    "restores drop": ((ID, "--yes"), "", 3),
    "schedules list": ((), "", 0),
    "schedules next": (("shop",), "", 3),
    "schedules set": (("shop", "--cron", "0 3 * * *"), "", 3),
    "schedules pause": (("shop", "--until", "2999-01-01"), "", 3),
    "schedules resume": (("shop",), "", 3),
    "jobs list": ((), "", 0),
    "jobs show": ((ID,), "", 3),
    "jobs cancel": ((ID,), "", 3),
    "accounts list": ((), "", 0),
    "accounts add": (("ana", "--role", "admin", "--password-stdin"), "a long enough password\n", 0),
    "accounts token": (("ana",), "", 3),
    "accounts reset-password": (("ana", "--password-stdin"), "x\n", 3),
    "accounts remove": (("ana", "--yes"), "", 3),
    "accounts link": (("ana", "hub", "2"), "", 3),
    "audit list": ((), "", 0),
    "audit verify": ((), "", 0),
    "alerts list": ((), "", 0),
    "alerts add": (("hook", "https://alerts.example/in"), "", 0),
    "alerts test": (("ops",), "", 3),
    "alerts send-test": (("ops",), "", 3),
    "alerts remove": (("ops", "--yes"), "", 3),
    "alerts migrate": ((), "", 0),
    "tools list": ((), "", 0),
    "tools install": (("7",), "", 5),
    "logs export": (("shop", "-o", "usage.csv"), "", 3),
    "logs session": (("shop", "s-1", "-o", "session.json"), "", 3),
    "logs probes": (("shop", "1", "-o", "probes.txt"), "", 3),
    "logs cleanup": (("shop", "--days", "30", "--yes"), "", 3),
    "logs retention": (("shop",), "", 3),
    "logs archives": ((), "", 0),
    "logs put-back": ((ID,), "", 3),
    "tables list": (("shop",), "", 3),
    "tables export": (("shop", "public.orders", "-o", "orders.csv"), "", 3),
    "demo generate": (("shop",), "", 3),
    "demo mark": (("shop",), "", 3),
    "serve": (("--host", "192.0.2.1", "--port", "0"), "", 6),
}


def commands(group: click.Group = main, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_every_command_is_in_the_table_above() -> None:
    assert set(ON_AN_EMPTY_FOLDER) == {name for name, _ in commands()}


@pytest.mark.parametrize("name", ON_AN_EMPTY_FOLDER)
def test_json_is_one_document_and_errors_are_one_too(name: str, terminal: Terminal) -> None:
    arguments, typed, code = ON_AN_EMPTY_FOLDER[name]
    ended = terminal(*name.split(), *arguments, "--json", typed=typed)
    assert ended.code == code, ended.out + ended.err
    document = json.loads(ended.out)
    if name == "databases status":  # one answer for each database, whether it can be reached or not
        assert [one["error"]["exit_code"] for one in document] == [6]
    elif code:
        assert document["error"]["exit_code"] == code
        assert document["error"]["message"]


@pytest.mark.parametrize("name", ["databases test", "backups take", "restores run", "accounts token", "tools install"])
def test_without_json_a_refusal_is_on_standard_error_alone(name: str, terminal: Terminal) -> None:
    arguments, typed, code = ON_AN_EMPTY_FOLDER[name]
    ended = terminal(*name.split(), *arguments, typed=typed)
    assert ended.code == code
    assert ended.out == ""
    assert ended.err.strip()
    assert "Traceback" not in ended.err


def test_a_setting_that_cannot_be_used_is_refused_in_json_by_every_command(terminal: Terminal) -> None:
    terminal.environment["PORT"] = "many"
    ended = terminal("backups", "list", "--json")
    assert ended.code == 5
    assert "PORT" in ended.json["error"]["message"]
