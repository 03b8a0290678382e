"""Which of a database's tables are logs: the ones that its profile names, and what the application's map says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from storage.applications import maps
from storage.applications.maps import ApplicationMap
from storage.databases.profile import DatabaseProfile


@dataclass(frozen=True, slots=True)
class Among:
    """Called with a profile and the tables that there are (schema.table); returns those that are logs."""

    applications: Sequence[ApplicationMap]

    def __call__(self, profile: DatabaseProfile, tables: Collection[str]) -> frozenset[str]:
        named = frozenset(profile.log_tables) & frozenset(tables)
        application = maps.recognise(self.applications, tables)
        return named | frozenset(maps.log_tables(application, tables)) if application else named
