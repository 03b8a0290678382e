"""Replace, against plain pg_restore -j2 into an empty database; and how long readers are shut out.

The same reader asks the database without a pause while either of them runs: it takes its part of the cores from both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks import data
from benchmarks.pairs import Measurement, measure, run_watched
from storage.errors import StorageError
from storage.postgres.connection import Connection, connect, write_pass_file
from tests.servers import Server

PLAIN, REPLACE = "pg_restore -j2 into an empty database", "restores run --replace, whole"


def run(
    server: Server, connection: Connection, folder: Path, backup_id: str, *, rounds: int
) -> tuple[Measurement, list[float], int]:
    """The measurement, the gaps in milliseconds that a reader saw, and the peak resident memory in bytes."""
    ours = data.environment(folder / "backups", connection, data.programs_for(server))
    pghaven = Path(sys.executable).with_name("pghaven")
    shown = run_watched([pghaven, "backups", "show", backup_id, "--json"], environment=ours)
    archive = json.loads(shown.output)["archive"]
    beside = connection.to("plain_restore")
    # The one that pghaven uses: a server 15's own cannot read what 16 dumped of it.
    installation = data.programs_for(server)[-1]
    environment = {
        **beside.environment(write_pass_file(folder, connection), application="benchmarks"),
        **installation.environment(),
    }
    gaps: list[float] = []
    peak = 0

    def plain() -> None:
        server.create_database(beside.dbname)
        with reader(connection):
            subprocess.run(
                [installation.program("pg_restore"), "-j2", f"--dbname={beside.dbname}", archive],
                env=environment, check=True,
            )  # fmt: skip

    def replace() -> None:
        nonlocal peak
        with reader(connection) as shut_out:
            watched = run_watched(
                [pghaven, "restores", "run", backup_id, "--replace", "--yes", "--json"], environment=ours
            )
        peak = max(peak, watched.resident)
        assert shut_out, "the reader did not see the swap"
        gaps.append(max(shut_out) * 1000)

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
    """A reader that asks for a row every 5 ms, and connects anew when its session was ended, as an application's pool
    does; yields the times in seconds in which it was shut out.

    Such a time lies between two answers, when a try was refused in between or the second came from another database.
    A pause without either is the machine's: the reader waits for a core as everybody does.
    """
    ended = threading.Event()
    shut_out: list[float] = []

    def read() -> None:
        answered, database, refused = time.monotonic(), None, False
        while not ended.is_set():
            try:
                with connect(connection, application="reader") as session:
                    while not ended.is_set():
                        row = session.execute(_ASKED, prepare=True).fetchone()
                        now = time.monotonic()
                        assert row is not None and row[1] is not None, "a reader saw a half-made database"
                        if refused or database not in (None, row[0]):
                            shut_out.append(now - answered)
                        answered, database, refused = now, row[0], False
                        time.sleep(0.005)
            except psycopg.errors.UndefinedTable as error:
                raise AssertionError("a reader saw a half-made database") from error
            except (psycopg.Error, StorageError):  # shut out: the next try comes at once
                refused = True
                time.sleep(0.001)

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read)
        try:
            yield shut_out
        finally:
            ended.set()
        reading.result()


_ASKED = """
SELECT (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
       (SELECT id FROM message_request LIMIT 1)
"""
