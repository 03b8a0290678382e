"""Which of several databases has a usage log: asked at once and not waited for long, so that a link leads somewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from storage.applications.maps import ApplicationMap
from storage.databases.profile import DatabaseProfile
from storage.errors import NotFound, StorageError
from storage.logs import reading

SECONDS = 2
"""For the connection, and again for the question."""
MOST = 16
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Found:
    name: str
    """"" where none was found."""
    silent: tuple[str, ...] = ()
    """Which could not be asked, of those that come before it."""


def first_with_usage(
    databases: Sequence[str], profile_of: Callable[[str], DatabaseProfile], applications: Collection[ApplicationMap]
) -> Found:
    """The first, in their order, whose application keeps a usage log; of more than 16 the others are not asked."""

    def has_usage(name: str) -> bool | None:
        try:
            with reading.reading(profile_of(name).connection, seconds=SECONDS, patience=SECONDS) as session:
                return reading.locate(session, applications).application.usage is not None
        except NotFound:
            return False
        except StorageError:
            return None

    if databases and has_usage(databases[0]):
        return Found(databases[0])  # as a rule, and nobody else is asked for it
    silent: list[str] = []
    asked = databases[:MOST]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for name, has in zip(asked, pool.map(has_usage, asked), strict=True):
            if has:
                return Found(name, tuple(silent))
            if has is None:
                silent.append(name)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return Found("", tuple(silent))
