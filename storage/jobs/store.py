"""Jobs on disk: the record, the log beside it, and the request to stop. Any process of the box may read and cancel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from storage import reserve
from storage.clock import Clock, to_text
from storage.errors import Conflict, InvalidRecord, JobCancelled, Message, NotFound, StorageError, say, say_count
from storage.jobs.model import Job, JobKind, JobState
from storage.jsonfiles import Records
from storage.locks.filelocks import FileLocks

INTERRUPTED = StorageError(
    say("pghaven ended while this job was running."),
    advice=say("Start it again. What it had half made is swept away."),
)


def interrupted(job: Job) -> StorageError:
    """Why a job has no end of its own; of one that works row after row, with what it had done."""
    rows = job.progress.rows or 0
    begun = {step.code for step in job.steps if step.started_at}
    if job.kind is JobKind.CLEAN_UP and "delete" in begun:
        if job.progress.step != "delete":  # those were rows that were archived
            rows = 0
        effect = (
            say_count(
                "At least %(count)s row was deleted and stays deleted.",
                "At least %(count)s rows were deleted and stay deleted.",
                count=rows,
            )
            if rows
            else say("Some rows may have been deleted; they stay deleted.")
        )
        advice = say("Start it again: it goes on where this one has ended.")
        return StorageError(INTERRUPTED.cause, effect=effect, advice=advice)
    if job.kind is JobKind.GENERATE and "make" in begun:
        effect = say("Rows that were made up stay: %(rows)s or more.", rows=rows)
        return StorageError(INTERRUPTED.cause, effect=effect, advice=say("Clean them up, or make the others up, too."))
    return INTERRUPTED


@dataclass(frozen=True, slots=True)
class LogLine:
    at: str
    """ISO 8601, UTC."""
    text: str


class JobStore:
    def __init__(
        self,
        folder: Path,
        *,
        locks: FileLocks,
        clock: Clock,
        on_damaged: Callable[[Path, InvalidRecord], None] = lambda path, error: None,
    ) -> None:
        self.folder, self.locks, self._clock = folder, locks, clock
        self._records: Records[Job] = Records(
            folder,
            decode=Job.from_json,
            encode=Job.to_json,
            identify=lambda job: job.job_id,
            on_damaged=on_damaged,
        )

    def save(self, job: Job, durable: bool = True) -> None:
        self._records.save(job, durable=durable)

    def get(self, job_id: str) -> Job:
        try:
            return self._records.get(job_id)
        except NotFound:
            raise NotFound(self.unknown(job_id)) from None

    @staticmethod
    def unknown(job_id: str) -> Message:
        """What is said of a job that there is not."""
        return say("There is no job %(id)s.", id=job_id[:80])

    def newest_first(self) -> list[Job]:
        return self._records.all()[::-1]

    def active(self, database: str | None = None, kind: JobKind | None = None) -> list[Job]:
        """Jobs that wait or run, oldest first."""
        return [
            job
            for job in self._records.all()
            if not job.ended and database in (None, job.database) and kind in (None, job.kind)
        ]

    @staticmethod
    def lock_name(job_id: str) -> str:
        """The lock that the process of a job holds from its request to its end; free means the process is gone."""
        return f"job-{job_id}"

    def ask_to_stop(self, job_id: str, *, by: str) -> Job:
        """Ask a waiting or running job to end, in whichever process it is. Raises Conflict when it has ended."""
        job = self.get(job_id)
        if job.ended:
            raise Conflict(say("This job has already ended."))
        stop = self._stop_file(job_id)
        reserve.with_room(stop, lambda: stop.write_text(by, encoding="utf-8"))
        return job

    def asked_to_stop(self, job_id: str) -> str | None:
        try:
            return self._stop_file(job_id).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def forget_stop(self, job_id: str) -> None:
        self._stop_file(job_id).unlink(missing_ok=True)

    def append_log(self, job_id: str, text: str) -> None:
        """Add lines to the job's log. Control characters are made visible: servers choose what they say.

        A line that finds no room on the disk is left out: no job fails for its log.
        """
        moment = to_text(self._clock())
        lines = [f"{moment} {''.join(_visible(letter) for letter in line)}\n" for line in text.splitlines()]
        try:
            with self._log_file(job_id).open("a", encoding="utf-8") as log:
                log.writelines(lines)
        except OSError as error:
            if not reserve.is_full(error):
                raise

    def log(self, job_id: str, *, last: int | None = None) -> list[LogLine]:
        try:
            lines = self._log_file(job_id).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        chosen = lines if last is None else lines[-last:]
        return _lines(chosen)

    def log_after(self, job_id: str, offset: int) -> tuple[list[LogLine], int]:
        """The whole lines behind an offset in bytes, and the offset behind them."""
        try:
            with self._log_file(job_id).open("rb") as file:
                file.seek(offset)
                new = file.read()
        except FileNotFoundError:
            return [], offset
        whole = new[: new.rfind(b"\n") + 1]
        return _lines(whole.decode(errors="replace").splitlines()), offset + len(whole)

    def log_file(self, job_id: str) -> Path:
        """The log as a file, one line for each event beginning with its UTC time; may not exist yet."""
        return self._log_file(self.get(job_id).job_id)

    def mark_interrupted(self, *, at: datetime | None = None) -> list[Job]:
        """Close the records of jobs whose process is gone; returns them as they are now."""
        closed = []
        for job in self.active():
            if self.locks.is_held(self.lock_name(job.job_id)):
                continue
            # Read again: a job saves its end before it lets go of its lock, so one that ended just now says so here.
            job = self.get(job.job_id)
            if job.ended:
                continue
            now = at or self._clock()
            if (by := self.asked_to_stop(job.job_id)) is not None and job.state is JobState.WAITING:
                job = job.with_(state=JobState.CANCELLED, ended_at=now, error=JobCancelled(by).to_json())
            else:
                job = job.with_(state=JobState.INTERRUPTED, ended_at=now, error=interrupted(job).to_json())
            self.save(job)
            self.append_log(job.job_id, "interrupted: the process of this job is gone")
            self.forget_stop(job.job_id)
            self.locks.remove(self.lock_name(job.job_id))
            closed.append(job)
        return closed

    def _stop_file(self, job_id: str) -> Path:
        return self._records.path(job_id).with_suffix(".stop")

    def _log_file(self, job_id: str) -> Path:
        return self._records.path(job_id).with_suffix(".log")


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else f"\\x{ord(letter):02x}"


def _lines(texts: Sequence[str]) -> list[LogLine]:
    return [LogLine(*text.partition(" ")[::2]) for text in texts]
