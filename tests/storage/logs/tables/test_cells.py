"""What every common type looks like in a file: exact, and nothing that a spreadsheet would carry out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import openpyxl
import pytest
from psycopg import sql

from storage.jobs.model import JobState
from storage.logs.formats import Format
from storage.logs.tables.request import Condition, Operator, TableRequest
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.storage.logs.tables.conftest import as_csv, as_json, exported

pytestmark = pytest.mark.postgres

# Column, and what CSV, NDJSON and XLSX have in rows 1, 2 and 4; row 3 is NULL in all columns.
CELLS: list[tuple[str, tuple[str, str, str], tuple[Any, Any, Any], tuple[Any, Any, Any]]] = [
    ("big", ("9007199254740993", "-1", "10"), (9007199254740993, -1, 10), ("9007199254740993", -1, 10)),
    (
        "exact",
        ("1234567890.123456789012345", "-0.500000000000000", "2.000000000000000"),
        (1234567890.123456789012345, -0.5, 2),
        ("1234567890.123456789012345", -0.5, 2),
    ),
    ("approximate", ("0.1", "NaN", "1e+300"), (0.1, "NaN", 1e300), (0.1, "nan", 1e300)),
    ("flag", ("t", "f", "t"), (True, False, True), ("true", "false", "true")),
    ("text", ("plain", "", "' =1+1"), ("plain", "", " =1+1"), ("plain", "", " =1+1")),
    (
        "day",
        *(("2026-03-29", "0044-03-15 BC", "9999-12-31"),) * 2,
        (datetime(2026, 3, 29), "0044-03-15 BC", datetime(9999, 12, 31)),
    ),
    (
        "clock",
        ("2026-03-29T02:30:00.123456", "-infinity", "2026-10-25T02:30:00.000000"),
        ("2026-03-29T02:30:00.123456", "-infinity", "2026-10-25T02:30:00.000000"),
        (datetime(2026, 3, 29, 2, 30, 0, 123000), "-infinity", datetime(2026, 10, 25, 2, 30)),
    ),
    (
        "moment",
        ("2026-03-29T01:30:00.500000Z", "infinity", "0044-03-15 00:00:00+00 BC"),
        ("2026-03-29T01:30:00.500000Z", "infinity", "0044-03-15 00:00:00+00 BC"),
        (datetime(2026, 3, 29, 1, 30, 0, 500000), "infinity", "0044-03-15 00:00:00+00 BC"),
    ),
    ("hour", *(("13:14:15", "00:00:00", "23:59:59.999999"),) * 3),
    ("span", *(("1 day 02:00:00", "-1 days", "00:00:00"),) * 3),
    ("raw", *(("\\x00ff5c", "\\x", "\\xdeadbeef"),) * 3),
    (
        "doc",
        ('{"a": 1,  "b": "x"}', "null", "[]"),
        ({"a": 1, "b": "x"}, None, []),
        ('{"a": 1,  "b": "x"}', "null", "[]"),
    ),
    (
        "tree",
        ('{"a": null, "b": [1, 2.50]}', "-5", '"=cmd"'),
        ({"a": None, "b": [1, 2.5]}, -5, "=cmd"),
        ('{"a": null, "b": [1, 2.50]}', "-5", '"=cmd"'),
    ),
    ("numbers", ("{1,NULL,3}", "{}", "{-1}"), ([1, None, 3], [], [-1]), ("{1,NULL,3}", "{}", "{-1}")),
    ("words", ('{"a,b","q\\"q"}', "{}", "{=x}"), (["a,b", 'q"q'], [], ["=x"]), ('{"a,b","q\\"q"}', "{}", "{=x}")),
    ("docs", *(('{"{\\"x\\":1}"}',) * 3,) * 3),
    ("mood", ("happy", "'=sad", "happy"), ("happy", "=sad", "happy"), ("happy", "=sad", "happy")),
    ("place", *(("(1,2)",) * 3,) * 3),
    ("shop", ("ab", "", "'="), ("ab", "", "="), ("ab", "", "=")),
    ("both", *(('(5,"x y")',) * 3,) * 3),
    ("price", *(("-$1,234.50",) * 3,) * 3),
    ("width", *(("[1,5)",) * 3,) * 3),
]  # fmt: skip
ONLY_FIRST = frozenset({"width", "docs", "place", "both", "price"})
"""Columns of which only the first row's value is looked at."""


def wanted(column: str) -> TableRequest:
    return TableRequest(table="kinds", columns=("id", column), order="id")


@pytest.mark.parametrize(("column", "in_csv"), [(column, in_csv) for column, in_csv, _, _ in CELLS])
def test_cells_of_csv(standing: Storage, column: str, in_csv: tuple[str, ...]) -> None:
    rows = [row[1] for row in as_csv(standing, wanted(column))[1:]]
    assert rows[2] == ""
    found = (rows[0], rows[1], rows[3])
    assert found[: 1 if column in ONLY_FIRST else 3] == in_csv[: 1 if column in ONLY_FIRST else 3]


@pytest.mark.parametrize(("column", "in_json"), [(column, in_json) for column, _, in_json, _ in CELLS])
def test_cells_of_ndjson(standing: Storage, column: str, in_json: tuple[Any, ...]) -> None:
    rows = [row[column] for row in as_json(standing, wanted(column))]
    assert rows[2] is None
    found = (rows[0], rows[1], rows[3])
    assert found[: 1 if column in ONLY_FIRST else 3] == in_json[: 1 if column in ONLY_FIRST else 3]


def test_numbers_of_ndjson_have_all_of_their_digits(standing: Storage) -> None:
    text = exported(standing, wanted("exact"), Format.NDJSON).decode()
    assert '"exact":1234567890.123456789012345}' in text


def test_null_and_the_empty_text_are_kept_apart(standing: Storage) -> None:
    lines = exported(standing, wanted("text"), Format.CSV).decode("utf-8-sig").splitlines()
    assert lines[2:4] == ['2,""', "3,"]


def test_cells_of_a_workbook(standing: Storage) -> None:
    everything = TableRequest(table="kinds", order="id")
    job, _ = standing.logs.exports.start(
        "shop", everything.to_json(), Format.XLSX, name="kinds", by="ana", background=False
    )
    done = standing.runner.run_here(job)
    assert done.state is JobState.COMPLETED, done.error
    sheet = openpyxl.load_workbook(standing.logs.exports.get(job.job_id, by="ana").path)["kinds"]
    headings = [str(cell.value) for cell in sheet[1]]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    assert "moment (UTC)" in headings
    assert "clock" in headings
    for column, _csv, _json, in_sheet in CELLS:
        place = headings.index("moment (UTC)" if column == "moment" else column)
        found = (rows[0][place], rows[1][place], rows[3][place])
        assert rows[2][place] is None, column
        assert found[: 1 if column in ONLY_FIRST else 3] == in_sheet[: 1 if column in ONLY_FIRST else 3], column


def test_a_formula_is_looked_for_as_it_is_stored(standing: Storage) -> None:
    found = TableRequest(table="kinds", columns=("id",), conditions=(Condition("text", Operator.EQUAL, " =1+1"),))
    assert as_csv(standing, found)[1:] == [["4"]]


@pytest.mark.parametrize("name", ["History", "[a]:*?/\\'b", "x" * 63, "sheet'"])
def test_a_table_of_any_name_becomes_a_sheet(shop: Storage, tables: Connection, name: str) -> None:
    with connect(tables, application="tests") as session:
        session.execute(sql.SQL("CREATE TABLE {} AS SELECT 1 AS a").format(sql.Identifier(name)))
    found = shop.logs.tables.check("shop", TableRequest(table=name))
    job, _ = shop.logs.exports.start("shop", found.to_json(), Format.XLSX, name="one", by="ana", background=False)
    done = shop.runner.run_here(job)
    assert done.state is JobState.COMPLETED, done.error
    book = openpyxl.load_workbook(shop.logs.exports.get(job.job_id, by="ana").path)
    assert book.worksheets[0]["A2"].value == 1


def test_the_name_of_a_column_is_no_formula_either(shop: Storage, tables: Connection) -> None:
    names = ["=1+1", "  @SUM(1)", "+x", "-x", "\tx", "\rx", "a=1", " a"]
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in names)
    with connect(tables, application="tests") as session:
        session.execute(sql.SQL("CREATE TABLE formulas ({})").format(columns))
        session.execute("INSERT INTO formulas DEFAULT VALUES")
    head, row = as_csv(shop, TableRequest(table="formulas"))
    assert head == ["'=1+1", "'  @SUM(1)", "'+x", "'-x", "'\tx", "'\rx", "a=1", " a"]
    assert row == [""] * len(names)
    assert list(as_json(shop, TableRequest(table="formulas"))[0]) == names
