"""Exports of rows: streamed while the server makes them, or made by a job and kept for an hour for who asked."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg import sql

from storage import jsonfiles
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.errors import Conflict, NotFound, say
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobKind, JobState, Progress
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.logs import formats, reading, workbook
from storage.logs.formats import BEGINNINGS, STREAMED, Format
from storage.logs.rowset import RowSet
from storage.logs.stream import RowStream, pieces
from storage.postgres.snapshot import Session
from storage.staging import Staging

KEPT_FOR = timedelta(hours=1)

Source = Callable[[Session, Mapping[str, Any]], RowSet]
"""Finds the rows that parameters, plain JSON, ask for, with an open session of their database."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file that a job has made."""

    job: Job
    path: Path
    form: Format
    sha256: str
    bytes: int


class Exports:
    def __init__(
        self,
        folder: Path,
        *,
        sources: Mapping[str, Source],
        profile_of: Callable[[str], DatabaseProfile],
        runner: JobRunner,
        jobs: JobStore,
        staging: Staging,
        clock: Clock,
    ) -> None:
        """`sources` by what their rows are called in parameters."""
        self._folder, self._sources, self._profile_of = folder, sources, profile_of
        self._runner, self._jobs, self._staging, self._clock = runner, jobs, staging, clock
        runner.register(JobKind.EXPORT, self._make)

    def stream(self, database: str, rows: Mapping[str, Any], form: Format) -> RowStream:
        """All rows in a format that the server makes; to be closed. Raises what keeps it from beginning."""

        def statement(session: Session) -> sql.Composed:
            return formats.statement(self._row_set(session, rows), form)

        return RowStream(self._profile_of(database).connection, statement, beginning=BEGINNINGS[form])

    def count(self, database: str, rows: Mapping[str, Any]) -> int:
        """How many rows there are now."""
        with reading.reading(self._profile_of(database).connection) as session:
            return _count(session, self._row_set(session, rows))

    def start(
        self, database: str, rows: Mapping[str, Any], form: Format, *, name: str, by: str, background: bool = True
    ) -> tuple[Job, bool]:
        """Ask for a file; the job, and False when the same person had asked for the same already.

        `name` is what the file is called, without the end that says its format.
        """
        parameters = {"rows": dict(rows), "format": form.value, "file": f"{name}.{form.value}"}
        return self._runner.request(
            JobKind.EXPORT,
            database=database,
            parameters=parameters,
            by=by,
            background=background,
            same=lambda job: job.requested_by == by and _asked(job) == (dict(rows), form.value),
        )

    def job(self, job_id: str, *, by: str) -> Job:
        """The job of an export. Raises NotFound for another's, too: nobody is told what others export."""
        try:
            job = self._jobs.get(job_id)
        except NotFound:
            job = None
        if job is None or job.kind is not JobKind.EXPORT or job.requested_by != by:
            raise NotFound(say("There is no export %(id)s of yours.", id=job_id[:60]))
        return job

    def get(self, job_id: str, *, by: str) -> Export:
        """The finished file of an export. Raises Conflict before it is finished, NotFound when it is kept no longer."""
        job = self.job(job_id, by=by)
        if job.state is not JobState.COMPLETED:
            raise Conflict(say("This export is not finished."), advice=say("Look at its job."))
        path = self._folder / job.job_id / str(job.parameters["file"])
        if self._over(job) or not path.is_file():
            raise NotFound(say("This export was kept for an hour, which is over."), advice=say("Make it again."))
        return Export(job, path, Format(job.parameters["format"]), job.result["sha256"], job.result["bytes"])

    def until(self, job: Job) -> datetime | None:
        """When the file of a finished export goes; None where there is none."""
        return job.ended_at + KEPT_FOR if job.ended_at and job.state is JobState.COMPLETED else None

    def sweep(self) -> None:
        """Remove files that were kept for an hour, and those of jobs that did not end well."""
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            try:
                job = self._jobs.get(folder.name)
            except NotFound:
                job = None
            if job is None or (job.ended and self._over(job)):
                shutil.rmtree(folder, ignore_errors=True)

    def _over(self, job: Job) -> bool:
        until = self.until(job)
        return until is None or until <= self._clock()

    def _row_set(self, session: Session, rows: Mapping[str, Any]) -> RowSet:
        return self._sources[rows["of"]](session, rows)

    def _make(self, context: JobContext) -> None:
        job = context.job
        form, name = Format(job.parameters["format"]), str(job.parameters["file"])
        context.plan((("count", say("Count the rows")), ("write", say("Write the file"))))
        with (
            self._staging.work(job.job_id) as folder,
            reading.reading(self._profile_of(job.database).connection, seconds=0) as session,
        ):
            # One moment: the rows that are counted are the rows that are written.
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            context.step("count")
            rows = self._row_set(session, job.parameters["rows"])
            total = _count(session, rows)
            context.log(f"{total} rows to write as {form}")
            context.step("write")

            def on_rows(done: int) -> None:
                context.checkpoint()
                context.report(Progress(step="write", done=done, total=max(total, 1), rows=done))

            path = folder / name
            if form in STREAMED:
                written = _write(session, formats.statement(rows, form), path, form, on_rows=on_rows)
            else:
                written = workbook.write(session, rows, path, folder=folder, on_rows=on_rows)
            digest, size = _seal(path)
            context.log(f"{written} rows written: {size} bytes, SHA-256 {digest}")
            self._publish(path, job.job_id)
        context.result(file=name, rows=written, bytes=size, sha256=digest)

    def _publish(self, path: Path, job_id: str) -> None:
        target = self._folder / job_id
        self._folder.mkdir(exist_ok=True, mode=0o700)
        target.mkdir(exist_ok=True, mode=0o700)
        os.replace(path, target / path.name)
        jsonfiles.sync_folder(target)


def _count(session: Session, rows: RowSet) -> int:
    found = session.execute(rows.count).fetchone()
    return int(found[0]) if found else 0


def _write(
    session: Session, statement: sql.Composed, path: Path, form: Format, *, on_rows: Callable[[int], None]
) -> int:
    lines = -1 if form is Format.CSV else 0  # the headings are a line, too
    with path.open("wb") as file:
        file.write(BEGINNINGS[form])
        for piece, count in pieces(session, statement):
            file.write(piece)
            lines += count
            on_rows(max(lines, 0))
    return max(lines, 0)


def _seal(path: Path) -> tuple[str, int]:
    """Have the disk keep it; its SHA-256 and its size in bytes."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, path.stat().st_size


def _asked(job: Job) -> tuple[Any, Any]:
    return job.parameters.get("rows"), job.parameters.get("format")
