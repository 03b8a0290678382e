"""Bodies as the server takes them, byte by byte: what is too large, cut off, or says two things of its length."""

from __future__ import annotations

import json
import os
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from tests.webapp.cli.conftest import Terminal, wait_until
from tests.webapp.cli.test_serve import started

PASSWORD = "a haven for the admin"
BOUNDARY = "seven-herons"
LIMIT_MB = 3
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="database"\r\n\r\nshop\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="archive"; filename="theirs.dump"\r\n\r\n'
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True)
class Haven:
    """A running web process, and the head of a request of its admin."""

    host: str
    port: int
    pid: int
    cookie: str
    token: str
    folder: Path

    def head(self, *lines: str, signed_in: bool = True, path: str = "/backups/upload") -> bytes:
        own = [f"Cookie: {self.cookie}", f"X-CSRF-Token: {self.token}"] if signed_in else []
        kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
        return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", kind, *own, *lines, "", ""]).encode()

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection((self.host, self.port), timeout=60) as connection:
            yield connection

    def ask(self, *pieces: bytes) -> str:
        """Send, and read the answer to its end."""
        with self.connected() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read(connection)

    def left(self) -> list[Path]:
        return [path for part in ("staging", "archives") for path in (self.folder / part).rglob("*") if path.is_file()]

    def open_files(self) -> list[str]:
        """Files without a name that the process has open in its data folder."""
        links = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                links.append(os.readlink(link))
            except FileNotFoundError:
                continue
        return [link for link in links if "(deleted)" in link and str(self.folder) in link]

    def memory(self) -> int:
        """Bytes of our process in memory now."""
        [line] = [line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if "VmRSS" in line]
        return int(line.split()[1]) * 1024


def read(connection: socket.socket) -> str:
    answer = b""
    while b"\r\n\r\n" not in answer:
        if not (piece := connection.recv(65536)):
            break
        answer += piece
    length = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
    while length and len(answer) < answer.index(b"\r\n\r\n") + 4 + int(length[1]):
        if not (piece := connection.recv(65536)):
            break
        answer += piece
    return answer.decode(errors="replace").replace("\u00a0", " ")


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


@pytest.fixture
def haven(terminal: Terminal) -> Haven:
    return a_haven(terminal, limit_mb=LIMIT_MB)


def a_haven(terminal: Terminal, *, limit_mb: int) -> Haven:
    terminal.environment |= {"ADMIN_PASSWORD": PASSWORD, "UPLOAD_LIMIT_MB": str(limit_mb)}
    process, where = started(terminal)
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def token(path: str) -> str:
        with browser.open(f"{where['url']}{path}", timeout=30) as answer:
            found = re.search(r'name="csrf_token" value="([^"]+)"', answer.read().decode())
        assert found
        return found[1]

    fields = {"name": "admin", "password": PASSWORD, "csrf_token": token("login")}
    browser.open(f"{where['url']}login", data=urlencode(fields).encode(), timeout=30).close()
    csrf = token("backups/upload")
    parts = urlsplit(where["url"])
    assert parts.hostname and parts.port
    cookie = "; ".join(f"{one.name}={one.value}" for one in jar)
    return Haven(parts.hostname, parts.port, process.pid, cookie, csrf, terminal.folder)


def test_too_large_is_answered_in_words_before_a_byte_of_the_body_is_sent(haven: Haven) -> None:
    answer = haven.ask(haven.head(f"Content-Length: {LIMIT_MB * 4 << 20}"))
    assert status(answer) == 413
    assert "An upload may have at most 3.1 MB." in answer
    assert "pghaven backups upload FILE" in answer
    assert haven.left() == []


def test_the_answer_reaches_who_sends_on_all_the_same(haven: Haven) -> None:
    answer = haven.ask(haven.head(f"Content-Length: {20 << 20}"), HEAD, bytes(8 << 20))
    assert status(answer) == 413
    assert haven.left() == []


def test_who_asks_first_is_told_without_sending_the_body(haven: Haven) -> None:
    refused = haven.ask(haven.head("Content-Length: 99000000", "Expect: 100-continue"))
    assert status(refused) == 413
    assert "100 Continue" not in refused
    with haven.connected() as connection:
        connection.sendall(haven.head("Content-Length: 2000000", "Expect: 100-continue"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")


def test_without_a_length_it_ends_at_the_limit(haven: Haven) -> None:
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with haven.connected() as connection:
        connection.sendall(haven.head("Transfer-Encoding: chunked"))
        try:
            for _ in range(LIMIT_MB * 3):
                connection.sendall(chunk)
        except OSError:
            return  # it was closed before everything was sent
        answer = read(connection)
    assert answer == "" or status(answer) == 413
    assert haven.left() == []


def test_what_says_two_lengths_is_refused(haven: Haven) -> None:
    answer = haven.ask(haven.head("Content-Length: 5", "Transfer-Encoding: chunked"), b"0\r\n\r\n")
    assert status(answer) == 400


@pytest.mark.parametrize(
    "lines",
    [[f"X-{number}: y" for number in range(2000)], [f"X: {'y' * 400_000}"], ["Content-Length: -5"], ["nonsense"]],
    ids=["2000 lines", "a long line", "a length below zero", "no header"],
)
def test_a_head_that_no_browser_sends_gets_an_answer_and_the_server_goes_on(haven: Haven, lines: list[str]) -> None:
    assert 400 <= status(haven.ask(haven.head(*lines))) < 500
    assert status(haven.ask(b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 200


def test_a_stranger_can_send_no_more_than_a_form(haven: Haven) -> None:
    two = 2 << 20
    answer = haven.ask(haven.head(f"Content-Length: {two}", signed_in=False))
    assert status(answer) in (303, 413)
    elsewhere = haven.ask(haven.head(f"Content-Length: {two}", path="/login", signed_in=False))
    assert status(elsewhere) == 413
    assert haven.open_files() == []


def test_a_file_that_is_cut_off_by_its_sender_leaves_nothing(haven: Haven) -> None:
    whole = HEAD + b"PGDMP" + bytes(2 << 20) + TAIL
    with haven.connected() as connection:
        connection.sendall(haven.head(f"Content-Length: {len(whole)}"))
        connection.sendall(whole[: len(whole) // 2])
        # Where it is kept meanwhile: in the data folder, and without a name.
        wait_until(lambda: len(haven.open_files()) == 1)
    wait_until(lambda: haven.open_files() == [])
    assert haven.left() == []


def test_a_form_that_ends_too_early_is_refused(haven: Haven) -> None:
    cut = HEAD + b"PGDMP" + bytes(1 << 20)
    answer = haven.ask(haven.head(f"Content-Length: {len(cut)}", "Accept: application/json"), cut)
    assert status(answer) == 400
    refusal = json.loads(answer.partition("\r\n\r\n")[2])["error"]
    assert refusal["cause"] == "The upload arrived incomplete."
    assert haven.left() == []


def test_memory_stays_flat_while_two_gigabytes_are_uploaded(terminal: Terminal) -> None:
    haven = a_haven(terminal, limit_mb=2200)
    piece, pieces = bytes(8 << 20), 256
    size = len(HEAD) + 5 + len(piece) * pieces + len(TAIL)
    most = 0
    with haven.connected() as connection:
        connection.sendall(haven.head(f"Content-Length: {size}", "Accept: application/json") + HEAD + b"PGDMP")
        for _ in range(pieces):
            connection.sendall(piece)
            most = max(most, haven.memory())
        connection.sendall(TAIL)
        connection.settimeout(0.2)
        begun, answer = time.monotonic(), b""
        while not answer.partition(b"\r\n\r\n")[2]:  # the body may come after the headers
            most = max(most, haven.memory())
            assert time.monotonic() - begun < 300
            try:
                answer += connection.recv(65536)
            except TimeoutError:
                continue
    assert status(answer.decode()) == 422
    assert b"which is too old" in answer
    assert most < 150 << 20
    assert haven.left() == []
