"""Making rows up, as a job: batch after batch, each a transaction of its own that asks first whether this is a demo."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from storage.applications import maps
from storage.applications.generator import SETTINGS, Generator
from storage.applications.maps import ApplicationMap
from storage.databases.profile import DatabaseProfile
from storage.errors import Message, NotFound, StorageError, say, say_count
from storage.jobs.context import JobContext
from storage.jobs.model import Progress
from storage.jobs.turns import turn
from storage.locks.filelocks import FileLocks
from storage.logs.generator import mark
from storage.logs.generator.request import GeneratorRequest
from storage.logs.reading import Located, locate
from storage.postgres.connection import connect, describe
from storage.postgres.snapshot import Session
from storage.postgres.watchdog import patiently

APPLICATION = "pghaven generator"
BATCH_ROWS = 10_000
_OPTIONS = (
    "-c TimeZone=UTC -c DateStyle=ISO -c lock_timeout=5s"
    # What a crash of the server takes back was made up.
    " -c synchronous_commit=off"
)


@dataclass(slots=True)
class Tally:
    """How many rows were made, and since when."""

    rows: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / max(time.monotonic() - self.began, 0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    profile_of: Callable[[str], DatabaseProfile]
    applications: Collection[ApplicationMap]
    locks: FileLocks
    batch_rows: int = BATCH_ROWS

    def run(self, context: JobContext) -> None:
        request = GeneratorRequest.from_json(context.job.parameters).checked()
        context.plan((("look", say("Look at the database")), ("make", say("Make rows up")),
                      ("analyze", say("Have the server look at its tables"))))  # fmt: skip
        tally = Tally()
        with told(lambda: effect_of(tally.rows)), turn(self.locks, context):
            context.step("look")
            connection = self.profile_of(context.job.database).connection
            with connect(connection, application=APPLICATION, options=_OPTIONS) as session:
                located, generator = find(session, self.applications)
                self._make(context, session, located, generator, request, tally)

    def _make(
        self,
        context: JobContext,
        session: Session,
        located: Located,
        generator: Generator,
        request: GeneratorRequest,
        tally: Tally,
    ) -> None:
        home = (maps.qualified(located.application, generator.table, located.tables) or "").partition(".")[0]
        session.execute(sql.SQL("SET search_path = {}, pg_temp").format(sql.Identifier(home)))
        patiently(session, lambda: _prepare(session, located, generator), watch=context.checkpoint)
        context.step("make")
        tally.began = time.monotonic()
        try:
            for first in range(1, request.rows + 1, self.batch_rows):
                last = min(first + self.batch_rows - 1, request.rows)
                patiently(
                    session,
                    lambda: _batch(session, located, generator, request, first, last),  # noqa: B023 (done at once)
                    watch=context.checkpoint,
                )
                tally.rows = last
                context.report(_progress(tally, request))
                context.checkpoint()
        finally:
            context.result(rows=tally.rows, seed=request.seed)
        context.step("analyze")
        patiently(session, lambda: session.execute("ANALYZE"), watch=context.checkpoint)
        context.log(f"{tally.rows} rows made, {tally.rate:.0f} a second")


def find(session: Session, applications: Collection[ApplicationMap]) -> tuple[Located, Generator]:
    """The application of the open database, and its generator. Raises NotFound where it has none."""
    located = locate(session, applications)
    if located.application.generator is None:
        raise NotFound(
            say("The map of %(application)s has no generator.", application=located.application.title),
            advice=say("Rows can be made up for Claude Code Hub, and where a map of yours says how."),
        )
    return located, located.application.generator


def effect_of(rows: int) -> Message:
    """What is said of the data when the rows did not become as many as were asked for."""
    if not rows:
        return say("No rows were made.")
    return say_count("%(count)s row was made and stays.", "%(count)s rows were made and stay.", count=rows)


@contextmanager
def told(effect: Callable[[], Message]) -> Iterator[None]:
    """However it ends: say first what was made, then what the server said."""
    try:
        yield
    except StorageError as error:
        error.effect = effect()
        raise
    except psycopg.Error as error:
        refusal = describe(
            error,
            doing=say("The server refused the SQL of the generator."),
            advice=say("The role has to own the log's table, or to have INSERT there. The map has to fit this "
                       "version of the application."),
        )  # fmt: skip
        refusal.effect = effect()
        raise refusal from error


def _prepare(session: Session, located: Located, generator: Generator) -> None:
    """Look that it is a demo, and make those to whom the rows belong where there is nobody."""
    with session.transaction():
        mark.require(session, located, generator)
        if generator.people and all(_is_empty(session, located, table) for table in generator.empty):
            session.execute(generator.people.encode())


def _is_empty(session: Session, located: Located, table: str) -> bool:
    statement = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(located.table(table))
    return session.execute(statement).fetchone() is None


def _batch(
    session: Session, located: Located, generator: Generator, request: GeneratorRequest, first: int, last: int
) -> None:
    asked = (request.seed, first, last, request.rows, request.days, request.until.isoformat())
    with session.transaction():
        mark.require(session, located, generator)
        for name, value in zip(SETTINGS, asked, strict=True):
            session.execute("SELECT pg_catalog.set_config('pghaven.' || %s, %s, true)", [name, str(value)])
        made = _inserted(session.execute(generator.requests.encode()))
        if made != last - first + 1:
            raise StorageError(
                say("The SQL of the generator made %(made)s rows instead of %(wanted)s.",
                    made=made, wanted=last - first + 1),
                advice=say("It needs users with keys, and providers, that are enabled."),
            )  # fmt: skip


def _inserted(cursor: psycopg.Cursor[tuple[object, ...]]) -> int:
    """The rows of all INSERTs of a script."""
    made = 0
    while True:
        if (cursor.statusmessage or "").startswith("INSERT"):
            made += cursor.rowcount
        if not cursor.nextset():
            return made


def _progress(tally: Tally, request: GeneratorRequest) -> Progress:
    return Progress(
        step="make",
        done=tally.rows,
        total=request.rows,
        rows=tally.rows,
        seconds_left=(request.rows - tally.rows) / max(tally.rate, 1),
    )
