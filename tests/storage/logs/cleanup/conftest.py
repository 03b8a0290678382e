"""What the tests of clean-ups ask for: a hub with many requests, and a way to carry a clean-up out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from storage.errors import Message
from storage.jobs.model import Job, JobState
from storage.logs.cleanup.cleanups import Cleanups
from storage.logs.cleanup.request import CleanupRequest
from storage.opening import Storage
from storage.postgres.connection import Connection, connect

MANY = """
INSERT INTO message_request (created_at, user_id, key, provider_id, model, status_code, input_tokens, output_tokens,
                             cost_usd, deleted_at, blocked_by, provider_chain, special_settings, error_message)
SELECT now() - n * interval '7 minutes', 1 + n %% 3, 'sk-ana', 1 + n %% 2, 'model ' || n %% 5,
       (ARRAY[200, 200, 200, 429, 500, NULL])[1 + n %% 6], n, n * 2, n / 7.0,
       CASE WHEN n %% 11 = 0 THEN now() END, CASE WHEN n %% 13 = 0 THEN 'sensitive_word' END,
       CASE WHEN n %% 4 = 0 THEN '[{"reason": "request_success"}]'::jsonb WHEN n %% 4 = 1 THEN 'null'::jsonb END,
       '{"a": [1, null, "\\u20ac"]}', CASE n %% 5 WHEN 0 THEN '' WHEN 1 THEN E'two\\nlines, "quoted"\\\\ \\\\.' END
FROM generate_series(1, %(rows)s) n
"""
SUMS = """
SELECT sum(requests), sum(failed), sum(blocked), sum(input_tokens), sum(output_tokens), sum(total_tokens), sum(cost)
FROM (
    SELECT 1::numeric AS requests, (status_code IS DISTINCT FROM 200)::int AS failed,
           (blocked_by IS NOT NULL)::int AS blocked, coalesce(input_tokens, 0) AS input_tokens,
           coalesce(output_tokens, 0) AS output_tokens,
           coalesce(input_tokens, 0) + coalesce(output_tokens, 0) + coalesce(cache_read_input_tokens, 0)
           + greatest(coalesce(cache_creation_input_tokens, 0), coalesce(cache_creation_5m_input_tokens, 0)
                      + coalesce(cache_creation_1h_input_tokens, 0)) AS total_tokens, cost_usd AS cost
    FROM message_request WHERE deleted_at IS NULL AND created_at IS NOT NULL
    {kept}
) AS everything
"""
"""What the application's pages would sum up: of the log, and of what is kept of deleted rows."""
KEPT = """
UNION ALL SELECT requests, failed, blocked, input_tokens, output_tokens, total_tokens, cost FROM usage_daily
"""


@dataclass
class Hub:
    storage: Storage
    connection: Connection

    @property
    def cleanup(self) -> Cleanups:
        return self.storage.logs.cleanup

    def ask(self, statement: str, **values: Any) -> Any:
        """The first column of the first row."""
        row = self.rows(statement, **values)[0]
        return row[0]

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with connect(self.connection, application="tests") as session:
            cursor = session.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else [(None,)]

    def fill(self, rows: int) -> None:
        """So many requests, seven minutes apart, the newest seven minutes old."""
        self.rows(MANY, rows=rows)
        self.rows("VACUUM ANALYZE message_request")

    def ids(self, condition: str = "true") -> list[int]:
        return [row[0] for row in self.rows(f"SELECT id FROM message_request WHERE {condition} ORDER BY id")]

    def sums(self) -> Sequence[Any]:
        there = self.ask("SELECT to_regclass('usage_daily') IS NOT NULL")
        return tuple(self.rows(SUMS.format(kept=KEPT if there else ""))[0])

    def digest(self) -> Any:
        """Every column of every row."""
        return self.ask("SELECT md5(string_agg(r::text, E'\\n' ORDER BY id)) FROM message_request r")

    def run(self, request: CleanupRequest, **options: Any) -> Job:
        """Carry a clean-up out; the job as it ended."""
        job, _new = self.cleanup.start("hub", request, by="ana", background=False, **options)
        return self.storage.runner.run_here(job)

    def cleaned(self, request: CleanupRequest, **options: Any) -> Job:
        job = self.run(request, **options)
        assert job.state is JobState.COMPLETED, (job.error, self.log(job))
        return job

    def put_back(self, archive_id: str, **options: Any) -> Job:
        job, _new = self.cleanup.put_back(archive_id, by="ana", background=False, **options)
        job = self.storage.runner.run_here(job)
        assert job.state is JobState.COMPLETED, (job.error, self.log(job))
        return job

    def log(self, job: Job) -> list[str]:
        return [line.text for line in self.storage.jobs.log(job.job_id)]


@pytest.fixture
def small(hub: Storage, hub_database: Connection) -> Hub:
    """The small hub of `tests/hub.sql`."""
    return Hub(hub, hub_database)


def refusal_of(job: Job) -> str:
    """Effect and cause of a job that did not complete, as a person reads them."""
    assert job.error is not None
    return " ".join(str(Message.from_json(job.error[part])) for part in ("effect", "cause"))
