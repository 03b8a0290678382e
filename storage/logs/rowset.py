"""Rows that are to be written into a file, whatever they are rows of: their cells, and the statement for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg import sql

from storage.applications.usage import Kind

Select = Callable[[Sequence[tuple[sql.Composable, str]]], sql.Composed]
"""Makes a SELECT of expressions under names, of all the rows and in their order."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of a file."""

    name: str
    heading: str
    kind: Kind
    value: sql.Composable


@dataclass(frozen=True, slots=True)
class RowSet:
    cells: tuple[Cell, ...]
    select: Select
    count: sql.Composed
    """Says how many rows there are."""
    title: str
    """What a sheet of them is called."""
    day: str = ""
    """The cell by whose day a workbook sums the others up; "" for no such sheet."""
    summed: tuple[str, ...] = ()
