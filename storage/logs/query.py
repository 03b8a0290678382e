"""The SQL of a usage log, from its map and a filter. Pure: nothing here talks to a server.

Rows are looked up through joins that can neither multiply nor drop a row of the log: from every other table at most one
row is taken for each value that is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from storage.applications.usage import Column, Lookup, UsageLog
from storage.errors import Invalid, say
from storage.logs.filters import UsageFilter
from storage.logs.reading import Located


@dataclass(frozen=True, slots=True)
class After:
    """The place in the order, newest first, behind which a page begins."""

    time: datetime | None
    id: str

    def to_text(self) -> str:
        """As it stands in an address: the exact time, and the id."""
        return f"{self.time.isoformat() if self.time else ''}_{self.id}"

    @classmethod
    def from_text(cls, text: str) -> After | None:
        """Read `to_text`'s form back; None for "". Raises Invalid for anything else."""
        if not text:
            return None
        time, mark, row = text.partition("_")
        try:
            moment = datetime.fromisoformat(time) if time else None
        except ValueError:
            mark = ""
        if not mark or not row or "\0" in row or (moment and moment.tzinfo is None):
            raise Invalid(
                say("The address does not say where in the log to go on."), advice=say("Begin with the newest again.")
            )
        return cls(moment, row)


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Statements over one application's usage log, for the rows that a filter means."""

    located: Located
    log: UsageLog
    filter: UsageFilter

    def rows(
        self,
        columns: Sequence[tuple[sql.Composable, str]],
        *,
        after: After | None = None,
        limit: int | None = None,
        skip: int = 0,
    ) -> sql.Composed:
        """Each row's expressions under their names, newest first; rows of one moment by their id."""
        conditions = [self.condition, self._behind(after)] if after else [self.condition]
        statement = sql.SQL("SELECT {columns} FROM {source} WHERE {conditions} ORDER BY {time} DESC, {id} DESC").format(
            columns=sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(value, sql.Identifier(name)) for value, name in columns
            ),
            source=self.source([value for value, _ in columns]),
            conditions=sql.SQL(" AND ").join(conditions),
            time=self.time,
            id=self.id,
        )
        if limit is not None:
            statement += sql.SQL(" LIMIT {}").format(sql.Literal(limit))
        return statement + sql.SQL(" OFFSET {}").format(sql.Literal(skip)) if skip else statement

    def recent(self, values: Sequence[sql.Composable], *, newest: int, limit: int) -> sql.Composed:
        """What is there, each once and in order, among the newest rows: to look through all would take long."""
        part = sql.SQL("(SELECT * FROM {table} AS r WHERE {condition} ORDER BY {time} DESC, {id} DESC LIMIT {newest})")
        table = part.format(
            table=self.located.table(self.log.table),
            condition=self.condition,
            time=self.time,
            id=self.id,
            newest=sql.Literal(newest),
        )
        return sql.SQL("SELECT DISTINCT {values} FROM {source} ORDER BY {order} LIMIT {limit}").format(
            values=sql.SQL(", ").join(values),
            source=self.source(values, table=table),
            order=_numbers(len(values)),
            limit=sql.Literal(limit),
        )

    def totals(self, values: Sequence[sql.Composable], *, by: Sequence[sql.Composable] = ()) -> sql.Composed:
        """Aggregates over all rows, or for each group of `by`, whose values come first and give the order."""
        statement = sql.SQL("SELECT {values} FROM {source} WHERE {condition}").format(
            values=sql.SQL(", ").join([*by, *values]), source=self.source([*by, *values]), condition=self.condition
        )
        if not by:
            return statement
        numbers = _numbers(len(by))
        return sql.SQL("{} GROUP BY {} ORDER BY {}").format(statement, numbers, numbers)

    def value(self, name: str) -> sql.Composable | None:
        """The expression of a column of the map; None where the map has none of this name."""
        column = self.log.column(name)
        return expression(column) if column else None

    @property
    def time(self) -> sql.Composable:
        return sql.Identifier("r", self.log.time_column)

    @property
    def id(self) -> sql.Composable:
        return sql.Identifier("r", self.log.id)

    @property
    def condition(self) -> sql.Composed:
        """What a row has to fulfil: not deleted in the application, and all of the filter. Over `r` alone.

        Raises Invalid where the filter asks for what this application's log does not have.
        """
        return sql.SQL(" AND ").join([*self._not_deleted(), *self._asked_for()] or [sql.SQL("true")])

    def source(self, expressions: Collection[sql.Composable], *, table: sql.Composable | None = None) -> sql.Composed:
        """The log, or `table` in its place, and what the expressions name of the looked-up rows."""
        text = " ".join(part.as_string(None) for part in expressions)
        joins = [self._join(lookup) for lookup in self.log.lookups if names(text, lookup.name)]
        return sql.SQL(" ").join([sql.SQL("{} AS r").format(table or self.located.table(self.log.table)), *joins])

    def _join(self, lookup: Lookup) -> sql.Composed:
        # Row by row, and remembered for each value: the log's order is kept, so that nobody waits for a sort.
        return sql.SQL(
            "LEFT JOIN LATERAL (SELECT * FROM {table} AS looked_up WHERE looked_up.{matches} = {value}{order} LIMIT 1)"
            " AS {name} ON true"
        ).format(
            table=self.located.table(lookup.table),
            matches=sql.Identifier(lookup.matches),
            value=written(lookup.value),
            order=sql.SQL(" ORDER BY {}").format(written(lookup.prefer)) if lookup.prefer else sql.SQL(""),
            name=sql.Identifier(lookup.name),
        )

    def _not_deleted(self) -> list[sql.Composable]:
        return [sql.SQL("({})").format(written(self.log.only))] if self.log.only else []

    def _asked_for(self) -> list[sql.Composable]:
        asked = self.filter
        conditions = [
            self._is(lookup, wanted)
            for lookup, wanted in (("user", asked.user), ("key", asked.key), ("provider", asked.provider))
            if wanted
        ]
        if asked.session:
            conditions.append(self._equals("session", asked.session))
        if asked.since:
            conditions.append(sql.SQL("{} >= {}").format(self.time, sql.Literal(asked.since)))
        if asked.until:
            conditions.append(sql.SQL("{} < {}").format(self.time, sql.Literal(asked.until)))
        if asked.not_200:
            conditions.append(sql.SQL("({} IS DISTINCT FROM 200)").format(self._needed("status")))
        elif asked.status is not None:
            conditions.append(self._equals("status", asked.status))
        if asked.model:
            conditions.append(self._equals("model", asked.model))
        if asked.endpoint:
            conditions.append(self._equals("endpoint", asked.endpoint))
        if asked.min_retries is not None:
            conditions.append(sql.SQL("({}) >= {}").format(self._needed("retries"), sql.Literal(asked.min_retries)))
        return conditions

    def _is(self, name: str, wanted: str) -> sql.Composable:
        """The rows that refer to a looked-up row, by its id; also where several rows have the value that is matched."""
        lookup = self.log.lookup(name)
        if lookup is None:
            raise _not_in_this_log(name)
        if lookup.matches == "id":
            return sql.SQL("{} = {}").format(written(lookup.value), sql.Literal(wanted))
        return sql.SQL("{} IN (SELECT {} FROM {} WHERE id = {})").format(
            written(lookup.value), sql.Identifier(lookup.matches), self.located.table(lookup.table), sql.Literal(wanted)
        )

    def _equals(self, name: str, wanted: str | int) -> sql.Composable:
        return sql.SQL("{} = {}").format(self._needed(name), sql.Literal(wanted))

    def _needed(self, name: str) -> sql.Composable:
        value = self.value(name)
        if value is None:
            raise _not_in_this_log(name)
        return value

    def _behind(self, after: After) -> sql.Composable:
        """Rows without a time are first in this order."""
        if after.time is None:
            return sql.SQL("({time} IS NOT NULL OR {id} < {before})").format(
                time=self.time, id=self.id, before=sql.Literal(after.id)
            )
        return sql.SQL("({}, {}) < ({}, {})").format(self.time, self.id, sql.Literal(after.time), sql.Literal(after.id))


def _numbers(count: int) -> sql.Composed:
    """The first columns of a SELECT, as GROUP BY and ORDER BY name them."""
    return sql.SQL(", ").join(sql.SQL(str(number)) for number in range(1, count + 1))


def expression(column: Column) -> sql.Composable:
    return sql.SQL("({})").format(written(column.sql))


def written(text: str) -> sql.SQL:
    """SQL that an application map holds: its author's, who can write to the data folder or to this program."""
    return sql.SQL(text)


def names(text: str, alias: str) -> bool:
    """Whether an expression of a map names a looked-up row."""
    return re.search(rf"(?<![\w.\"]){re.escape(alias)}\.|\"{re.escape(alias)}\"\.", text) is not None


def _not_in_this_log(name: str) -> Invalid:
    return Invalid(say("This application's log has no %(name)s to filter by.", name=name))
