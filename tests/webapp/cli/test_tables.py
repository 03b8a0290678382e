"""`pghaven tables`: what is listed can be exported, and what cannot be asked is refused before a file is there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest

from storage.postgres.connection import connect
from tests.servers import Server
from tests.webapp.cli.conftest import Terminal, url_of

SCRIPT = Path(__file__).parents[2] / "storage" / "logs" / "tables" / "tables.sql"
NASTY = "we~2e~ird.ta~22~ble~2f~100~25~~3b~~20~DROP"

pytestmark = pytest.mark.postgres


@pytest.fixture
def shop(terminal: Terminal, server: Server) -> Iterator[Terminal]:
    with server.a_database() as connection:
        with connect(connection, application="tests") as session:
            session.execute(SCRIPT.read_bytes())
        terminal("databases", "add", "shop", url_of(connection), "--no-test").good()
        yield terminal


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_tables_are_listed_by_what_they_are_exported_by(shop: Terminal) -> None:
    found = {one["key"]: one for one in shop("tables", "list", "shop", "--json").good().json}
    assert found[NASTY]["name"] == 'ta"ble/100%; DROP'
    assert (found["public.happy"]["view"], found["public.kinds"]["rows"]) == (True, 4)
    lines = shop("tables", "list", "shop").good().out.splitlines()
    assert any(line.split()[:3] == ["public.kinds", "table", "4"] for line in lines)
    out = shop("tables", "export", "shop", NASTY, "-o", "-", "--columns", '"a.b",table', "--order", "table").good().out
    assert rows_of(out) == [["a.b", "table"], ["dot", "1"], ["", "2"]]


def test_conditions_order_and_format(shop: Terminal, tmp_path: Path) -> None:
    def ids(*conditions: str) -> list[str]:
        where = [word for one in conditions for word in ("--where", one)]
        ended = shop("tables", "export", "shop", "kinds", "--columns", "id", *where, "--order", "id", "-o", "-")
        return [row[0] for row in rows_of(ended.good().out)[1:]]

    assert ids("big >= 10") == ["1", "4"]
    assert ids("big >= 10", '"text" begins  =') == ["4"]
    assert ids('"text" empty') == ["2", "3"]
    assert ids("text = ") == ["2"]
    assert ids("text = plain", "moment < 2026-03-29T03:31+02:00") == ["1"]
    file = tmp_path / "kinds.xlsx"
    asked = ("tables", "export", "shop", "kinds", "--order", "id", "--descending", "--format", "xlsx", "-o", str(file))
    assert shop(*asked, "--json").good().json["rows"] == 4
    assert openpyxl.load_workbook(file)["kinds"]["A2"].value == 4
    found = shop("tables", "export", "shop", NASTY, "--where", '"say ""hi"" 100%s" contains %s', "--format", "ndjson",
                 "-o", "-")  # fmt: skip
    assert [json.loads(line)["table"] for line in found.good().out.splitlines()] == [1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing",), 3, "has no table “nothing”"),
        (("we",), 5, "can be several tables"),
        (("kinds", "--columns", "id,x y"), 5, "has no column “x y”"),
        (("kinds", "--order", "id; --"), 5, "has no column “id; --”"),
        (("kinds", "--where", "id ~ 1"), 5, "“~” is not a way to compare"),
        (("kinds", "--where", "id"), 5, "“id” is not a condition"),
        (("kinds", "--where", "id = 1 OR 1=1"), 5, "“1 OR 1=1” is not a value of id"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_name(
    shop: Terminal, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    file = tmp_path / "refused.csv"
    ended = shop("tables", "export", "shop", *arguments, "-o", str(file))
    assert ended.code == code, ended.err
    assert words in ended.err
    assert ended.err.startswith("Nothing was read.")
    assert not file.exists()
