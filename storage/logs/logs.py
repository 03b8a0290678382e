"""Everything about applications' logs, wired once: what `opening` hands to the web and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from storage.applications.maps import ApplicationMap
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.logs import reading, where
from storage.logs.cleanup.cleanups import Cleanups
from storage.logs.daily import DailyUsage
from storage.logs.exports import Exports
from storage.logs.generator.generators import Generators
from storage.logs.probes import ProbeLogs
from storage.logs.sessions import SessionLogs
from storage.logs.tables.request import TABLE
from storage.logs.tables.tables import Tables
from storage.logs.usage import USAGE, UsageLogs
from storage.staging import Staging


class Logs:
    def __init__(
        self,
        *,
        profile_of: Callable[[str], DatabaseProfile],
        applications: Collection[ApplicationMap],
        clock: Clock,
        cleanup: Cleanups,
        generator: Generators,
        folder: Path,
        runner: JobRunner,
        jobs: JobStore,
        staging: Staging,
    ) -> None:
        """`folder` is where finished exports are kept."""
        self._profile_of, self._applications = profile_of, applications
        self.cleanup, self.generator = cleanup, generator
        self.usage = UsageLogs(profile_of=profile_of, applications=applications, clock=clock)
        self.daily = DailyUsage(usage=self.usage, clock=clock)
        self.sessions = SessionLogs(profile_of=profile_of, applications=applications)
        self.probes = ProbeLogs(profile_of=profile_of, applications=applications)
        self.tables = Tables(profile_of=profile_of)
        self.exports = Exports(
            folder,
            sources={USAGE: self.usage.asked_for, TABLE: self.tables.asked_for},
            profile_of=profile_of,
            runner=runner,
            jobs=jobs,
            staging=staging,
            clock=clock,
        )

    def first_with_usage(self, databases: Sequence[str]) -> where.Found:
        """The first of these databases that keeps a usage log."""
        return where.first_with_usage(databases, self._profile_of, self._applications)

    def application_of(self, database: str) -> ApplicationMap:
        """The map that fits a registered database. Raises NotFound where none does."""
        with reading.reading(self._profile_of(database).connection) as session:
            return reading.locate(session, self._applications).application
