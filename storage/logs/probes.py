"""The log of the checks of an application's endpoints: its newest lines, what is new since, and all of it as text.

A line is `[13:14:05] OK 200 132ms` or `[13:14:35] FAIL 503 41ms HTTP 503: overloaded`, in the zone that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.applications.maps import ApplicationMap
from storage.databases.profile import DatabaseProfile
from storage.errors import NotFound, say
from storage.logs import reading
from storage.logs.probe_query import LINE, ProbeFilter, ProbeQuery
from storage.logs.query import After
from storage.logs.reading import locate
from storage.logs.stream import RowStream
from storage.postgres.snapshot import Session

PAGE_LINES = 200
AT_ONCE = 500
"""Lines that follow the page at once; more come with the next question."""
ENDPOINTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    id: str
    title: str
    kept: bool
    """False for one that the application has deleted, whose log is still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLine:
    id: int
    time: datetime | None
    ok: bool
    text: str
    """What stands behind the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePage:
    """Lines of one endpoint, oldest first."""

    lines: list[ProbeLine]
    newest: int
    """The greatest id of the log: what comes later is new. Also of lines that the filter leaves out."""
    before: After | None
    """The place before which older lines are; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLogs:
    """Everything that probe logs are read with, wired once. Each question is a short session of its own, and raises
    NotFound where the application keeps no probe log or the endpoint is not there."""

    profile_of: Callable[[str], DatabaseProfile]
    applications: Collection[ApplicationMap]

    def endpoints(self, database: str) -> list[Endpoint]:
        """By name, those that the application has deleted last; 1,000 at most."""
        with self._query(database) as (session, query):
            rows = session.execute(query.endpoints(limit=ENDPOINTS))
            return [Endpoint(id=row[0], title=row[1], kept=row[2]) for row in rows]

    def sources(self, database: str) -> tuple[str, ...]:
        """What a filter's source can be."""
        with self._query(database) as (_, query):
            return query.log.sources

    def page(
        self, database: str, endpoint: str, wanted: ProbeFilter, *, before: After | None = None, size: int = PAGE_LINES
    ) -> ProbePage:
        """The newest lines, or those before a place."""
        with self._query(database) as (session, query):
            _check(session, query, endpoint)
            newest = _number(session.execute(query.newest(endpoint)).fetchone())
            rows = session.execute(query.lines(endpoint, wanted, before=before, limit=size + 1)).fetchall()
        lines = [_line(row) for row in rows[:size]]
        last = lines[-1] if len(rows) > size else None
        return ProbePage(
            lines=lines[::-1],
            newest=max([newest, *(line.id for line in lines)]),
            before=After(last.time, str(last.id)) if last else None,
        )

    def since(self, database: str, endpoint: str, wanted: ProbeFilter, *, newest: int) -> ProbePage:
        """The lines that came after the greatest id that was known, in the order of their ids."""
        with self._query(database) as (session, query):
            last = _number(session.execute(query.newest(endpoint)).fetchone())
            rows = session.execute(query.since(endpoint, wanted, newest=newest, limit=AT_ONCE)).fetchall()
        lines = [_line(row) for row in rows]
        # When as many come as may at once, more are waiting. Otherwise whatever was there before is among them.
        known = lines[-1].id if len(lines) == AT_ONCE else max([newest, last, *(line.id for line in lines)])
        return ProbePage(lines=lines, newest=known, before=None)

    def text(self, database: str, endpoint: str, wanted: ProbeFilter, *, zone: str, days: bool = False) -> RowStream:
        """Every line of the filter, oldest first, with the day where `days` is wanted; to be closed."""

        def statement(session: Session) -> Any:
            query = self._over(session)
            _check(session, query, endpoint)
            return query.text(endpoint, wanted, zone=zone, days=days)

        return RowStream(self.profile_of(database).connection, statement)

    def documents(
        self, database: str, endpoint: str, *, limit: int, offset: int
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The endpoint's own row, and rows of its log, newest first, as they are in the tables."""
        with self._query(database) as (session, query):
            cursor = session.execute(query.endpoint(endpoint))
            found = cursor.fetchone()
            if found is None:
                raise _not_there()
            names = [column.name for column in cursor.description or ()]
            rows = session.execute(query.rows(endpoint, limit=limit, offset=offset)).fetchall()
        return dict(zip(names, found, strict=True)), [dict(zip(LINE, row, strict=True)) for row in rows]

    @contextmanager
    def _query(self, database: str) -> Iterator[tuple[Session, ProbeQuery]]:
        with reading.reading(self.profile_of(database).connection) as session:
            yield session, self._over(session)

    def _over(self, session: Session) -> ProbeQuery:
        unicode = session.info.parameter_status("server_encoding") == "UTF8"
        return ProbeQuery(locate(session, self.applications), unicode=unicode)


def _check(session: Session, query: ProbeQuery, endpoint: str) -> None:
    if session.execute(query.endpoint(endpoint)).fetchone() is None:
        raise _not_there()


def _not_there() -> NotFound:
    return NotFound(say("The application has no such endpoint."), advice=say("Choose one of the list."))


def _number(row: tuple[Any, ...] | None) -> int:
    return int(row[0]) if row and row[0] is not None else 0


def _line(row: tuple[Any, ...]) -> ProbeLine:
    return ProbeLine(id=int(row[0]), time=row[1], ok=bool(row[2]), text=row[3])


def file_name(moment: datetime) -> str:
    """probe-logs-2026-11-22.txt, as claude-code-hub names it; of UTC."""
    return f"probe-logs-{moment:%Y-%m-%d}.txt"
