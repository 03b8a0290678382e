"""What is left of rows that are deleted: sums by day, user and model, in a table of the application's schema.

They are added up in the statement that deletes, so that no crash can count a row twice or not at all.
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
_KEY = ("day", "user_id", "model")
_COMMENT = "Sums of usage whose rows pghaven has deleted; by UTC day, user and model."


@dataclass(frozen=True, slots=True)
class Daily:
    """The table of sums of one usage log, and the expressions over its rows `r` that fill it."""

    schema: str
    table: str
    key: tuple[sql.Composable, ...]
    counts: sql.Composable
    """Whether the row counts: one that the application has deleted counts nowhere."""
    sums: tuple[tuple[str, str, sql.Composable], ...]
    """Name, type and what is added up for one row; the first is the number of requests."""

    @property
    def name(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*_KEY, *(name for name, _, _ in self.sums))

    def returned(self) -> sql.Composed:
        """What a statement over `r` has to return, so that `add` can work on it."""
        values = [(self.counts, "counts"), *zip(self.key, _KEY, strict=True)]
        values += [(value, name) for name, _, value in self.sums]
        return sql.SQL(", ").join(sql.SQL("{} AS {}").format(value, sql.Identifier(name)) for value, name in values)

    def add(self, source: str) -> sql.Composed:
        """Add up what stands in `source`, a WITH query that returned `returned()`."""
        return sql.SQL(
            "INSERT INTO {table} AS d ({columns}) SELECT {columns_and_sums} FROM {source} WHERE counts"
            " GROUP BY {key} ON CONFLICT ({key}) DO UPDATE SET {changes}"
        ).format(
            table=self.name,
            columns=_listed(self.columns),
            columns_and_sums=sql.SQL(", ").join([_listed(_KEY), *self._summed()]),
            source=sql.Identifier(source),
            key=_listed(_KEY),
            changes=self._changes("{name} = d.{name} + excluded.{name}"),
        )

    def take_away(self, source: str) -> sql.Composed:
        """Take what stands in `source` off the sums: its rows are in the log again. Nothing falls below nothing."""
        return sql.SQL(
            "UPDATE {table} AS d SET {changes} FROM (SELECT {columns_and_sums} FROM {source} WHERE counts GROUP BY"
            " {key}) AS excluded WHERE {same}"
        ).format(
            table=self.name,
            changes=self._changes("{name} = greatest(d.{name} - excluded.{name}, 0)"),
            columns_and_sums=sql.SQL(", ").join(
                [
                    _listed(_KEY),
                    *(
                        sql.SQL("{} AS {}").format(value, sql.Identifier(name))
                        for value, (name, _, _) in zip(self._summed(), self.sums, strict=True)
                    ),
                ]
            ),
            source=sql.Identifier(source),
            key=_listed(_KEY),
            same=sql.SQL(" AND ").join(
                sql.SQL("d.{name} = excluded.{name}").format(name=sql.Identifier(name)) for name in _KEY
            ),
        )

    def forget_empty(self) -> sql.Composed:
        return sql.SQL("DELETE FROM {} WHERE requests = 0").format(self.name)

    def _summed(self) -> list[sql.Composed]:
        return [sql.SQL("sum({})::{}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind, _ in self.sums]

    def _changes(self, template: str) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL(template).format(name=sql.Identifier(name)) for name, _, _ in self.sums)


def of(target: LogTarget) -> Daily | None:
    """The sums that are kept of a table; None for one that is no usage log."""
    log = target.usage
    if log is None:
        return None
    sums: list[tuple[str, str, sql.Composable]] = [("requests", "bigint", sql.SQL("1"))]
    status = log.column("status")
    if status is not None:
        sums.append(("failed", "bigint", sql.SQL("(({}) IS DISTINCT FROM 200)::int").format(written(status.sql))))
    if log.blocked:
        sums.append(("blocked", "bigint", sql.SQL("coalesce({}, false)::int").format(written(log.blocked))))
    sums += _columns(log)
    return Daily(target.schema, log.daily, _key(target, log), written(log.only or "true"), tuple(sums))


def ensure(session: Session, daily: Daily) -> None:
    """Make the table where it is missing. Raises Conflict where something else has its name."""
    present = columns_of(session, daily)
    if not present:
        session.execute(_create(daily))
        session.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(daily.name, sql.Literal(_COMMENT)))
    elif not set(daily.columns) <= present:
        raise Conflict(
            say("The database has a table %(table)s that was not made for the sums of deleted rows.",
                table=f"{daily.schema}.{daily.table}"),
            effect=NOTHING_DELETED,
            advice=say("Name another one in the application map: daily, in the part [usage]."),
        )  # fmt: skip


def columns_of(session: Session, daily: Daily) -> set[str]:
    """The columns of the table; empty where there is none yet."""
    rows = session.execute(
        "SELECT a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped",
        (daily.schema, daily.table),
    )
    return {str(row[0]) for row in rows}


def _create(daily: Daily) -> sql.Composed:
    columns = [
        sql.SQL("{} {} NOT NULL").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in (
            ("day", "date"),
            ("user_id", "text"),
            ("model", "text"),
            *((name, kind) for name, kind, _ in daily.sums),
        )
    ]
    return sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({}))").format(
        daily.name, sql.SQL(", ").join(columns), _listed(_KEY)
    )


def _key(target: LogTarget, log: UsageLog) -> tuple[sql.Composable, ...]:
    whose, model = log.lookup(WHOSE), log.column("model")
    nothing = sql.SQL("''::text")
    return (
        sql.SQL("({}::timestamptz AT TIME ZONE 'UTC')::date").format(target.time),
        sql.SQL("coalesce(({})::text, '')").format(written(whose.value)) if whose else nothing,
        sql.SQL("coalesce({}::text, '')").format(expression(model)) if model else nothing,
    )


def _columns(log: UsageLog) -> list[tuple[str, str, sql.Composable]]:
    """Of the row alone: what is looked up elsewhere is not at hand where rows are deleted."""
    found: list[tuple[str, str, sql.Composable]] = []
    for name in SUMMED:
        column = log.column(name)
        if column is None or any(names(column.sql, lookup.name) for lookup in log.lookups):
            continue
        kind = "bigint" if column.kind is Kind.INTEGER else "numeric"
        found.append((name, kind, sql.SQL("coalesce({}, 0)").format(expression(column))))
    return found


def _listed(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
