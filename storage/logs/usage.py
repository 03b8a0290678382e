"""The usage log of an application: a page of it, what it sums up to, and all of it as a file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import sql

from storage.applications.maps import ApplicationMap
from storage.applications.usage import WHOSE, UsageLog
from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.errors import NotFound, say
from storage.logs import cells, reading
from storage.logs.filters import UsageFilter
from storage.logs.query import After, UsageQuery, expression, written
from storage.logs.reading import locate
from storage.logs.stream import BYTE_ORDER_MARK, RowStream
from storage.postgres.snapshot import Session

PAGE_ROWS = 50
CHOICES = 1000


class Format(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"
    XLSX = "xlsx"


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Some rows, newest first, each with the map's columns by name, and `id`; and where the next page begins."""

    rows: list[dict[str, Any]]
    next: After | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that a filter can be set to, as the application names it."""

    id: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLogs:
    """Everything that usage logs are read with, wired once. Each question is a short session of its own."""

    profile_of: Callable[[str], DatabaseProfile]
    applications: Collection[ApplicationMap]
    clock: Clock

    @contextmanager
    def query(self, database: str, wanted: UsageFilter) -> Iterator[tuple[Session, UsageQuery]]:
        """A session, and the statements for it. Raises NotFound where the database keeps no usage log."""
        with reading.reading(self.profile_of(database).connection) as session:
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
        self, database: str, wanted: UsageFilter, *, after: After | None = None, size: int = PAGE_ROWS
    ) -> UsagePage:
        with self.query(database, wanted) as (session, query):
            columns = [(expression(column), column.name) for column in query.log.columns]
            extra = [(query.id, "id"), (query.time, "moment")]
            if query.log.blocked:
                extra.append((sql.SQL("({})").format(written(query.log.blocked)), "blocked"))
            cursor = session.execute(query.rows([*columns, *extra], after=after, limit=size + 1))
            names = [column.name for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        last = rows[size - 1] if len(rows) > size else None
        return UsagePage(rows[:size], After(last["moment"], str(last["id"])) if last else None)

    def totals(self, database: str, wanted: UsageFilter) -> dict[str, Any]:
        """What all rows of the filter sum up to: `requests`, and where the map has the columns, by their names the
        sums of tokens, `cost`, `retried` (requests) and `answered` (with 200)."""
        with self.query(database, wanted) as (session, query):
            names: list[str] = ["requests"]
            values: list[sql.Composable] = [sql.SQL("count(*)")]
            for name in _SUMMED:
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

    def choices(self, database: str, name: str) -> list[Choice]:
        """The rows that a filter `name` can be set to (user, key, provider), by title; 1,000 at most."""
        with self.query(database, UsageFilter()) as (session, query):
            lookup = query.log.lookup(name)
            if lookup is None:
                return []
            title = sql.Identifier(lookup.title)
            rows = session.execute(
                sql.SQL("SELECT id::text, {}::text FROM {} ORDER BY 2, id LIMIT {}").format(
                    title, query.located.table(lookup.table), sql.Literal(CHOICES)
                )
            )
            return [Choice(*row) for row in rows]

    def user_is_there(self, database: str, user: str) -> bool:
        """Whether the application has a user of this id, so that an account can be linked to it."""
        with self.query(database, UsageFilter()) as (session, query):
            lookup = query.log.lookup(WHOSE)
            if lookup is None:
                return False
            statement = sql.SQL("SELECT 1 FROM {} WHERE id = {}").format(
                query.located.table(lookup.table), sql.Literal(user)
            )
            return session.execute(statement).fetchone() is not None

    def csv(self, database: str, wanted: UsageFilter) -> RowStream:
        """All rows of the filter as CSV (RFC 4180) with headings, UTF-8 with a byte order mark; to be closed."""

        def statement(session: Session) -> sql.Composed:
            query = self.prepare(session, wanted)
            columns = [(cells.for_csv(column.kind, expression(column)), column.heading) for column in query.log.columns]
            return sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(query.rows(columns))

        return RowStream(self.profile_of(database).connection, statement, beginning=BYTE_ORDER_MARK)


_SUMMED = ("input_tokens", "output_tokens", "cache_read", "total_tokens", "cost")
_COUNTED = (("retried", "retries", "> 0"), ("answered", "status", "= 200"))


def file_name(moment: datetime, kind: Format) -> str:
    """usage-logs-2026-11-22-131405.csv, as claude-code-hub names it; of UTC."""
    return f"usage-logs-{moment:%Y-%m-%d-%H%M%S}.{kind.value}"
