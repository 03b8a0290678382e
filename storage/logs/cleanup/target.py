"""The table that is cleaned up: which one a request means, what the catalogue says of it, what stands against it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from psycopg import sql

from storage.applications import maps
from storage.applications.maps import ApplicationMap, LogTable
from storage.applications.usage import UsageLog
from storage.errors import Conflict, Invalid, NotFound, say
from storage.logs import reading
from storage.logs.cleanup.request import NOTHING_DELETED, CleanupRequest
from storage.logs.reading import Located
from storage.postgres.snapshot import Session

ROW = sql.Identifier("r")
"""How the map's expressions name the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTarget:
    schema: str
    table: str
    time_column: str
    soft_delete_column: str | None = None
    usage: UsageLog | None = None
    """What the map says of the usage log, where this table is it."""
    located: Located | None = None

    @property
    def full(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def name(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    @property
    def time(self) -> sql.Identifier:
        return sql.Identifier("r", self.time_column)

    @property
    def soft_deleted(self) -> sql.Composable:
        """Whether the application itself has deleted the row already."""
        if self.soft_delete_column is None:
            return sql.SQL("false")
        return sql.SQL("({} IS NOT NULL)").format(sql.Identifier("r", self.soft_delete_column))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What the catalogue says of a table; of a partitioned one, of all its parts together."""

    total_bytes: int
    """With indexes and what is stored beside the rows."""
    rows: int
    """About so many, as of the last ANALYZE."""
    blocks: int
    """Of the table's own file; of the largest part."""
    time_indexed: bool
    """Whether a B-tree begins with the time column."""


def described(session: Session, applications: Collection[ApplicationMap]) -> list[LogTarget]:
    """The log tables that the map of this database's application names, as far as they are there."""
    try:
        located = reading.locate(session, applications)
    except NotFound:
        return []
    return [
        _of_map(located, log) for log in located.application.log_tables if _full(located, log.table) in located.tables
    ]


def find(session: Session, applications: Collection[ApplicationMap], request: CleanupRequest) -> LogTarget:
    """The table that a request means. Raises NotFound, or Invalid where it asks for what the table does not have."""
    target = (
        _named(session, applications, request) if request.time_column else _mapped(session, applications, request.table)
    )
    if request.of_usage and target.usage is None:
        raise Invalid(
            say("%(table)s is no usage log: users, providers and status codes cannot be asked for.", table=target.full),
            effect=NOTHING_DELETED,
        )
    return target


def facts(session: Session, target: LogTarget) -> TableFacts:
    row = session.execute(_FACTS, {"table": _literal(target), "column": target.time_column}).fetchone()
    assert row is not None
    return TableFacts(total_bytes=int(row[0]), rows=int(row[1]), blocks=int(row[2]), time_indexed=bool(row[3]))


def refuse_what_takes_others_along(session: Session, target: LogTarget) -> None:
    """Raise Conflict where deleting a row would delete or change rows of other tables: those nobody has counted."""
    rows = session.execute(_DEPENDENTS, {"table": _literal(target)}).fetchall()
    if rows:
        raise Conflict(
            say("Rows of %(others)s belong to rows of %(table)s, and would be deleted or changed with them.",
                others=", ".join(str(row[0]) for row in rows), table=target.full),
            effect=NOTHING_DELETED,
            advice=say("Clean those tables up first, or have their foreign keys refuse (ON DELETE RESTRICT)."),
        )  # fmt: skip


def _mapped(session: Session, applications: Collection[ApplicationMap], table: str) -> LogTarget:
    located = reading.locate(session, applications)
    known = located.application.log_tables
    usage = located.application.usage
    wanted = table or (usage.table if usage else known[0].table if known else "")
    for log in known:
        if wanted in (log.table, _full(located, log.table)):
            located.table(log.table)
            return _of_map(located, log)
    raise NotFound(
        say("The application map names no log table “%(table)s”.", table=wanted[:80]),
        effect=NOTHING_DELETED,
        advice=say("Name its time column as well, and any table can be cleaned up."),
    )


def _of_map(located: Located, log: LogTable) -> LogTarget:
    schema, _, table = _full(located, log.table).partition(".")
    usage = located.application.usage
    return LogTarget(
        schema=schema,
        table=table,
        time_column=log.time_column,
        soft_delete_column=log.soft_delete_column,
        usage=usage if usage and _full(located, usage.table) == f"{schema}.{table}" else None,
        located=located,
    )


def _full(located: Located, table: str) -> str:
    return maps.qualified(located.application, table, located.tables) or ""


def _named(session: Session, applications: Collection[ApplicationMap], request: CleanupRequest) -> LogTarget:
    """Any table, by its time column. What the map says of it counts all the same: sums are kept of a usage log."""
    rows = session.execute(_TIME_COLUMNS, {"table": request.table, "column": request.time_column}).fetchall()
    if len(rows) != 1:
        raise NotFound(
            say("There is no table “%(table)s” with a time column “%(column)s”.",
                table=request.table[:80], column=request.time_column[:80]),
            effect=NOTHING_DELETED,
            advice=say("Name the table with its schema, and a column of the type timestamp or date."),
        )  # fmt: skip
    found = LogTarget(schema=str(rows[0][0]), table=str(rows[0][1]), time_column=request.time_column)
    known = [target for target in described(session, applications) if target.full == found.full]
    return replace(known[0], time_column=request.time_column) if known else found


def _literal(target: LogTarget) -> str:
    """For ::regclass, which reads names as SQL does."""
    return target.name.as_string(None)


_FACTS = """
WITH parts AS (
    SELECT %(table)s::regclass::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree(%(table)s::regclass)
)
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0), coalesce(sum(greatest(c.reltuples, 0))::bigint, 0),
       coalesce(max(pg_relation_size(c.oid)), 0) / current_setting('block_size')::bigint,
       EXISTS (SELECT FROM pg_index i
               JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
               WHERE i.indrelid = %(table)s::regclass AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'
                 AND a.attname = %(column)s)
FROM parts JOIN pg_class c ON c.oid = parts.oid WHERE c.relkind <> 'p'
"""

_DEPENDENTS = """
SELECT DISTINCT c.conrelid::regclass::text FROM pg_constraint c
WHERE c.contype = 'f' AND c.confrelid = %(table)s::regclass AND c.confdeltype IN ('c', 'n', 'd') ORDER BY 1
"""

_TIME_COLUMNS = """
SELECT n.nspname::text, c.relname::text
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
  AND a.attname = %(column)s AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
  AND (n.nspname || '.' || c.relname = %(table)s OR (c.relname = %(table)s AND n.nspname = 'public'))
"""
