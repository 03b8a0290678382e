"""Made-up rows for tests: asked for and carried out, with a look into the database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from storage.jobs.model import Job
from storage.logs.generator.request import GeneratorRequest
from storage.opening import Storage
from storage.postgres.connection import Connection, connect

UNTIL = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
ASKED = GeneratorRequest(rows=12_345, days=30, seed=7, until=UNTIL)


def make(storage: Storage, request: GeneratorRequest = ASKED, *, stop_at: int | None = None) -> Job:
    job, _ = storage.logs.generator.start("made", request, by="ana", background=False)

    def look(now: Job) -> None:
        if stop_at and (now.progress.rows or 0) >= stop_at and not storage.jobs.asked_to_stop(job.job_id):
            storage.jobs.ask_to_stop(job.job_id, by="ben")

    return storage.runner.run_here(job, on_progress=look)


def ask(connection: Connection, question: str) -> list[tuple[Any, ...]]:
    with connect(connection, application="tests", options="-c TimeZone=UTC") as session:
        return session.execute(question.encode()).fetchall()
