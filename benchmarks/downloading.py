"""Download of an archive, against a static file server (Python's http.server) that sends the same file."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import data
from benchmarks.pairs import Measurement, measure, resident_peak, run_watched
from storage.postgres.connection import Connection
from tests.servers import Server

STATIC, OURS, PART = "static file server", "GET /backups/ID/archive", "the same, Range: bytes=1-"


def run(
    server: Server, connection: Connection, folder: Path, backup_id: str, *, rounds: int
) -> tuple[Measurement, int]:
    """The measurement, and the peak resident memory of the serving pghaven in bytes."""
    ours = {
        **data.environment(folder / "backups", connection, data.programs_for(server)),
        "ADMIN_PASSWORD": "measured measured",
    }
    pghaven = Path(sys.executable).with_name("pghaven")
    shown = run_watched([pghaven, "backups", "show", backup_id, "--json"], environment=ours)
    archive = Path(json.loads(shown.output)["archive"])
    with serving([pghaven, "serve", "--port", "0"], ours, folder) as (process, port):
        token = json.loads(run_watched([pghaven, "accounts", "token", "admin", "--json"], environment=ours).output)[
            "token"
        ]
        static = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", archive.parent]
        with serving(static, ours, folder) as (_, static_port):
            size = archive.stat().st_size
            path, bearer = f"/backups/{backup_id}/archive", f"Authorization: Bearer {token}\r\n"
            result = measure(
                f"Download of {size / 1e6:.0f} MB",
                {
                    STATIC: lambda: fetch(static_port, f"/{archive.name}", size),
                    OURS: lambda: fetch(port, path, size, bearer),
                    PART: lambda: fetch(port, path, size - 1, bearer + "Range: bytes=1-\r\n"),
                },
                rounds=rounds,
                # A rate of 0.9 is a time of 1 / 0.9.
                bounds={OURS: 1.11, PART: 1.11},
            )
        return result, resident_peak(process.pid)


def fetch(port: int, path: str, size: int, headers: str = "") -> None:
    """GET a file and throw it away, by a plain socket: the client costs both servers the same."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}Connection: close\r\n\r\n".encode()
        )
        buffer = bytearray(1 << 20)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1 << 16)
        head, _, body = head.partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0].split()[1] in (b"200", b"206"), head
        received = len(body)
        while got := connection.recv_into(buffer):
            received += got
        assert received == size, (received, size)


@contextmanager
def serving(
    command: list[str | Path], environment: dict[str, str], folder: Path
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server as a process, and the port that it says it has."""
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE, stderr=output, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"(?:127\.0\.0\.1:|port )(\d+)", line):
                yield process, int(found[1])
                return
        raise SystemExit(f"{command[0]} did not start:\n{log.read_text()}")
    finally:
        process.terminate()  # a process in the background of a shell may not hear SIGINT
        process.wait(30)
