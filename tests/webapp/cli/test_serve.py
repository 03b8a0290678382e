"""The web process as a process: it says where it is, shares nothing, and ends when it is told to."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from tests.webapp.cli.conftest import Terminal


def started(terminal: Terminal, *options: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """A web process that has said where it is."""
    process = terminal.start("serve", "--port", "0", "--json", *options)
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.rstrip() == "}":
            return process, json.loads("".join(lines))
    raise AssertionError(process.stderr.read() if process.stderr else "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_and_ends_cleanly_within_seconds(terminal: Terminal, number: signal.Signals) -> None:
    process, where = started(terminal)
    with urllib.request.urlopen(f"{where['url']}login", timeout=10) as answer:
        assert answer.status == 200
    begun = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert time.monotonic() - begun < 8
    assert out == ""
    assert "Traceback" not in err
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(where["url"], timeout=2)


def test_a_signal_that_comes_twice_at_once_is_one_wish(terminal: Terminal) -> None:
    """As when a whole process group gets one, and make passes it on."""
    process, _ = started(terminal)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, "Ending at once" in err) == (0, False), err


def test_the_first_start_prints_one_address_and_the_set_up_token(terminal: Terminal) -> None:
    process = terminal.start("serve", "--port", "0")
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(4)]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    words = "".join(lines)
    assert words.startswith("pghaven is at http://127.0.0.1:")
    assert "/setup?token=" in words
    assert "Set-up token: " in words


def test_with_an_admin_password_there_is_no_set_up(terminal: Terminal) -> None:
    terminal.environment["ADMIN_PASSWORD"] = "a haven for the admin"
    process, where = started(terminal)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert where["setup_url"] is None
    (account,) = terminal("accounts", "list", "--json").good().json
    assert (account["name"], account["role"]) == ("admin", "admin")


def test_a_port_that_is_taken_is_said_in_words(terminal: Terminal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = terminal("serve", "--port", str(taken.getsockname()[1]))
    assert ended.code == 4
    assert "already listens" in ended.err
    assert "stopping" not in ended.err
    assert "Traceback" not in ended.err


def test_a_data_folder_belongs_to_one_web_process(terminal: Terminal) -> None:
    process, where = started(terminal)
    for port in ("0", where["url"].rstrip("/").rpartition(":")[2]):
        ended = terminal("serve", "--port", port)
        assert ended.code == 4
        assert f"{terminal.folder} belongs to another pghaven: process {process.pid} on" in ended.err
        assert f"at {where['url']}" in ended.err
        assert "stopping" not in ended.err and "Traceback" not in ended.err
    with urllib.request.urlopen(f"{where['url']}login", timeout=10) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_the_terminal_works_beside_the_web_process(terminal: Terminal) -> None:
    process, _ = started(terminal)
    terminal("accounts", "add", "ana", "--password-stdin", typed="a haven for ana\n").good()
    token = terminal("accounts", "token", "ana", "--json").good().json["token"]
    assert token
    listed = terminal("accounts", "list", "--json").good().json
    assert [(account["name"], account["tokens"]) for account in listed] == [("ana", 1)]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)


def test_the_log_can_be_a_json_document_a_line(terminal: Terminal) -> None:
    terminal.environment |= {"LOG_FORMAT": "json", "ADMIN_PASSWORD": "a haven for the admin"}
    process, where = started(terminal)
    urllib.request.urlopen(f"{where['url']}healthz", timeout=10).close()  # from now on it ends in its own words
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    lines = [json.loads(line) for line in err.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert "stopping" in [line["message"] for line in lines]


def test_a_log_format_that_nobody_knows_is_named(terminal: Terminal) -> None:
    terminal.environment["LOG_FORMAT"] = "xml"
    ended = terminal("serve", "--port", "0")
    assert ended.code != 0
    assert "LOG_FORMAT" in ended.err
