"""The part of a map that says what an application's usage log is made of: its rows, what is looked up, its columns.

Expressions are SQL of whoever wrote the map, and name the log's row `r`, looked-up rows by their own names. They are
carried out with the rights of the database's role, in transactions that only read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.applications.fields import Fields
from storage.errors import Invalid, say

USAGE_KEYS = frozenset({"table", "id", "time_column", "only", "blocked", "session", "session_sequence", "currency",
                        "lookups", "columns", "daily"})  # fmt: skip
_LOOKUP_KEYS = frozenset({"name", "table", "value", "matches", "prefer", "title", "whose"})
_OPTIONAL = ("matches", "prefer", "title", "whose")
_COLUMN_KEYS = frozenset({"name", "heading", "kind", "sql"})

WHOSE = "user"
"""The lookup that says whose row it is."""


class Kind(StrEnum):
    """What a column holds, which decides how it is written."""

    TIME = "time"
    """A moment, written in UTC."""
    CLOCK = "clock"
    """A time without a zone: nobody can tell which moment it is."""
    DATE = "date"
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    EXACT = "exact"
    """Anything else that no formula can be made of: written as the server has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """A row of another table for each row of the log: at most one, and none keeps the log's row all the same.

    A choice of the filter `name`: the rows of `table`, by their column id, shown by their column `title`.
    """

    name: str
    table: str
    value: str
    """The expression over `r` that is looked for …"""
    matches: str = "id"
    """… in this column."""
    prefer: str = ""
    """Where several match: the order in which the first is taken, as in ORDER BY."""
    title: str = "name"
    whose: str = ""
    """The column of `table` with the id of the user that a row belongs to; "" where it belongs to nobody alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    name: str
    """What it is called here, whatever the heading: pages and totals ask for columns by this name."""
    heading: str
    kind: Kind
    sql: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageLog:
    table: str
    id: str = "id"
    """A column that is different in every row: with the time it gives the order."""
    time_column: str
    only: str = ""
    """A condition over `r` that is false for rows which the application has deleted; "" where it deletes them."""
    blocked: str = ""
    """A condition over `r`: the request was not passed on."""
    session: str = ""
    session_sequence: str = ""
    """Columns of the log, or "": which session a request belongs to, and its number there."""
    currency: str = ""
    daily: str = "usage_daily"
    """The table beside the log that keeps the sums by day, user and model of rows that were cleaned up."""
    lookups: tuple[Lookup, ...] = ()
    columns: tuple[Column, ...] = ()

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def lookup(self, name: str) -> Lookup | None:
        return next((lookup for lookup in self.lookups if lookup.name == name), None)


def read(fields: Fields) -> UsageLog:
    """Read the table [usage] of a map. Raises Invalid with the file's name."""
    columns = tuple(_read_column(column) for column in fields.tables("columns", _COLUMN_KEYS))
    names = [column.name for column in columns]
    if not columns or len(set(names)) != len(names):
        raise Invalid(
            say("In the application map %(file)s, the columns of the usage log are missing or have one name twice.",
                file=fields.file)
        )  # fmt: skip
    return UsageLog(
        table=fields.read("table", str),
        id=fields.read("id", str, default="id"),
        time_column=fields.read("time_column", str),
        only=fields.read("only", str, default=""),
        blocked=fields.read("blocked", str, default=""),
        session=fields.read("session", str, default=""),
        session_sequence=fields.read("session_sequence", str, default=""),
        currency=fields.read("currency", str, default=""),
        daily=fields.read("daily", str, default="usage_daily"),
        lookups=tuple(_read_lookup(lookup) for lookup in fields.tables("lookups", _LOOKUP_KEYS)),
        columns=columns,
    )


def _read_lookup(fields: Fields) -> Lookup:
    known: dict[str, Any] = {key: fields.read(key, str) for key in _OPTIONAL if key in fields.data}
    return Lookup(
        name=fields.read("name", str), table=fields.read("table", str), value=fields.read("value", str), **known
    )


def _read_column(fields: Fields) -> Column:
    kind = fields.read("kind", str)
    if kind not in set(Kind):
        raise fields.wrong("kind")
    return Column(
        name=fields.read("name", str),
        heading=fields.read("heading", str),
        kind=Kind(kind),
        sql=fields.read("sql", str),
    )
