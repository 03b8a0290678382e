"""Cleaning up half of the requests, sums by day kept, against one DELETE; also when they are bunched in time.

Both begin with a fresh copy of the database. A batch may take 50 ms: that is what a writer of the same rows would wait.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from psycopg import sql

from benchmarks.pairs import Measurement
from storage.jobs.model import Job, JobState
from storage.logs.cleanup.request import CleanupRequest
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from storage.settings import Settings
from tests.servers import Server

ONE, OURS = "one DELETE", "batches, with sums by day"
ONE_WHOLE, OURS_WHOLE = "one DELETE, then VACUUM (ANALYZE)", "the whole job: count, batches, VACUUM"
BOUND, LONGEST_MS = 1.15, 50
SPREAD, BUNCHED = "cleaning_spread", "cleaning_bunched"
COPY = "cleaning"
BUNCH = """
UPDATE message_request SET created_at = CASE
    WHEN id %% 10 < 3 THEN %(first)s::timestamptz
    WHEN id %% 10 < 6 THEN %(first)s::timestamptz + interval '1 day' + id * interval '1 microsecond'
    ELSE created_at END
WHERE created_at <= %(before)s
"""
"""Of the old ones three tenths at one moment, and three tenths within two seconds."""


def run(server: Server, connection: Connection, folder: Path, *, rounds: int) -> tuple[list[Measurement], float]:
    """The measurements, and the longest batch of all in milliseconds."""
    before = _make(server, connection)
    results, longest = [], 0.0
    for name, title in ((SPREAD, "Cleaning up"), (BUNCHED, "Cleaning up, bunched in time")):
        batches = Measurement(title, {ONE: [], OURS: []}, bounds={OURS: BOUND})
        whole = Measurement(f"{title}, all of it", {ONE_WHOLE: [], OURS_WHOLE: []})
        for number in range(rounds):
            deleted, vacuumed = _one(_fresh(server, name), before)
            batches.seconds[ONE].append(deleted)
            whole.seconds[ONE_WHOLE].append(deleted + vacuumed)
            job = _ours(_fresh(server, name), folder, before)
            batches.seconds[OURS].append(_took(job, "delete"))
            whole.seconds[OURS_WHOLE].append(_of(job))
            longest = max(longest, float(job.result["longest_ms"]))
            print(
                f"  round {number + 1}, {title.lower()}: {deleted:.2f} s in one, {_took(job, 'delete'):.2f} s in"
                f" {job.result['batches']} batches, the longest {job.result['longest_ms']} ms",
                flush=True,
            )
            batches.remarks[OURS] = f"{job.result['rows']:,} rows, {job.result['batches']} batches"
        results += [batches, whole]
    server.drop_database(COPY)
    return results, longest


def _make(server: Server, connection: Connection) -> datetime:
    """Two databases to copy, with the requests alone; the moment that parts the older half from the newer."""
    server.create_database(SPREAD, template=connection.dbname)
    with connect(connection.to(SPREAD), application="benchmarks") as session:
        found = session.execute("SELECT tablename::text FROM pg_tables WHERE tablename LIKE 'pgbench%'")
        for (table,) in found.fetchall():
            session.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))
        row = session.execute(
            "SELECT created_at FROM message_request ORDER BY created_at"
            " OFFSET (SELECT count(*) / 2 - 1 FROM message_request) LIMIT 1"
        ).fetchone()
        assert row is not None
        [before] = row
    server.create_database(BUNCHED, template=SPREAD)
    with connect(connection.to(BUNCHED), application="benchmarks") as session:
        [first] = session.execute("SELECT min(created_at) FROM message_request").fetchone() or (None,)
        session.execute(BUNCH, {"first": first, "before": before})
        session.execute("VACUUM (FULL, ANALYZE) message_request")
        session.execute("VACUUM message_request")
    return before


def _fresh(server: Server, template: str) -> Connection:
    server.drop_database(COPY)
    connection = server.create_database(COPY, template=template)
    with connect(connection, application="benchmarks") as session:
        session.execute("CHECKPOINT")
        # What is measured begins with the same pages in memory.
        session.execute("SELECT count(*) FROM message_request WHERE cost_usd < 0")
    return connection


def _one(connection: Connection, before: datetime) -> tuple[float, float]:
    with connect(connection, application="benchmarks") as session:
        started = time.monotonic()
        session.execute("DELETE FROM message_request WHERE created_at <= %s", [before])
        deleted = time.monotonic()
        session.execute("VACUUM (ANALYZE) message_request")
        return deleted - started, time.monotonic() - deleted


def _ours(connection: Connection, folder: Path, before: datetime) -> Job:
    storage = _storage(connection, folder / "cleaning")
    try:
        [profile] = storage.databases.all()
        request = CleanupRequest(before=before)
        job, _new = storage.logs.cleanup.start(profile.name, request, by="benchmarks", background=False)
        job = storage.runner.run_here(job)
    finally:
        storage.stop()
    assert job.state is JobState.COMPLETED, job.error
    return job


def _storage(connection: Connection, folder: Path) -> Storage:
    folder.mkdir(exist_ok=True, mode=0o700)
    password = connection.password.reveal if connection.password else ""
    url = (
        f"postgresql://{connection.user}:{password}@/{connection.dbname}?host={connection.host}&port={connection.port}"
    )
    return open_storage(Settings(data_folder=folder, database_url=Secret(url), database_variable="DATABASE_URL"))


def _took(job: Job, code: str) -> float:
    [step] = [step for step in job.steps if step.code == code]
    assert step.started_at and step.ended_at
    return (step.ended_at - step.started_at).total_seconds()


def _of(job: Job) -> float:
    assert job.started_at and job.ended_at
    return (job.ended_at - job.started_at).total_seconds()
