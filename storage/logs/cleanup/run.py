"""One clean-up, as a job: count, archive where that is wanted, delete in batches, make the space usable again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from storage.applications.maps import ApplicationMap
from storage.crashpoints import crashpoint
from storage.databases.profile import DatabaseProfile
from storage.errors import Message, StorageError, say, say_count
from storage.jobs.context import JobContext
from storage.jobs.model import Progress
from storage.jobs.turns import turn
from storage.locks.filelocks import FileLocks
from storage.logs.cleanup import batches, deleting, preview, rows, statistics
from storage.logs.cleanup import target as targets
from storage.logs.cleanup.archive import ArchiveFormat
from storage.logs.cleanup.archiving import Archiver
from storage.logs.cleanup.batches import Batch, Pace, Shape
from storage.logs.cleanup.condition import condition
from storage.logs.cleanup.deleting import Tally
from storage.logs.cleanup.request import NOTHING_DELETED, CleanupRequest
from storage.logs.cleanup.statistics import Daily
from storage.logs.cleanup.target import LogTarget, TableFacts
from storage.postgres.connection import Connection, describe
from storage.postgres.snapshot import Session
from storage.postgres.watchdog import patiently

MOST_PASSES = 4
"""How often what was in somebody's hands, or was moved meanwhile, is tried again."""
PAUSE_SECONDS = 1.0
_FIRST, _LEAST, _MOST = 1000, 100, 10_000
_AT_LENGTH = {
    "statement_timeout": "0",
    "lock_timeout": "5s",
    "enable_seqscan": "on",
    # What is left of many rows are few, and the planner's numbers know nothing of it.
    "max_parallel_workers_per_gather": "2",
    "parallel_setup_cost": "0",
    "parallel_tuple_cost": "0",
}
"""Settings for what goes through a whole table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    profile_of: Callable[[str], DatabaseProfile]
    applications: Collection[ApplicationMap]
    locks: FileLocks
    archiver: Archiver

    def run(self, context: JobContext) -> None:
        request = CleanupRequest.from_json(context.job.parameters["request"]).checked()
        archive: dict[str, str] | None = context.job.parameters.get("archive")
        context.plan(_steps(archived=archive is not None))
        tally = Tally()
        with _telling(tally), turn(self.locks, context):
            connection = self.profile_of(context.job.database).connection
            with deleting.session_for(connection) as session:
                target = targets.find(session, self.applications, request)
                run = _Run(context, connection, session, target, request, tally, self.archiver)
                run.carry_out(archive)


class _Run:
    def __init__(
        self,
        context: JobContext,
        connection: Connection,
        session: Session,
        target: LogTarget,
        request: CleanupRequest,
        tally: Tally,
        archiver: Archiver,
    ) -> None:
        self.context, self.connection, self.session = context, connection, session
        self.target, self.tally = target, tally
        self.archiver = archiver
        self.request = request.at(preview.now(session))
        self.condition = condition(target, self.request)
        self.expected = 0
        self.archived = False

    def carry_out(self, archive: dict[str, str] | None) -> None:
        context = self.context
        context.step("count")
        targets.refuse_what_takes_others_along(self.session, self.target)
        before = targets.facts(self.session, self.target)
        self.expected = self._count()
        context.result(table=self.target.full, expected=self.expected, bytes_before=before.total_bytes)
        context.log(f"{self.expected} rows of {self.target.full} fulfil the condition")
        if archive is not None:
            self._archive(archive)
        left = 0
        vacuumed = False
        if self.expected:
            context.step("delete")
            try:
                left = self._delete(before)
            finally:
                self._note_deleted()
            context.step("vacuum")
            vacuumed = self._vacuum()
        self._report(before, left=left, vacuumed=vacuumed)

    def _note_deleted(self) -> None:
        """However the deleting ends: the archive and the job say how many rows are gone."""
        deleted = self.tally.rows
        self.context.result(rows=deleted)
        if archive_id := self.context.job.result.get("archive_id"):
            self.archiver.archives.change(archive_id, lambda one: one.with_(deleted=deleted))

    def _count(self) -> int:
        return int(self._at_length(lambda: preview.count(self.session, self.target, self.request)))

    def _archive(self, wanted: dict[str, str]) -> None:
        self.context.step("archive")
        archive = self.archiver.archive(
            self.context,
            self.session,
            self.target,
            self.request,
            self.condition,
            destination=wanted["destination"],
            form=ArchiveFormat(wanted["form"]),
            expected=self.expected,
        )
        self.expected, self.archived = archive.rows, True
        self.context.result(archive_id=archive.archive_id, archived=archive.rows)
        crashpoint("cleanup:archived")

    def _delete(self, before: TableFacts) -> int:
        """Delete until nothing is left that can be had; returns how many rows are."""
        daily = statistics.of(self.target)
        if daily is not None:
            statistics.ensure(self.session, daily)
        walk = self._versions() if self.archived else self._first(before)
        for number in range(MOST_PASSES):
            missed = self.tally.in_the_way
            self._pass(walk, daily)
            # Also where nobody was in the way: a row that the application moves may be missed by going through blocks.
            if self.tally.rows >= self.expected and self.tally.in_the_way == missed:
                return 0
            left, walk = self._look_again(before)
            if not left or number == MOST_PASSES - 1:
                return left
            self.context.log(f"{left} rows are left: in use, moved, or far from all others; going there")
            if self.tally.in_the_way > missed:
                self._pause()
        raise AssertionError("the last pass returns")

    def _first(self, before: TableFacts) -> Iterator[Batch]:
        return batches.of_table(
            self.session, self.target, self.request, before, expected=self.expected, condition=self.condition
        )

    def _look_again(self, before: TableFacts) -> tuple[int, Iterator[Batch]]:
        """How many rows are left, and the way to them."""
        if self.archived:
            return self._left(), self._versions()
        places = self._at_length(lambda: batches.find_left(self.session, self.target, self.condition))
        return sum(place.rows for place in places), batches.of_left(places, before)

    def _pass(self, walk: Iterator[Batch], daily: Daily | None) -> None:
        """Go one way to its end."""
        with ExitStack() as opened:
            # The versions that are in the archive stand in a table that only this session sees.
            sessions: Sequence[Session] = [self.session]
            if not self.archived:
                sessions = opened.enter_context(deleting.workers(self.connection, self.session))
            deleting.delete_all(
                sessions, self.target, self.condition, walk, self.tally, daily=daily, after_each=self._after_each
            )
        if daily is not None:
            self.session.execute(daily.merge())

    def _versions(self) -> Iterator[Batch]:
        """Exactly the versions of rows that are in the archive."""
        pace = Pace(_FIRST, _LEAST, _MOST)
        done = 0
        shape = Shape(
            sql.SQL("a.number > $1 AND a.number <= $2 AND {}").format(rows.SAME_VERSION),
            using=sql.SQL("{} AS a").format(rows.ARCHIVED),
        )
        while done < self.expected:
            until = done + pace.size
            yield Batch(shape, (done, until), pace)
            done = until

    def _left(self) -> int:
        """Archived versions that are there still."""
        statement = sql.SQL("SELECT count(*) FROM {} AS r, {} AS a WHERE {}").format(
            self.target.name, rows.ARCHIVED, rows.SAME_VERSION
        )
        [row] = self._at_length(lambda: self.session.execute(statement).fetchall())
        return int(row[0])

    def _after_each(self) -> None:
        gone = self.tally.rows
        total = max(self.expected, gone, 1)
        done, whole = (total + gone, total * 2) if self.archived else (gone, total)
        self.context.report(Progress(step="delete", done=done, total=whole, rows=gone, item=self.target.full))
        self.context.checkpoint()

    def _pause(self) -> None:
        until = time.monotonic() + PAUSE_SECONDS
        while time.monotonic() < until:
            self.context.checkpoint()
            time.sleep(0.05)

    def _vacuum(self) -> bool:
        """Whether the server has done it: it may leave a table out that the role does not own, and only warns."""
        warnings: list[str] = []

        def heard(said: psycopg.errors.Diagnostic) -> None:
            if said.severity_nonlocalized == "WARNING":
                warnings.append(said.message_primary or "")

        self.session.add_notice_handler(heard)
        try:
            statement = sql.SQL("VACUUM (ANALYZE) {}").format(self.target.name)
            self._at_length(lambda: self.session.execute(statement))
        except psycopg.errors.LockNotAvailable as error:
            warnings.append(str(error))
        finally:
            self.session.remove_notice_handler(heard)
        for warning in warnings:
            self.context.log(f"warning: {warning}")
        return not warnings

    def _report(self, before: TableFacts, *, left: int, vacuumed: bool) -> None:
        tally = self.tally
        after = targets.facts(self.session, self.target)
        freed = max(0, before.total_bytes - after.total_bytes)
        share = before.total_bytes * tally.rows // max(before.rows, tally.rows, 1)
        self.context.result(
            rows=tally.rows,
            soft_deleted=tally.soft_deleted,
            batches=tally.batches,
            longest_ms=round(tally.longest * 1000),
            left=left,
            vacuumed=vacuumed,
            bytes_after=after.total_bytes,
            freed=freed,
            reusable=max(0, share - freed) if vacuumed else 0,
        )
        self.context.log(
            f"{tally.rows} rows deleted in {tally.batches} batches, the longest took {tally.longest * 1000:.0f} ms;"
            f" {left} left"
        )

    def _at_length(self, work: Callable[[], Any]) -> Any:
        """Something that may take long, and holds up nobody: it can be cancelled, and has no limit of time."""

        def without_limit() -> Any:
            for name, value in _AT_LENGTH.items():
                self.session.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            result = work()
            for name in _AT_LENGTH:
                self.session.execute(sql.SQL("RESET {}").format(sql.Identifier(name)))
            return result

        return patiently(self.session, without_limit, watch=self.context.checkpoint)


def effect_of(deleted: int) -> Message:
    """What is said of the data when a clean-up did not reach its end."""
    if not deleted:
        return NOTHING_DELETED
    return say_count(
        "%(count)s row was deleted and stays deleted.", "%(count)s rows were deleted and stay deleted.", count=deleted
    )


@contextmanager
def _telling(tally: Tally) -> Iterator[None]:
    """However it ends: say first how many rows are gone."""
    try:
        yield
    except StorageError as error:
        error.effect = effect_of(tally.rows)
        raise
    except psycopg.Error as error:
        refusal = describe(error, doing=say("The server ended the clean-up."))
        refusal.effect = effect_of(tally.rows)
        raise refusal from error


def _steps(*, archived: bool) -> list[tuple[str, Message]]:
    archive = [("archive", say("Archive the rows"))] if archived else []
    return [
        ("count", say("Count the rows")),
        *archive,
        ("delete", say("Delete in short batches")),
        ("vacuum", say("Make the space usable again")),
    ]
