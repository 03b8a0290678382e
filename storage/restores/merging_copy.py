"""Rows on their way from the database beside into the target: streamed from one COPY into another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psycopg import sql

from storage.postgres.snapshot import Session
from storage.restores.merging import How, TableMerge
from storage.restores.merging_facts import MergeTable


class Copying:
    """Carries the rows of the archive into the target's transaction, without holding them.

    `watch` is told the table and the rows so far in all.
    """

    def __init__(self, target: Session, beside: Session, watch: Callable[[str, int], None]) -> None:
        self._target, self._beside, self._watch = target, beside, watch
        self._rows = 0
        self.staged: dict[str, tuple[sql.Identifier, int]] = {}
        """Where the rows of a table are now, and how many."""

    def copy(self, merge: TableMerge) -> None:
        """Into a temporary table with the target's types; into the table itself where nobody can see it yet."""
        table, columns = merge.table, columns_of(merge.columns)
        into = sql.Identifier(table.schema, table.name)
        if merge.how is not How.CREATE:
            into = sql.Identifier("pg_temp", f"pghaven_merge_{len(self.staged)}")
            self._target.execute(
                sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                    into, columns, rows_of(table)
                )
            )
        before = self._rows
        if merge.columns:
            self._pour(merge, into)
        self.staged[table.full_name] = (into, self._rows - before)

    def _pour(self, merge: TableMerge, into: sql.Identifier) -> None:
        columns = columns_of(merge.columns)
        reading = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(columns, rows_of(merge.table))
        writing = sql.SQL("COPY {} ({}) FROM STDIN").format(into, columns)
        with (
            self._beside.cursor().copy(reading) as source,
            self._target.cursor().copy(writing) as goal,
        ):
            for piece in source:
                goal.write(piece)
                # In COPY's text form a line feed inside a value is written as two letters.
                self._rows += bytes(piece).count(b"\n")
                self._watch(merge.table.full_name, self._rows)


def columns_of(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def rows_of(table: MergeTable) -> sql.Composed:
    """The table's own rows: those of its partitions, and not those of tables that inherit from it."""
    return sql.SQL("{}{}").format(
        sql.SQL("" if table.partitioned else "ONLY "), sql.Identifier(table.schema, table.name)
    )
