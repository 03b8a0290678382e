"""The usage log of an application: a page of it, what it sums up to, and all of it as a file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from storage.applications.maps import ApplicationMap
from storage.applications.usage import WHOSE, UsageLog
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.errors import NotFound, Unreachable, say
from storage.logs import choices, filters, reading
from storage.logs.choices import NO_CHOICES, Choice, Choices
from storage.logs.filters import UsageFilter
from storage.logs.query import After, UsageQuery, expression, written
from storage.logs.reading import PAGE_SECONDS, locate
from storage.logs.rowset import Cell, RowSet
from storage.postgres.snapshot import Session

USAGE = "usage"
"""What these rows are called in the parameters of an export."""
PAGE_ROWS = 50
TOTALS_SECONDS = 0.4
CHOICES_SECONDS = 1.0

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """For how many seconds a page waits for what it shows. What is not there by then, it asks for again by itself."""

    connect: int = 10
    rows: float = PAGE_SECONDS
    totals: float = TOTALS_SECONDS
    may_lack_rows: bool = False


HASTY = Patience(connect=2, rows=1.5, may_lack_rows=True)
"""The frame comes at once, with or without what stands in it."""
USUAL = Patience()
PATIENT = Patience(totals=PAGE_SECONDS)
"""Everything in one go: for a browser that cannot ask again by itself."""


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Some rows, newest first, each with the map's columns by name, and `id`; and where the next page begins."""

    rows: list[dict[str, Any]]
    next: After | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageView:
    """What a page of the log shows. What is None took longer than the page could wait for it."""

    log: UsageLog | None = None
    page: UsagePage | None = None
    totals: dict[str, Any] | None = None
    choices: Choices = NO_CHOICES


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLogs:
    """Everything that usage logs are read with, wired once. Each question is a short session of its own."""

    profile_of: Callable[[str], DatabaseProfile]
    applications: Collection[ApplicationMap]
    clock: Clock

    @contextmanager
    def query(self, database: str, wanted: UsageFilter, *, patience: int = 10) -> Iterator[tuple[Session, UsageQuery]]:
        """A session, and the statements for it. Raises NotFound where the database keeps no usage log."""
        with reading.reading(self.profile_of(database).connection, patience=patience) as session:
            yield session, self.prepare(session, wanted)

    def prepare(self, session: Session, wanted: UsageFilter) -> UsageQuery:
        located = locate(session, self.applications)
        if located.application.usage is None:
            raise NotFound(
                say("%(application)s keeps no usage log that its map describes.",
                    application=located.application.title)
            )  # fmt: skip
        return UsageQuery(located, located.application.usage, wanted)

    def log_of(self, database: str) -> UsageLog:
        """What the map of a database's application says of its usage log."""
        with self.query(database, UsageFilter()) as (_, query):
            return query.log

    def page(
        self, database: str, wanted: UsageFilter, *, after: After | None = None, size: int = PAGE_ROWS, skip: int = 0
    ) -> UsagePage:
        """`skip` is for clients that count pages: the server walks over these rows each time."""
        with self.query(database, wanted) as (session, query):
            return _page(session, query, after=after, size=size, skip=skip)

    def totals(self, database: str, wanted: UsageFilter) -> dict[str, Any]:
        """What all rows of the filter sum up to: `requests`, and where the map has the columns, by their names the
        sums of tokens, `cost`, `retried` (requests) and `answered` (with 200)."""
        with self.query(database, wanted) as (session, query):
            return _totals(session, query)

    def view(
        self,
        database: str,
        wanted: UsageFilter,
        *,
        own: str = "",
        after: After | None = None,
        patience: Patience = USUAL,
    ) -> UsageView:
        """All of a page at once: what can be chosen, one page of rows, and the totals where they are soon told.

        `own` is the user that nothing else may be told than about.
        """
        try:
            with self.query(database, wanted, patience=patience.connect) as (session, query):
                page = _within(
                    session,
                    patience.rows,
                    lambda: _page(session, query, after=after, size=PAGE_ROWS),
                )
                if page is None and not patience.may_lack_rows:
                    raise reading.too_busy()
                seen = UsageQuery(query.located, query.log, UsageFilter().of(own))
                return UsageView(
                    log=query.log,
                    page=page,
                    totals=_within(session, patience.totals, lambda: _totals(session, query))
                    if page is not None
                    else None,
                    choices=_within(session, CHOICES_SECONDS, lambda: choices.look(session, seen, own=own))
                    or NO_CHOICES,
                )
        except Unreachable as error:
            if patience.may_lack_rows and error.kind == "silent":
                return UsageView()
            raise

    def users(self, database: str) -> tuple[Choice, ...]:
        """The application's users, by name: 1,000 at most. () where its log does not say whose a row is."""
        with self.query(database, UsageFilter()) as (session, query):
            return choices.look(session, query).users

    def user_named(self, database: str, user: str, *, patience: int = 10) -> str:
        """What the application calls the user of an id. Raises NotFound where it has none, or its log no users."""
        with self.query(database, UsageFilter(), patience=patience) as (session, query):
            lookup = query.log.lookup(WHOSE)
            if lookup is not None:
                statement = sql.SQL("SELECT coalesce({}::text, '') FROM {} WHERE id = {}").format(
                    sql.Identifier(lookup.title), query.located.table(lookup.table), sql.Literal(user)
                )
                if row := session.execute(statement).fetchone():
                    return str(row[0])
        raise NotFound(
            say("The application of %(database)s has no user with the id “%(user)s”.",
                database=database, user=user[:40])
        )  # fmt: skip

    def asked_for(self, session: Session, rows: Mapping[str, Any]) -> RowSet:
        """The rows that the parameters of an export ask for, as `parameters` made them."""
        return self.row_set(session, filters.read(rows["filter"], zone=ZoneInfo("UTC")))

    def row_set(self, session: Session, wanted: UsageFilter) -> RowSet:
        """All rows of a filter with the map's columns, newest first, to be written into a file."""
        query = self.prepare(session, wanted)
        return RowSet(
            cells=tuple(
                Cell(column.name, column.heading, column.kind, expression(column)) for column in query.log.columns
            ),
            select=query.rows,
            count=query.totals([sql.SQL("count(*)")]),
            title="Usage logs",
            day="time",
            summed=SUMMED,
        )


def parameters(wanted: UsageFilter) -> dict[str, Any]:
    """A filter as the parameters of an export."""
    return {"of": USAGE, "filter": wanted.to_query()}


def _page(session: Session, query: UsageQuery, *, after: After | None, size: int, skip: int = 0) -> UsagePage:
    columns = [(expression(column), column.name) for column in query.log.columns]
    extra = [(query.id, "id"), (query.time, "moment")]
    if query.log.blocked:
        extra.append((sql.SQL("({})").format(written(query.log.blocked)), "blocked"))
    cursor = session.execute(query.rows([*columns, *extra], after=after, limit=size + 1, skip=skip))
    names = [column.name for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    last = rows[size - 1] if len(rows) > size else None
    return UsagePage(rows[:size], After(last["moment"], str(last["id"])) if last else None)


def _totals(session: Session, query: UsageQuery) -> dict[str, Any]:
    names: list[str] = ["requests"]
    values: list[sql.Composable] = [sql.SQL("count(*)")]
    for name in SUMMED:
        value = query.value(name)
        if value is not None:
            names.append(name)
            values.append(sql.SQL("coalesce(sum({}), 0)").format(value))
    for name, column, condition in _COUNTED:
        value = query.value(column)
        if value is not None:
            names.append(name)
            values.append(sql.SQL("count(*) FILTER (WHERE {} {})").format(value, sql.SQL(condition)))
    row = session.execute(query.totals(values)).fetchone()
    return dict(zip(names, row or (), strict=True))


def _within(session: Session, seconds: float, ask: Callable[[], _Answer]) -> _Answer | None:
    """The answer; None where the server needs longer for one statement."""
    session.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(int(seconds * 1000))))
    try:
        return ask()
    except psycopg.errors.QueryCanceled:
        return None


SUMMED = ("input_tokens", "output_tokens", "cache_read", "total_tokens", "cost")
_COUNTED = (("retried", "retries", "> 0"), ("answered", "status", "= 200"))
