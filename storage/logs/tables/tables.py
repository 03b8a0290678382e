"""Tables and views that somebody looks at or exports, with a short session for each question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from storage.databases.profile import DatabaseProfile
from storage.errors import NotFound, StorageError, say
from storage.logs import reading
from storage.logs.rowset import RowSet
from storage.logs.tables import catalogue, request
from storage.logs.tables.catalogue import Column, Described, Table
from storage.logs.tables.query import TableQuery
from storage.logs.tables.request import TableRequest
from storage.postgres.connection import describe
from storage.postgres.snapshot import Session

PREVIEW_ROWS = 50
PREVIEW_LETTERS = 300
"""Of each value; an export has all of them."""


@dataclass(frozen=True, slots=True)
class Preview:
    columns: tuple[Column, ...]
    rows: list[Sequence[str | None]]
    """Values as text, cut to PREVIEW_LETTERS."""
    more: bool
    """Whether there are rows behind these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    profile_of: Callable[[str], DatabaseProfile]

    def all(self, database: str) -> list[Table]:
        """By name, those of the schema public first."""
        with self._session(database) as session:
            return catalogue.tables(session)

    def describe(self, database: str, table: str) -> Described:
        """By its key, or by its name where that can only be one. Raises NotFound or Invalid."""
        with self._session(database) as session:
            return catalogue.describe(session, table)

    def preview(self, database: str, wanted: TableRequest) -> Preview:
        """The first rows of a request. Raises what `check` raises."""
        with self._session(database) as session:
            query = _query(session, wanted)
            columns = [(_shown(column), column.name) for column in query.columns]
            rows = session.execute(query.select(columns, limit=PREVIEW_ROWS + 1)).fetchall()
        return Preview(query.columns, list(rows[:PREVIEW_ROWS]), len(rows) > PREVIEW_ROWS)

    def check(self, database: str, wanted: TableRequest) -> TableRequest:
        """The request with the table's key in it. Raises NotFound for its table, Invalid for its columns and values."""
        with self._session(database) as session:
            key = _query(session, wanted).described.table.key
        return TableRequest(
            table=key,
            columns=wanted.columns,
            conditions=wanted.conditions,
            order=wanted.order,
            descending=wanted.descending,
        )

    def asked_for(self, session: Session, rows: Mapping[str, Any]) -> RowSet:
        """The rows that the parameters of an export ask for: those of `TableRequest.to_json`."""
        with _understood():
            return _query(session, request.TableRequest.from_json(rows)).row_set()

    @contextmanager
    def _session(self, database: str) -> Iterator[Session]:
        with reading.reading(self.profile_of(database).connection) as session, _understood():
            yield session


def _query(session: Session, wanted: TableRequest) -> TableQuery:
    query = TableQuery.of(catalogue.describe(session, wanted.table), wanted)
    query.check_values(session)
    return query


def _shown(column: Column) -> sql.Composable:
    """The beginning of a value, as text."""
    if column.base == ("pg_catalog", "bytea"):
        return sql.SQL("'\\x' || encode(substring({} FROM 1 FOR {}), 'hex')").format(
            column.identifier, sql.Literal(PREVIEW_LETTERS // 2)
        )
    return sql.SQL("left({}::text, {})").format(column.value, sql.Literal(PREVIEW_LETTERS))


@contextmanager
def _understood() -> Iterator[None]:
    """Say what the server refused about a table; what can happen to any question is said further out."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise NotFound(
            say("The table was changed while it was being looked at."), words=error.diag.message_primary or ""
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise describe(
            error,
            doing=say("The table could not be read: the database's role may not."),
            advice=say("Grant it there: GRANT SELECT ON the table that is named below."),
        ) from error
    except psycopg.errors.QueryCanceled as error:
        raise StorageError(
            say("The database needed longer for these rows than a page waits."),
            effect=say("Nothing was read."),
            advice=say(
                "Use a condition or an order that has an index, or export the rows: that may take as long as it has to."
            ),
        ) from error
    except psycopg.Error as error:
        raise describe(error, doing=say("The table could not be read.")) from error
