"""What is left of rows that are deleted: sums by day, user and model, in a table of the application's schema.

They are added up in the statement that deletes, so that no crash can count a row twice or not at all. Those who delete
at the same time each have a `part` of the sums, so that none waits for another; at the end the parts are merged.
Whoever sums the table up by day, user and model gets the same at every moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from storage.applications.usage import WHOSE, Kind, UsageLog
from storage.errors import Conflict, say
from storage.logs.cleanup.request import NOTHING_DELETED
from storage.logs.cleanup.target import LogTarget
from storage.logs.query import expression, names, written
from storage.postgres.snapshot import Session

SUMMED = (
    "input_tokens",
    "output_tokens",
    "cache_write_5m",
    "cache_write_1h",
    "cache_read",
    "total_tokens",
    "cost",
)
"""Columns of a map that are summed up, as far as it has them."""
KEY = ("day", "user_id", "model")
SOFT, COUNTS = 1, 2
_COMMENT = "Sums of usage whose rows pghaven has deleted; by UTC day, user and model."
TOTALS = sql.SQL(
    "SELECT coalesce(sum(rows), 0)::bigint, coalesce(sum(rows) FILTER (WHERE kind IN (1, 3)), 0)::bigint FROM groups"
)
"""All rows of the `groups`, and those of them that the application had deleted."""
_NOTHING = sql.SQL("")


@dataclass(frozen=True, slots=True)
class Daily:
    """The table of sums of one usage log, and the expressions over its rows `r` that fill it, in a session in UTC."""

    schema: str
    table: str
    key: tuple[sql.Composable, ...]
    """Of the row's own types: texts are made of groups, of which there are few."""
    kind: sql.Composable
    """What the row is: COUNTS where it counts, for one that the application has deleted may count nowhere, and SOFT
    where the application has deleted it; one number, since a group by two costs twice."""
    sums: tuple[tuple[str, str, sql.Composable], ...]
    """Name, type and what is added up for one row; beside the number of requests."""

    @property
    def name(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Name and type of what is summed up."""
        return (("requests", "bigint"), *((name, kind) for name, kind, _ in self.sums))

    def returned(self) -> sql.Composed:
        """What a statement over `r` returns for `groups` to work on."""
        values = [(self.kind, "kind"), *zip(self.key, KEY, strict=True)]
        values += [(value, name) for name, _, value in self.sums]
        return sql.SQL(", ").join(sql.SQL("{} AS {}").format(value, sql.Identifier(name)) for value, name in values)

    def groups(self, source: sql.Composable) -> sql.Composed:
        """A WITH query `groups` of what was returned: how many `rows` each kind and key has, and their sums."""
        sums = [
            sql.SQL("coalesce(sum({name}), 0) AS {name}").format(name=sql.Identifier(name)) for name, _, _ in self.sums
        ]
        return sql.SQL("groups AS MATERIALIZED (SELECT {values} FROM {source} GROUP BY {by})").format(
            values=sql.SQL(", ").join([_listed(["kind", *KEY]), sql.SQL("count(*) AS rows"), *sums]),
            source=source,
            by=_listed(["kind", *KEY]),
        )

    def add(self, *, part: int) -> sql.Composed:
        """Add the `groups` to a part of the sums."""
        return sql.SQL(
            "INSERT INTO {table} AS d ({key}, {columns}, part) {groups}"
            " ON CONFLICT ({key}, part) DO UPDATE SET {changes}"
        ).format(
            table=self.name,
            columns=_listed([name for name, _ in self.columns]),
            groups=self._counting(sql.SQL(", {}::smallint AS part").format(sql.Literal(part))),
            key=_listed(KEY),
            changes=self._changes("{name} = d.{name} + excluded.{name}"),
        )

    def merge(self) -> sql.Composed:
        """Make one of all parts."""
        return sql.SQL(
            "WITH parts AS (DELETE FROM {table} WHERE part > 0 RETURNING *) INSERT INTO {table} AS d ({key}, {columns})"
            " SELECT {key}, {sums} FROM parts GROUP BY {key} ON CONFLICT ({key}, part) DO UPDATE SET {changes}"
        ).format(
            table=self.name,
            key=_listed(KEY),
            columns=_listed([name for name, _ in self.columns]),
            sums=sql.SQL(", ").join(sql.SQL("sum({})").format(sql.Identifier(name)) for name, _ in self.columns),
            changes=self._changes("{name} = d.{name} + excluded.{name}"),
        )

    def take_away(self) -> sql.Composed:
        """Take the `groups` off the merged sums: their rows are in the log again. Nothing falls below
        nothing."""
        return sql.SQL("UPDATE {table} AS d SET {changes} FROM ({groups}) AS excluded WHERE {same}").format(
            table=self.name,
            changes=self._changes("{name} = greatest(d.{name} - excluded.{name}, 0)"),
            groups=self._counting(),
            same=sql.SQL(" AND ").join(
                [
                    sql.SQL("d.part = 0"),
                    *(sql.SQL("d.{name} = excluded.{name}").format(name=sql.Identifier(name)) for name in KEY),
                ]
            ),
        )

    def forget_empty(self) -> sql.Composed:
        return sql.SQL("DELETE FROM {} WHERE requests = 0").format(self.name)

    def _counting(self, also: sql.Composable = _NOTHING) -> sql.Composed:
        """The `groups` that count, as rows of the table."""
        values = [
            sql.SQL("sum({})::{} AS {}").format(
                sql.Identifier("rows" if name == "requests" else name), sql.SQL(kind), sql.Identifier(name)
            )
            for name, kind in self.columns
        ]
        return sql.SQL(
            "SELECT day, coalesce(user_id::text, '') AS user_id, coalesce(model::text, '') AS model, {}{} FROM groups"
            " WHERE kind >= {} GROUP BY 1, 2, 3"
        ).format(sql.SQL(", ").join(values), also, sql.Literal(COUNTS))

    def _changes(self, template: str) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL(template).format(name=sql.Identifier(name)) for name, _ in self.columns)


def of(target: LogTarget) -> Daily | None:
    """The sums that are kept of a table; None for one that is no usage log."""
    log = target.usage
    if log is None:
        return None
    sums: list[tuple[str, str, sql.Composable]] = []
    status = log.column("status")
    if status is not None:
        sums.append(("failed", "bigint", sql.SQL("(({}) IS DISTINCT FROM 200)::int").format(written(status.sql))))
    if log.blocked:
        sums.append(("blocked", "bigint", sql.SQL("({})::int").format(written(log.blocked))))
    sums += _columns(log)
    kind = sql.SQL("({})::int * {} + ({})::int * {}").format(
        written(log.only or "true"), sql.Literal(COUNTS), target.soft_deleted, sql.Literal(SOFT)
    )
    return Daily(target.schema, log.daily, _key(log), kind, tuple(sums))


def ensure(session: Session, daily: Daily) -> None:
    """Make the table where it is missing, and merge what a crash left in parts. Raises Conflict where something else
    has its name."""
    present = _columns_of(session, daily)
    if not present:
        session.execute(_create(daily))
        session.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(daily.name, sql.Literal(_COMMENT)))
    elif not _is_ours(daily, present):
        raise Conflict(
            say("The database has a table %(table)s that was not made for the sums of deleted rows.",
                table=f"{daily.schema}.{daily.table}"),
            effect=NOTHING_DELETED,
            advice=say("Name another one in the application map: daily, in the part [usage]."),
        )  # fmt: skip
    session.execute(daily.merge())


def is_there(session: Session, daily: Daily) -> bool:
    return _is_ours(daily, _columns_of(session, daily))


def _is_ours(daily: Daily, present: set[str]) -> bool:
    return {*KEY, "part", *(name for name, _ in daily.columns)} <= present


def _columns_of(session: Session, daily: Daily) -> set[str]:
    """The columns of the table; empty where there is none yet."""
    rows = session.execute(
        "SELECT a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped",
        (daily.schema, daily.table),
    )
    return {str(row[0]) for row in rows}


def _create(daily: Daily) -> sql.Composed:
    columns = [sql.SQL("{} {} NOT NULL").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in daily.columns]
    return sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} (day date NOT NULL, user_id text NOT NULL, model text NOT NULL, {},"
        " part smallint NOT NULL DEFAULT 0, PRIMARY KEY ({}, part))"
    ).format(daily.name, sql.SQL(", ").join(columns), _listed(KEY))


def _key(log: UsageLog) -> tuple[sql.Composable, ...]:
    whose, model = log.lookup(WHOSE), log.column("model")
    nothing = sql.SQL("NULL::text")
    return (
        sql.SQL("{}::date").format(sql.Identifier("r", log.time_column)),
        sql.SQL("({})").format(written(whose.value)) if whose else nothing,
        expression(model) if model else nothing,
    )


def _columns(log: UsageLog) -> list[tuple[str, str, sql.Composable]]:
    """Of the row alone: what is looked up elsewhere is not at hand where rows are deleted."""
    found: list[tuple[str, str, sql.Composable]] = []
    for name in SUMMED:
        column = log.column(name)
        if column is None or any(names(column.sql, lookup.name) for lookup in log.lookups):
            continue
        kind = "bigint" if column.kind is Kind.INTEGER else "numeric"
        found.append((name, kind, expression(column)))
    return found


def _listed(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
