"""Requests that do not come: nobody is waited for for ever, and nobody else is kept out meanwhile."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from storage.opening import Storage
from tests.webapp.api.conftest import Serving, serve
from webapp.cli import channel
from webapp.cli.serve import CONNECTIONS_A_THREAD

HALF_A_HEAD = b"POST /login HTTP/1.1\r\nHost: here\r\n"
HALF_A_BODY = HALF_A_HEAD + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nname="


@pytest.fixture
def serving(storage: Storage) -> Iterator[Serving]:
    yield from serve(storage, token="")


def answer_of(connection: socket.socket) -> bytes:
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer


def signed_out_page(serving: Serving) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{serving.port}/login", timeout=20) as answer:
        return int(answer.status)


@pytest.mark.parametrize(
    ("now", "head", "moved", "body_bytes", "late"),
    [
        (30, True, 30, 0, False),
        (31, True, 31, 0, True),
        (60, False, 0, 0, False),
        (61, False, 0, 0, True),
        (61, False, 61, 500, False),
        (62, False, 62, 500, True),
        (3600, False, 3590, 500 * 3600, False),
    ],
)
def test_a_head_has_half_a_minute_and_a_body_one_between_two_pieces(
    now: float, head: bool, moved: float, body_bytes: int, late: bool
) -> None:
    assert channel.is_late(now, began=0, moved=moved, head=head, body_bytes=body_bytes) is late


@pytest.mark.parametrize("begun", [HALF_A_HEAD, HALF_A_BODY, b"G"])
def test_who_begins_and_does_not_go_on_is_answered_408(
    serving: Serving, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(channel, "BODY_SECONDS", 1.0)
    with socket.create_connection(("127.0.0.1", serving.port), timeout=20) as connection:
        connection.sendall(begun)
        answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.") and b" 408 " in answer.splitlines()[0]
    assert b"The request did not arrive whole in time." in answer


def test_a_head_that_drips_is_not_waited_for_either(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "HEAD_SECONDS", 1.0)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", serving.port), timeout=20) as connection:
        connection.sendall(HALF_A_HEAD)
        connection.settimeout(0.1)
        answer = b""
        while not answer:
            assert time.monotonic() < began + 15
            connection.sendall(b"X-A: b\r\n")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert b" 408 " in answer.splitlines()[0]


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, HALF_A_BODY])
def test_nobody_is_locked_out_by_those_who_only_knock(serving: Serving, sent: bytes) -> None:
    every = serving.storage.settings.threads * CONNECTIONS_A_THREAD + 80
    with ExitStack() as connections:
        for _ in range(every):
            one = connections.enter_context(socket.create_connection(("127.0.0.1", serving.port), timeout=20))
            one.sendall(sent)
        began = time.monotonic()
        assert signed_out_page(serving) == 200
        assert time.monotonic() - began < 10
