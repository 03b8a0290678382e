"""The SQL for the rows of a table. Every name in it comes from the catalogue, every value is a literal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from storage.applications.usage import Kind
from storage.errors import Invalid, say
from storage.logs.rowset import Cell, RowSet
from storage.logs.tables.catalogue import Column, Described
from storage.logs.tables.request import Condition, Operator, TableRequest
from storage.postgres.snapshot import Session

SHEET_TITLE = 25
"""Letters of a sheet's name; a spreadsheet takes 31, and a second sheet has its number behind."""
_COMPARED = {
    Operator.EQUAL: sql.SQL("="),
    Operator.UNEQUAL: sql.SQL("IS DISTINCT FROM"),
    Operator.LESS: sql.SQL("<"),
    Operator.AT_MOST: sql.SQL("<="),
    Operator.MORE: sql.SQL(">"),
    Operator.AT_LEAST: sql.SQL(">="),
}
_TOLD_APART = (Operator.EQUAL, Operator.UNEQUAL)


@dataclass(frozen=True, slots=True)
class TableQuery:
    """Statements for what a request asks of a table. Making one refuses, by their names, columns that are not there."""

    described: Described
    columns: tuple[Column, ...]
    conditions: tuple[tuple[Column, Condition], ...]
    order: Column | None
    descending: bool

    @classmethod
    def of(cls, described: Described, request: TableRequest) -> TableQuery:
        """Raises Invalid naming what the table does not have, or cannot be compared or put into order by."""
        query = cls(
            described,
            tuple(described.column(name) for name in request.columns or described.usual or _all(described)),
            tuple((described.column(one.column), one) for one in request.conditions),
            described.column(request.order) if request.order else None,
            request.descending,
        )
        for column in [query.order, *(column for column, one in query.conditions if _by_order(one))]:
            if column and not column.ordered:
                raise Invalid(
                    say("The values of %(column)s (%(type)s) have no order.", column=column.name, type=column.type),
                    effect=say("Nothing was read."),
                )
        return query

    def check_values(self, session: Session) -> None:
        """Have the server read the value of each condition as the type of its column, before anything is asked of the
        table. Raises Invalid naming the column."""
        for column, one in self.conditions:
            if not _is_typed(column, one):
                continue
            try:
                session.execute(sql.SQL("SELECT {}").format(_typed(column, one.value)))
            except (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
                raise Invalid(
                    say("“%(value)s” is not a value of %(column)s, which is %(type)s.",
                        value=one.value[:80], column=column.name, type=column.type),
                    effect=say("Nothing was read."),
                    words=error.diag.message_primary or "",
                ) from error  # fmt: skip

    def select(self, columns: Sequence[tuple[sql.Composable, str]], *, limit: int | None = None) -> sql.Composed:
        """Each row's expressions under their names."""
        statement = sql.SQL("SELECT {columns} FROM {source}").format(
            columns=sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(value, sql.Identifier(name)) for value, name in columns
            ),
            source=self._source,
        )
        if self.order:
            statement += sql.SQL(" ORDER BY {}").format(sql.SQL(", ").join(self._order(self.order)))
        return statement if limit is None else statement + sql.SQL(" LIMIT {}").format(sql.Literal(limit))

    def row_set(self) -> RowSet:
        return RowSet(
            cells=tuple(Cell(one.name, one.name, one.kind, one.value) for one in self.columns),
            select=self.select,
            count=sql.SQL("SELECT count(*) FROM {}").format(self._source),
            title=_sheet_title(self.described.table.name),
        )

    @property
    def _source(self) -> sql.Composed:
        conditions = [_condition(column, one) for column, one in self.conditions] or [sql.SQL("true")]
        return sql.SQL("{} AS r WHERE {}").format(self.described.table.identifier, sql.SQL(" AND ").join(conditions))

    def _order(self, column: Column) -> list[sql.Composable]:
        """Rows that are equal there by their primary key: the same order each time."""
        direction = sql.SQL(" DESC" if self.descending else "")
        rest = [name for name in self.described.unique if name != column.name]
        return [column.identifier + direction, *(sql.Identifier("r", name) + direction for name in rest)]


def _all(described: Described) -> tuple[str, ...]:
    return tuple(column.name for column in described.columns)


def _condition(column: Column, condition: Condition) -> sql.Composable:
    name, text = column.identifier, sql.SQL("{}::text").format(column.identifier)
    match condition.operator:
        case Operator.EMPTY:
            return sql.SQL("({} IS NULL{})").format(name, _or_empty(column, text))
        case Operator.NOT_EMPTY:
            return sql.SQL("NOT ({} IS NULL{})").format(name, _or_empty(column, text))
        case Operator.CONTAINS:
            return sql.SQL("strpos({}, {}) > 0").format(text, sql.Literal(condition.value))
        case Operator.BEGINS:
            return sql.SQL("starts_with({}, {})").format(text, sql.Literal(condition.value))
        case compared if _is_typed(column, condition):
            return sql.SQL("{} {} {}").format(name, _COMPARED[compared], _typed(column, condition.value))
        case compared:
            return sql.SQL("{} {} {}").format(text, _COMPARED[compared], sql.Literal(condition.value))


def _or_empty(column: Column, text: sql.Composable) -> sql.Composable:
    return sql.SQL(" OR {} = ''").format(text) if column.kind is Kind.TEXT else sql.SQL("")


def _is_typed(column: Column, condition: Condition) -> bool:
    """Whether the value is read as the column's type. What cannot be told apart, such as json, is compared as text."""
    return condition.operator in _COMPARED and column.ordered


def _by_order(condition: Condition) -> bool:
    return condition.operator in _COMPARED and condition.operator not in _TOLD_APART


def _typed(column: Column, value: str) -> sql.Composed:
    """The type without its length: a value that is too long is not cut to one that fits."""
    return sql.SQL("CAST({} AS {})").format(sql.Literal(value), sql.Identifier(*column.base))


def _sheet_title(name: str) -> str:
    """What a spreadsheet takes for the name of a sheet."""
    title = "".join(letter if letter.isalnum() or letter in " _-." else "_" for letter in name)[:SHEET_TITLE]
    # One program keeps this name for itself.
    return "History_" if title.lower() == "history" else title
