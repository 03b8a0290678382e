"""Exports of a usage log: over HTTP against psql with the same COPY and against an ORM; a slow client; a workbook."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from psycopg import sql

from benchmarks import data
from benchmarks.downloading import serving
from benchmarks.pairs import Measurement, measure, resident_peak, run_watched
from storage.applications import maps
from storage.clock import utc_now
from storage.databases.profile import DatabaseProfile
from storage.logs import formats, reading
from storage.logs.filters import UsageFilter
from storage.logs.formats import Format
from storage.logs.usage import UsageLogs
from storage.postgres.connection import Connection, connect, write_pass_file
from tests.servers import Server

PLAIN, CSV, NDJSON = "psql, COPY (the same query) TO STDOUT > file", "GET …/logs/export > file", "the same as NDJSON"
ORM_ROWS, ORM, NOT_ORM = 200_000, "SQLAlchemy's ORM, all(), csv.writer > file", "GET …/logs/export > file"
WORKBOOK_ROWS = 1_000_000
SLOW_SECONDS, SLOW_BYTES = 20.0, 1 << 20
"""A client that takes a MiB a second for as long."""
FIRST_BYTE_BOUND, SERVE_BOUND, WORKBOOK_BOUND, ORM_BOUND = 0.100, 100e6, 150e6, 15.0


@dataclass
class Found:
    streamed: Measurement
    orm: Measurement
    first_bytes: list[float]
    """Seconds until there was one, for each export of everything."""
    resident: int = 0
    workbook_seconds: float = 0
    workbook_resident: int = 0

    def print(self) -> None:
        self.streamed.print()
        self.orm.print()
        first, faster = max(self.first_bytes), self.orm.ratio(ORM)[0]
        print(f"\nFirst byte of all rows: after {first * 1000:.0f} ms (bound {FIRST_BYTE_BOUND * 1000:.0f})")
        print(f"The export is {faster:.0f} times as fast as the ORM (bound {ORM_BOUND:.0f})")
        print(f"Serving, also to a slow client: {self.resident / 1e6:.0f} MB resident (bound {SERVE_BOUND / 1e6:.0f})")
        print(
            f"Workbook of {WORKBOOK_ROWS:,} rows: {self.workbook_seconds:.0f} s, {self.workbook_resident / 1e6:.0f} MB"
            f" resident (bound {WORKBOOK_BOUND / 1e6:.0f})"
        )

    def met(self) -> bool:
        return (
            self.streamed.met()
            and max(self.first_bytes) <= FIRST_BYTE_BOUND
            and self.orm.ratio(ORM)[0] >= ORM_BOUND
            and self.resident <= SERVE_BOUND
            and self.workbook_resident <= WORKBOOK_BOUND
        )


def run(server: Server, connection: Connection, folder: Path, *, rounds: int) -> Found:
    ours = {
        **data.environment(folder / "backups", connection, data.programs_for(server)),
        "ADMIN_PASSWORD": "measured measured",
    }
    pghaven = Path(sys.executable).with_name("pghaven")
    plain = connection.environment(write_pass_file(folder, connection), application="benchmarks")
    copy, since = _copy(connection, folder), _since(connection, ORM_ROWS)
    first_bytes: list[float] = []
    with serving([pghaven, "serve", "--port", "0"], ours, folder) as (process, port):
        shown = run_watched([pghaven, "accounts", "token", "admin", "--json"], environment=ours)
        web = _Web(port, json.loads(shown.output)["token"], folder / "exported")
        # From here on the kernel's high-water mark is the exports', and not that of the start (proc(5), clear_refs).
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")
        streamed = measure(
            "Export of a usage log, streamed over HTTP",
            {
                PLAIN: lambda: _psql(server, copy, plain, folder / "copied"),
                CSV: lambda: first_bytes.append(web.fetch(format="csv")),
                NDJSON: lambda: web.fetch(format="ndjson"),
            },
            rounds=rounds,
            # NDJSON has every column's name in every row, and a rate of 0.7 of psql's is a time of 1 / 0.7.
            bounds={CSV: 1.1, NDJSON: 1 / 0.7},
        )
        web.fetch(format="csv", **{"from": since.isoformat()})  # both find these rows in memory, where new ones are
        orm = measure(
            f"The newest {ORM_ROWS:,} rows",
            {
                NOT_ORM: lambda: web.fetch(format="csv", **{"from": since.isoformat()}),
                ORM: lambda: _orm(plain, folder / "mapped", since),
            },
            rounds=rounds,
            bounds={},
        )
        web.slowly()
        found = Found(streamed, orm, first_bytes, resident_peak(process.pid))
    since = _since(connection, WORKBOOK_ROWS)
    started = time.monotonic()
    command = [pghaven, "logs", "export", data.NAME, "--format", "xlsx", "--from", since.isoformat(), "--json"]
    made = run_watched([*command, "-o", folder / "book.xlsx"], environment=ours)
    found.workbook_seconds, found.workbook_resident = time.monotonic() - started, made.resident
    return found


def _copy(connection: Connection, folder: Path) -> Path:
    """The statement that the export sends to the server, in a file for psql."""

    def never(name: str) -> DatabaseProfile:
        raise AssertionError(name)

    usage = UsageLogs(profile_of=never, applications=maps.load_maps(), clock=utc_now)
    with reading.reading(connection) as session:
        statement = formats.statement(usage.row_set(session, UsageFilter()), Format.CSV).as_string(session)
    path = folder / "copy.sql"
    path.write_text(f"SET TimeZone = 'UTC';\n{statement};\n", encoding="utf-8")
    return path


def _since(connection: Connection, rows: int) -> datetime:
    """The time of the oldest of so many newest rows."""
    with connect(connection, application="benchmarks") as session:
        found = session.execute(
            sql.SQL(
                "SELECT created_at FROM message_request WHERE deleted_at IS NULL"
                " ORDER BY created_at DESC, id DESC OFFSET {} LIMIT 1"
            ).format(sql.Literal(rows - 1))
        ).fetchone()
    assert found is not None
    moment = found[0]
    assert isinstance(moment, datetime)
    return moment


def _psql(server: Server, copy: Path, environment: dict[str, str], target: Path) -> None:
    with target.open("wb") as file:
        subprocess.run(
            [server.installation.program("psql"), "-X", "-q", "-f", copy],
            env={**environment, **server.installation.environment()},
            stdout=file,
            check=True,
        )


def _orm(environment: dict[str, str], target: Path, since: datetime) -> None:
    command = [sys.executable, "-m", "benchmarks.orm", str(target), since.isoformat()]
    subprocess.run(command, env=environment, check=True)


@dataclass(frozen=True)
class _Web:
    port: int
    token: str
    target: Path

    def fetch(self, **asked: str) -> float:
        """An export into a file, as it comes and with its last chunk; the seconds until the first byte of it."""
        with self._ask(asked) as connection, self.target.open("wb") as file:
            started = time.monotonic()
            buffer, end = bytearray(1 << 20), b""
            got = connection.recv_into(buffer)
            while b"\r\n\r\n" not in buffer[:got]:
                got += connection.recv_into(memoryview(buffer)[got:])
            assert b" 200 " in buffer[:20], buffer[:got]
            if not buffer[:got].partition(b"\r\n\r\n")[2]:
                got = connection.recv_into(buffer)
            first = time.monotonic() - started
            while got:
                file.write(memoryview(buffer)[:got])
                end = (end + bytes(buffer[max(0, got - 5) : got]))[-5:]
                got = connection.recv_into(buffer)
            assert end == b"0\r\n\r\n", end
            return first

    def slowly(self) -> None:
        """Take a little every second, and go away before the end."""
        with self._ask({"format": "csv"}) as connection:
            until = time.monotonic() + SLOW_SECONDS
            while time.monotonic() < until:
                connection.recv(SLOW_BYTES)
                time.sleep(1)

    def _ask(self, asked: dict[str, str]) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.sendall(
            f"GET /databases/{data.NAME}/logs/export?{urlencode(asked)} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\nConnection: close\r\n\r\n".encode()
        )
        return connection
