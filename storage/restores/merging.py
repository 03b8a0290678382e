"""What of an archive is added to a database that is there: which rows, by which key, in which order. Pure.

Rows are known by the primary key of the target. A row whose key is taken, or that clashes with another unique key, is
left alone, and so is everything that the target has. References between tables are held by the order of the tables;
where tables refer to each other in a circle, by looking at the references once all rows are there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from storage.errors import Message, say
from storage.restores.merging_facts import MergeTable, Reference


class How(StrEnum):
    CREATE = "create"
    """The table is made, with all rows."""
    KEY = "key"
    """The rows whose key is missing."""
    FILL = "fill"
    """All rows, where the table has none and no key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMerge:
    """One table that gets rows."""

    table: MergeTable
    """As the target has it; for a new one, as the archive does."""
    how: How
    columns: tuple[str, ...]
    """Those that are carried over."""
    dropped: tuple[str, ...] = ()
    """Columns of the archive that the target does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """What is done, table by table, in this order."""

    tables: tuple[TableMerge, ...]
    left: Mapping[str, Message]
    """Tables of the archive that get nothing, and why: schema.table."""
    deferred: tuple[Reference, ...]
    """References that are looked at once all rows are there."""


def decide(
    *,
    theirs: Mapping[str, MergeTable],
    ours: Mapping[str, MergeTable],
    created: Collection[str],
    refused: Mapping[str, Message],
    empty: Collection[str],
    references: Iterable[Reference],
    without: Collection[str] = (),
) -> Merge:
    """`theirs` are the tables of the archive, `ours` those of the target; `empty` are those of ours without any row,
    as far as it was asked, `without` those that come without rows."""
    left: dict[str, Message] = {}
    merged: dict[str, TableMerge] = {}
    for name, table in sorted(theirs.items()):
        if name in created:
            merged[name] = TableMerge(table=table, how=How.CREATE, columns=table.given)
        elif name in refused:
            left[name] = refused[name]
        elif name in without:
            left[name] = say("It is a log table, and those come without their rows.")
        elif (target := ours.get(name)) is None:
            left[name] = say("Something else has its name.")
        else:
            decided = _one(table, target, empty=name in empty)
            if isinstance(decided, TableMerge):
                merged[name] = decided
            else:
                left[name] = decided
    order, deferred = load_order(merged, references)
    return Merge(tables=tuple(merged[name] for name in order), left=left, deferred=tuple(deferred))


def _one(theirs: MergeTable, target: MergeTable, *, empty: bool) -> TableMerge | Message:
    columns = tuple(column for column in target.given if column in theirs.columns)
    dropped = tuple(column for column in theirs.given if column not in target.columns)
    if target.rules:
        return say("A rule rewrites what is inserted into it.")
    if not columns:
        return say("It has no column that the archive has.")
    if target.key and not set(target.key) <= set(columns):
        return say("The archive has no values for its primary key.")
    if target.key:
        return TableMerge(table=target, how=How.KEY, columns=columns, dropped=dropped)
    if empty:
        return TableMerge(table=target, how=How.FILL, columns=columns, dropped=dropped)
    return say("It has rows, and no primary key by which those of the archive could be told from them.")


def load_order(tables: Collection[str], references: Iterable[Reference]) -> tuple[Sequence[str], Sequence[Reference]]:
    """Parents first, and the references that no order can hold: one of every circle at least."""
    among = [one for one in references if one.table in tables and one.to in tables and one.table != one.to]
    order: list[str] = []
    deferred: list[Reference] = []
    waiting = set(tables)
    while waiting:
        blocked = {one.table for one in among if one.table in waiting and one.to in waiting}
        free = sorted(waiting - blocked)
        if not free:
            free = [
                min(waiting, key=lambda name: (sum(one.table == name and one.to in waiting for one in among), name))
            ]
            deferred += [one for one in among if one.table == free[0] and one.to in waiting]
        order += free
        waiting -= set(free)
    return order, deferred
