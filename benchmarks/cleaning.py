"""Cleaning up half of the requests against one DELETE: batches of any table, and of the usage log, whose sums by day
are kept; beside it one statement that deletes and keeps the same sums. Also when the requests are bunched in time.

All begin with a fresh copy of the database. A batch may take 50 ms: that is what a writer of the same rows would wait.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import LiteralString

from psycopg import sql

from benchmarks.pairs import Measurement
from storage.jobs.model import Job, JobState
from storage.logs.cleanup.request import CleanupRequest
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from storage.settings import Settings
from tests.servers import Server

ONE, OURS, OURS_SUMMED = "one DELETE", "batches, as for any table", "batches, with sums by day"
ONE_SUMMED = "one statement that deletes and keeps the same sums"
ONE_WHOLE, OURS_WHOLE = "that statement, then VACUUM (ANALYZE)", "the whole job: count, batches, VACUUM"
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


SUMS = """
CREATE TABLE usage_by_hand (day date, user_id int, model text, requests bigint, failed bigint, blocked bigint,
    input_tokens bigint, output_tokens bigint, cache_write_5m bigint, cache_write_1h bigint, cache_read bigint,
    total_tokens bigint, cost numeric)
"""
DELETE_SUMMED = """
WITH gone AS (
    DELETE FROM message_request WHERE created_at <= %s
    RETURNING created_at, user_id, model, status_code, blocked_by, input_tokens, output_tokens, cost_usd, deleted_at,
        cache_creation_input_tokens, cache_creation_5m_input_tokens, cache_creation_1h_input_tokens,
        cache_read_input_tokens)
INSERT INTO usage_by_hand
SELECT created_at::date, user_id, model, count(*), count(*) FILTER (WHERE status_code IS DISTINCT FROM 200),
       count(blocked_by), sum(input_tokens), sum(output_tokens), sum(cache_creation_5m_input_tokens),
       sum(cache_creation_1h_input_tokens), sum(cache_read_input_tokens),
       sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0) + coalesce(cache_read_input_tokens, 0)
           + greatest(coalesce(cache_creation_input_tokens, 0), coalesce(cache_creation_5m_input_tokens, 0)
                      + coalesce(cache_creation_1h_input_tokens, 0))), sum(cost_usd)
FROM gone WHERE deleted_at IS NULL GROUP BY 1, 2, 3
"""
"""What somebody would write by hand who wants the sums to survive."""


def run(server: Server, connection: Connection, folder: Path, *, rounds: int) -> tuple[list[Measurement], float]:
    """The measurements, and the longest batch of all in milliseconds."""
    before = _make(server, connection)
    results, longest = [], 0.0
    for name, title in ((SPREAD, "Cleaning up"), (BUNCHED, "Cleaning up, bunched in time")):
        timed = Measurement(
            title,
            {ONE: [], OURS_SUMMED: [], OURS: [], ONE_SUMMED: []},
            bounds={OURS_SUMMED: BOUND, OURS: BOUND},
        )
        whole = Measurement(f"{title}, all of it", {ONE_WHOLE: [], OURS_WHOLE: []})
        for number in range(rounds):
            deleted, _ = _one(_fresh(server, name), "DELETE FROM message_request WHERE created_at <= %s", before)
            of_map = _ours(_fresh(server, name), folder, CleanupRequest(before=before))
            any_table = _ours(_without_map(_fresh(server, name)), folder, CleanupRequest(
                table="public.requests", time_column="created_at", before=before))  # fmt: skip
            by_hand, vacuumed = _one(_fresh(server, name), DELETE_SUMMED, before)
            for measurement, key, seconds in (
                (timed, ONE, deleted),
                (timed, OURS_SUMMED, _took(of_map, "delete")),
                (timed, OURS, _took(any_table, "delete")),
                (timed, ONE_SUMMED, by_hand),
                (whole, ONE_WHOLE, by_hand + vacuumed),
                (whole, OURS_WHOLE, _of(of_map)),
            ):
                measurement.seconds[key].append(seconds)
            longest = max(longest, *(float(job.result["longest_ms"]) for job in (any_table, of_map)))
            print(
                f"  round {number + 1}, {title.lower()}: {deleted:.2f} s in one, {_took(any_table, 'delete'):.2f} s in"
                f" batches; with sums {by_hand:.2f} s in one, {_took(of_map, 'delete'):.2f} s in batches; the longest"
                f" {any_table.result['longest_ms']} and {of_map.result['longest_ms']} ms",
                flush=True,
            )
            for key, job in ((OURS, any_table), (OURS_SUMMED, of_map)):
                timed.remarks[key] = f"{job.result['rows']:,} rows, {job.result['batches']} batches"
        results += [timed, whole]
    server.drop_database(COPY)
    return results, longest


def _make(server: Server, connection: Connection) -> datetime:
    """Two databases to copy, with the requests alone; the moment that parts the older half from the newer."""
    server.create_database(SPREAD, template=connection.dbname, by_files=True)
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
    server.create_database(BUNCHED, template=SPREAD, by_files=True)
    with connect(connection.to(BUNCHED), application="benchmarks") as session:
        [first] = session.execute("SELECT min(created_at) FROM message_request").fetchone() or (None,)
        session.execute(BUNCH, {"first": first, "before": before})
        session.execute("VACUUM (FULL, ANALYZE) message_request")
        session.execute("VACUUM message_request")
    return before


def _fresh(server: Server, template: str) -> Connection:
    server.drop_database(COPY)
    connection = server.create_database(COPY, template=template, by_files=True)
    with connect(connection, application="benchmarks") as session:
        session.execute("CHECKPOINT")
        # What is measured begins with the same pages in memory.
        session.execute("SELECT count(*) FROM message_request WHERE cost_usd < 0")
    return connection


def _without_map(connection: Connection) -> Connection:
    """The same table under a name that no application's map has."""
    with connect(connection, application="benchmarks") as session:
        session.execute("ALTER TABLE message_request RENAME TO requests")
    return connection


def _one(connection: Connection, statement: LiteralString, before: datetime) -> tuple[float, float]:
    """Seconds of the statement, and of VACUUM after it."""
    with connect(connection, application="benchmarks") as session:
        session.execute(SUMS)
        started = time.monotonic()
        session.execute(statement, [before])
        deleted = time.monotonic()
        session.execute("VACUUM (ANALYZE) message_request")
        return deleted - started, time.monotonic() - deleted


def _ours(connection: Connection, folder: Path, request: CleanupRequest) -> Job:
    storage = _storage(connection, folder / "cleaning")
    try:
        [profile] = storage.databases.all()
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
