"""GET /api/admin/database/export, against pg_dump -Fc with the same settings into a pipe; and a client that is slow."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import data
from benchmarks.downloading import serving
from benchmarks.pairs import Measurement, measure, resident_peak, run_watched
from storage.postgres import commands
from storage.postgres.connection import Connection, write_pass_file
from tests.servers import Server

PLAIN, OURS = "pg_dump -Fc | cat > /dev/null", "GET /api/admin/database/export"
SLOW_SECONDS, SLOW_BYTES = 20.0, 1 << 20
"""A client that takes a MiB a second for as long."""


def run(server: Server, connection: Connection, folder: Path, *, rounds: int) -> tuple[Measurement, int]:
    """The measurement, and the peak resident memory of the serving pghaven in bytes, the slow client included."""
    installation = server.installation
    ours = {
        **data.environment(folder / "backups", connection, data.programs_for(server)),
        "ADMIN_PASSWORD": "measured measured",
    }
    command = commands.dump_command(
        installation.program("pg_dump"),
        compression=commands.compression_for(installation.major, zstd=installation.zstd),
        snapshot="",
        lock_wait_seconds=60,
        structure_only=(),
    )
    plain = connection.environment(write_pass_file(folder, connection), application="benchmarks")
    pghaven = Path(sys.executable).with_name("pghaven")
    with serving([pghaven, "serve", "--port", "0"], ours, folder) as (process, port):
        token = _token(pghaven, ours)
        # From here on the kernel's high-water mark is the export's, and not that of the start (proc(5), clear_refs).
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")
        result = measure(
            "Export over HTTP",
            {PLAIN: lambda: _pipe(command, {**plain, **installation.environment()}), OURS: lambda: fetch(port, token)},
            rounds=rounds,
            bounds={OURS: 1.05},
        )
        slowly(port, token)
        return result, resident_peak(process.pid)


def _token(pghaven: Path, environment: dict[str, str]) -> str:
    shown = run_watched([pghaven, "accounts", "token", "admin", "--json"], environment=environment)
    return str(json.loads(shown.output)["token"])


def _pipe(command: list[str], environment: dict[str, str]) -> None:
    with (
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as dump,
        subprocess.Popen(["cat"], stdin=dump.stdout, stdout=subprocess.DEVNULL) as cat,
    ):
        assert dump.stdout is not None
        dump.stdout.close()
        assert dump.wait() == 0 and cat.wait() == 0


def fetch(port: int, token: str) -> None:
    """Take everything and throw it away; the last chunk has to be there."""
    with _ask(port, token) as connection:
        buffer, end = bytearray(1 << 20), b""
        while got := connection.recv_into(buffer):
            end = (end + bytes(buffer[max(0, got - 5) : got]))[-5:]
        assert end == b"0\r\n\r\n", end


def slowly(port: int, token: str) -> None:
    """Take a little every second, and go away before the end."""
    with _ask(port, token) as connection:
        until = time.monotonic() + SLOW_SECONDS
        while time.monotonic() < until:
            connection.recv(SLOW_BYTES)
            time.sleep(1)


def _ask(port: int, token: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        f"GET /api/admin/database/export HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()
    )
    return connection
