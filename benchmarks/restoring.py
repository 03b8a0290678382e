"""Replace, against plain pg_restore -j2 into an empty database; and how long readers are shut out."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks import data
from benchmarks.pairs import Measurement, measure, run_watched
from storage.postgres.connection import Connection, connect, write_pass_file
from tests.servers import Server

PLAIN, REPLACE = "pg_restore -j2 into an empty database", "restores run --replace, whole"


def run(
    server: Server, connection: Connection, folder: Path, backup_id: str, *, rounds: int
) -> tuple[Measurement, list[float], int]:
    """The measurement, the gaps in milliseconds that a reader saw, and the peak resident memory in bytes."""
    ours = data.environment(folder / "backups", connection, server.installation.folder)
    pghaven = Path(sys.executable).with_name("pghaven")
    shown = run_watched([pghaven, "backups", "show", backup_id, "--json"], environment=ours)
    archive = json.loads(shown.output)["archive"]
    beside = connection.to("plain_restore")
    environment = {
        **beside.environment(write_pass_file(folder, connection), application="benchmarks"),
        **server.installation.environment(),
    }
    gaps: list[float] = []
    peak = 0

    def plain() -> None:
        server.create_database(beside.dbname)
        subprocess.run(
            [server.installation.program("pg_restore"), "-j2", f"--dbname={beside.dbname}", archive],
            env=environment, check=True,
        )  # fmt: skip

    def replace() -> None:
        nonlocal peak
        with reader(connection) as seen:
            watched = run_watched(
                [pghaven, "restores", "run", backup_id, "--replace", "--yes", "--json"], environment=ours
            )
        peak = max(peak, watched.resident)
        gaps.append(max(seen) * 1000)

    def tidy() -> None:
        with connect(server.connection, application="benchmarks") as session:
            names = session.execute(
                "SELECT datname::text FROM pg_database WHERE datname = %s OR datname LIKE %s",
                (beside.dbname, f"{connection.dbname}_before_%"),
            ).fetchall()
        for (name,) in names:
            server.drop_database(name)
        with connect(server.connection, application="benchmarks") as session:
            session.execute("CHECKPOINT")

    result = measure(
        f"Replace, PostgreSQL {server.installation.version}",
        {PLAIN: plain, REPLACE: replace},
        rounds=rounds,
        bounds={REPLACE: 1.2},
        between=tidy,
    )
    return result, gaps, peak


@contextmanager
def reader(connection: Connection) -> Iterator[list[float]]:
    """A reader that connects anew every 5 ms and asks for a row; yields the seconds between two answers."""
    ended = threading.Event()
    gaps: list[float] = [0.0]

    def read() -> None:
        answered = time.monotonic()
        while not ended.is_set():
            try:
                with connect(connection, application="reader") as session:
                    session.execute("SELECT id FROM message_request LIMIT 1").fetchone()
            except Exception as error:  # shut out: the next try comes at once
                assert not isinstance(error, psycopg.errors.UndefinedTable), "a reader saw a half-made database"
                time.sleep(0.001)
                continue
            now = time.monotonic()
            gaps.append(now - answered)
            answered = now
            time.sleep(0.005)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield gaps
    finally:
        ended.set()
        thread.join()
