"""Everything about applications' logs, wired once: what `opening` hands to the web and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from storage.applications.maps import ApplicationMap
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.logs import reading, where
from storage.logs.cleanup.cleanups import Cleanups
from storage.logs.generator.generators import Generators
from storage.logs.probes import ProbeLogs
from storage.logs.sessions import SessionLogs
from storage.logs.usage import UsageLogs


class Logs:
    def __init__(
        self,
        *,
        profile_of: Callable[[str], DatabaseProfile],
        applications: Collection[ApplicationMap],
        clock: Clock,
        cleanup: Cleanups,
        generator: Generators,
    ) -> None:
        self._profile_of, self._applications = profile_of, applications
        self.cleanup, self.generator = cleanup, generator
        self.usage = UsageLogs(profile_of=profile_of, applications=applications, clock=clock)
        self.sessions = SessionLogs(profile_of=profile_of, applications=applications)
        self.probes = ProbeLogs(profile_of=profile_of, applications=applications)

    def first_with_usage(self, databases: Sequence[str]) -> where.Found:
        """The first of these databases that keeps a usage log."""
        return where.first_with_usage(databases, self._profile_of, self._applications)

    def application_of(self, database: str) -> ApplicationMap:
        """The map that fits a registered database. Raises NotFound where none does."""
        with reading.reading(self._profile_of(database).connection) as session:
            return reading.locate(session, self._applications).application
