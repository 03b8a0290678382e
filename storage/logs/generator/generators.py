"""Everything about made-up rows, wired once: what `opening` hands to the web and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection

from storage.applications.maps import ApplicationMap
from storage.databases.profile import DatabaseProfile
from storage.errors import say
from storage.jobs.model import Job, JobKind
from storage.jobs.runner import JobRunner
from storage.locks.filelocks import FileLocks
from storage.logs import reading
from storage.logs.generator import mark, run
from storage.logs.generator.request import GeneratorRequest
from storage.logs.generator.run import APPLICATION, Maker
from storage.postgres.connection import connect


class Generators:
    def __init__(
        self,
        *,
        profile_of: Callable[[str], DatabaseProfile],
        applications: Collection[ApplicationMap],
        runner: JobRunner,
        locks: FileLocks,
    ) -> None:
        self._profile_of, self._applications, self._runner = profile_of, applications, runner
        runner.register(JobKind.GENERATE, Maker(profile_of=profile_of, applications=applications, locks=locks).run)

    def is_demo(self, database: str) -> bool:
        """Whether rows may be made up in a registered database. Raises what keeps it from being asked, and NotFound
        where its application has no generator."""
        with reading.reading(self._profile_of(database).connection) as session:
            located, generator = run.find(session, self._applications)
            return mark.is_marked(session, located, generator)

    def mark(self, database: str) -> bool:
        """Mark an unused database as a demo; False where it is one already. Raises Conflict where it is in use."""
        connection = self._profile_of(database).connection
        unchanged = say("Nothing was marked.")
        with run.told(lambda: unchanged), connect(connection, application=APPLICATION) as session:
            located, generator = run.find(session, self._applications)
            with session.transaction():
                if mark.is_marked(session, located, generator):
                    return False
                mark.put(session, located, generator)
        return True

    def start(self, database: str, request: GeneratorRequest, *, by: str, background: bool = True) -> tuple[Job, bool]:
        """Ask for rows; the job, and False when the same had been asked for already.

        Raises Conflict where the database is no demo: the job asks again, before each of its batches.
        """
        with reading.reading(self._profile_of(database).connection) as session:
            located, generator = run.find(session, self._applications)
            mark.require(session, located, generator)
        return self._runner.request(
            JobKind.GENERATE,
            database=database,
            parameters=request.checked().to_json(),
            by=by,
            background=background,
            same=lambda job: request.same_but_for_the_moment(GeneratorRequest.from_json(job.parameters)),
        )
