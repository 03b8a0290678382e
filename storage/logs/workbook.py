"""Rows as an XLSX workbook: sheets of rows, and one that sums them up by day. Written row by row in constant memory.

A number that a spreadsheet would round, of more than 15 significant digits, is written as text: exact counts more than
summable. Texts are texts, never formulas; one that is longer than a cell ends with a note. Times are UTC, as dates of
the spreadsheet's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader

from storage.applications.usage import Kind
from storage.logs.rowset import Cell, RowSet
from storage.postgres.snapshot import Session

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format as CellFormat
    from xlsxwriter.worksheet import Worksheet

ROWS_OF_A_SHEET = 1_048_575
"""A sheet has 1,048,576 rows (ECMA-376's limit in Excel); the first holds the headings."""
LETTERS_OF_A_CELL = 32_767
"""As UTF-16 counts them. XlsxWriter leaves a longer text out without a word."""
EXACT_DIGITS = 15
TOO_LARGE = 1_000_000_000_000_000
FIRST_YEAR = 1900
"""Before it, a spreadsheet knows no dates."""
AT_A_TIME = 5000
BY_DAY = "By day"


def write(session: Session, rows: RowSet, path: Path, *, folder: Path, on_rows: Callable[[int], None]) -> int:
    """Write all rows into a workbook at `path`; returns how many. `on_rows` is told how many there are so far, and
    may end it by raising. What is half made lies in `folder`."""
    # Loading it takes memory that only those who make workbooks should spend.
    from xlsxwriter import Workbook

    book = Workbook(
        str(path),
        {
            "constant_memory": True,
            "tmpdir": str(folder),
            "default_date_format": "yyyy-mm-dd hh:mm:ss.000",
            "use_zip64": True,  # only where there is more than 4 GB
        },
    )
    try:
        sheets = _Sheets(book, rows)
        with session.cursor(name="export") as cursor:
            cursor.itersize = AT_A_TIME
            for name, loader in _LOADERS.items():
                cursor.adapters.register_loader(name, loader)
            for line in cursor.execute(rows.select([(_read(cell), cell.name) for cell in rows.cells])):
                sheets.add(line)
                if sheets.rows % AT_A_TIME == 0:
                    on_rows(sheets.rows)
        sheets.finish()
        on_rows(sheets.rows)  # once more: packing takes long, and nothing ends it
    except BaseException:
        for sheet in book.worksheets():
            sheet._opt_close()  # XlsxWriter knows no other way to give a workbook up without packing it
        raise
    book.close()
    on_rows(sheets.rows)
    return sheets.rows


def _read(cell: Cell) -> sql.Composable:
    return sql.SQL("({})::text").format(cell.value) if cell.kind in (Kind.TEXT, Kind.EXACT) else cell.value


class _Moments(TimestamptzLoader):
    """Times; those that Python cannot hold, such as infinity, in the server's own words."""

    def load(self, data: Buffer) -> Any:
        return _or_words(super().load, data)


class _Clocks(TimestampLoader):
    def load(self, data: Buffer) -> Any:
        return _or_words(super().load, data)


class _Dates(DateLoader):
    def load(self, data: Buffer) -> Any:
        return _or_words(super().load, data)


def _or_words(load: Callable[[Buffer], Any], data: Buffer) -> Any:
    try:
        return load(data)
    except psycopg.DataError:
        return bytes(data).decode()


_LOADERS: Mapping[str, type[Loader]] = {"timestamptz": _Moments, "timestamp": _Clocks, "date": _Dates}


@dataclass(frozen=True, slots=True)
class Forms:
    """How a sheet shows times and days."""

    time: CellFormat
    date: CellFormat


@dataclass(slots=True)
class _Day:
    rows: int = 0
    sums: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


class _Sheets:
    def __init__(self, book: Workbook, rows: RowSet) -> None:
        self._book, self._set, self.rows = book, rows, 0
        self._bold = book.add_format({"bold": True})
        self._forms = Forms(
            time=book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"}),
            date=book.add_format({"num_format": "yyyy-mm-dd"}),
        )
        self._number = 1
        self._sheet = self._next_sheet()
        self._row = 0
        self._place = {cell.name: place for place, cell in enumerate(rows.cells)}
        self._summed = [name for name in rows.summed if name in self._place]
        self._days: dict[date | None, _Day] = defaultdict(_Day)
        self._by_day = book.add_worksheet(BY_DAY) if rows.day in self._place else None

    def add(self, line: Sequence[Any]) -> None:
        if self._row == ROWS_OF_A_SHEET:
            self._number += 1
            self._sheet, self._row = self._next_sheet(), 0
        self._row += 1
        self.rows += 1
        for place, value in enumerate(line):
            put(self._sheet, self._row, place, value, self._forms)
        if self._by_day is not None:
            moment = line[self._place[self._set.day]]
            day = self._days[in_utc(moment).date() if isinstance(moment, datetime) else None]
            day.rows += 1
            for name in self._summed:
                day.sums[name] += line[self._place[name]] or 0

    def finish(self) -> None:
        """Write the sums, the oldest day first; rows without a time come last."""
        if self._by_day is None:
            return
        headings = ["Day (UTC)", "Rows", *(self._set.cells[self._place[name]].heading for name in self._summed)]
        self._head(self._by_day, headings)
        known = sorted(day for day in self._days if day is not None)
        for row, day in enumerate([*known, *([None] if None in self._days else [])], start=1):
            found = self._days[day]
            values = [day.isoformat() if day else "", found.rows, *(found.sums[name] for name in self._summed)]
            for place, value in enumerate(values):
                put(self._by_day, row, place, value, self._forms)

    def _next_sheet(self) -> Worksheet:
        sheet = self._book.add_worksheet(self._set.title if self._number == 1 else f"{self._set.title} {self._number}")
        self._head(
            sheet,
            [f"{cell.heading} (UTC)" if cell.kind is Kind.TIME else cell.heading for cell in self._set.cells],
        )
        return sheet

    def _head(self, sheet: Worksheet, headings: Iterable[str]) -> None:
        sheet.freeze_panes(1, 0)
        for place, heading in enumerate(headings):
            sheet.write_string(0, place, heading, self._bold)


def put(sheet: Worksheet, row: int, place: int, value: Any, forms: Forms) -> None:
    """Write one value so that it is shown as what it is: exact, and never carried out."""
    match value:
        case None:
            return
        case bool():
            sheet.write_boolean(row, place, value)
        case int() | Decimal() if fits(value):
            sheet.write_number(row, place, value)
        case float() if isfinite(value):
            sheet.write_number(row, place, value)
        case datetime() if value.year >= FIRST_YEAR:
            sheet.write_datetime(row, place, in_utc(value), forms.time)
        case date() if not isinstance(value, datetime) and value.year >= FIRST_YEAR:
            sheet.write_datetime(row, place, value, forms.date)
        case _:
            sheet.write_string(row, place, fitting(str(value)))


def fitting(text: str) -> str:
    """A text as far as a cell can hold it; one that is longer says at its end that it was cut."""
    letters = text.encode("utf-16-le", "surrogatepass")
    if len(letters) <= 2 * LETTERS_OF_A_CELL:
        return text
    note = f" … (cut: {len(text):,} characters)"
    return letters[: 2 * (LETTERS_OF_A_CELL - len(note))].decode("utf-16-le", "ignore") + note


def in_utc(moment: datetime) -> datetime:
    """A time without its zone, which a spreadsheet does not know; one that has none is left as it is."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def fits(value: int | Decimal) -> bool:
    """Whether a spreadsheet keeps every digit of a number: it counts in doubles, and shows 15 significant digits."""
    if isinstance(value, int):
        return abs(value) < TOO_LARGE
    if not value.is_finite():
        return False
    digits: tuple[int, ...] = value.normalize().as_tuple().digits
    return len(digits) <= EXACT_DIGITS and abs(value.adjusted()) < 300
