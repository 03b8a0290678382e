"""The formats that rows are written in: what each is called, and the COPY that makes it on the server.

A format of its own is a member of `Format`, a line in `MEDIA_TYPES`, and either a statement here or, when the server
cannot make it, a module that writes the file like `workbook`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from psycopg import sql

from storage.logs import cells
from storage.logs.rowset import RowSet
from storage.logs.stream import BYTE_ORDER_MARK


class Format(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"
    XLSX = "xlsx"


MEDIA_TYPES: Mapping[Format, str] = {
    Format.CSV: "text/csv",
    Format.NDJSON: "application/x-ndjson",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
STREAMED = (Format.CSV, Format.NDJSON)
"""The server makes them, so they can be sent while they are made."""
BEGINNINGS: Mapping[Format, bytes] = {Format.CSV: BYTE_ORDER_MARK, Format.NDJSON: b""}


def statement(rows: RowSet, form: Format) -> sql.Composed:
    """The COPY that yields all rows in a format of `STREAMED`."""
    return _csv(rows) if form is Format.CSV else _ndjson(rows)


def _csv(rows: RowSet) -> sql.Composed:
    """RFC 4180 with a line of headings. NULL is an empty cell, an empty text is ""."""
    columns = [(cells.for_csv(cell.kind, cell.value), _heading(cell.heading)) for cell in rows.cells]
    return sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(rows.select(columns))


def _heading(name: str) -> str:
    """What a column is called, made as harmless as a cell: a table's columns may be called anything."""
    return f"'{name}" if re.match(r"[ \n\v\f]*[=+\-@\t\r]", name) else name


def _ndjson(rows: RowSet) -> sql.Composed:
    """A JSON object in each line, numbers as exact as the server has them.

    As CSV whose quotation mark and delimiter are control characters, which JSON has only escaped: so nothing is
    escaped a second time.
    """
    columns = [(cells.for_json(cell.kind, cell.value), cell.name) for cell in rows.cells]
    return sql.SQL(
        "COPY (SELECT row_to_json(line) FROM ({}) AS line) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
    ).format(rows.select(columns))
