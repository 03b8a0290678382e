"""Cells of every nasty kind, written into the database and read back from the export: by Python, and by LibreOffice."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import openpyxl
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from storage.logs import cells as cells_in_sql
from storage.logs import usage, workbook
from storage.logs.filters import UsageFilter
from storage.logs.formats import Format
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.servers import Server

pytestmark = pytest.mark.postgres

NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
SIGNS = ("=", "+", "-", "@", "\t", "\r")
SPACES = " \n\v\f"
LONG = 40_000
FORMULA = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}formula"
KNOWN = [
    None, "", " ", "=1+1", "  =1+1", "\n=1+1", "\t=1+1", "\r=1+1", "+1+1", "-1+1", "@SUM(1)", "=HYPERLINK(\"x\",\"y\")",
    "=cmd|' /C calc'!A0", "-12.50", "+7", "-", "--1", "-1e5", "-1\n", "1,5", 'a"b', '"', '""', "a,b", "a;b", "a\nb",
    "a\r\nb", "a\rb", "\\.", "\\N", "\\", "NULL", "null", "'=1+1", "'", "客户 🙂", "\ufeff=1", "\u00a0=1", "\u200b",
    "_x0041_", "\x01\x1f\x7f", "é", "x" * LONG, "=" + "x" * LONG, "00123", "TRUE", "1e999", "2026-11-22",
]  # fmt: skip

pieces = st.sampled_from(["=", "+", "-", "@", "\t", "\r", "\n", " ", ",", ";", '"', "'", "\\.", "\\", "1", ".5", "A1",
                          "SUM(1)", "客户", "🙂", "|", "a"])  # fmt: skip
cells = st.one_of(
    st.none(),
    st.lists(pieces, max_size=6).map("".join),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40),
)
tables = st.lists(st.tuples(cells, cells), min_size=1, max_size=60)
Cells = Sequence[tuple[str | None, str | None]]


def guarded(text: str | None) -> str:
    """What stands in the CSV for a text, found in another way than the export finds it."""
    if text is None:
        return ""
    dangerous = text.lstrip(SPACES).startswith(SIGNS) and not NUMBER.fullmatch(text)
    return f"'{text}" if dangerous else text


def fill(connection: Connection, table: Cells) -> None:
    """The log holds these cells and nothing else, newest first in their order."""
    with connect(connection, application="tests") as session:
        session.execute("TRUNCATE message_request")
        session.execute("ALTER TABLE message_request ALTER model TYPE text, ALTER endpoint TYPE text")
        session.execute(
            "INSERT INTO message_request (user_id, key, provider_id, model, endpoint, session_id, created_at)"
            " SELECT 1, 'sk-ana', 1, model, endpoint, 's-' || n, timestamptz '2026-11-22Z' - n * interval '1 second'"
            " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS given (model, endpoint, n)",
            [[model for model, _ in table], [endpoint for _, endpoint in table]],
        )


def exported(hub: Storage, form: Format) -> bytes:
    stream = hub.logs.exports.stream("hub", usage.parameters(UsageFilter()), form)
    try:
        return stream.first + b"".join(iter(stream.read, b""))
    finally:
        stream.close()


def a_workbook(hub: Storage) -> Path:
    job, _ = hub.logs.exports.start(
        "hub", usage.parameters(UsageFilter()), Format.XLSX, name="cells", by="ana", background=False
    )
    hub.runner.run_here(job)
    return hub.logs.exports.get(job.job_id, by="ana").path


@example([(cell, other) for cell, other in zip(KNOWN, reversed(KNOWN), strict=True)])
@given(tables)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_cell_comes_back_through_the_csv_module_and_json(
    hub: Storage, hub_database: Connection, table: Cells
) -> None:
    fill(hub_database, table)
    text = exported(hub, Format.CSV).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [(row["Model"], row["Endpoint"]) for row in rows] == [(guarded(one), guarded(two)) for one, two in table]
    assert [row["Session ID"] for row in rows] == [f"s-{number}" for number in range(1, len(table) + 1)]
    lines = [json.loads(line) for line in exported(hub, Format.NDJSON).split(b"\n")[:-1]]
    assert [(line["model"], line["endpoint"]) for line in lines] == list(table)


def test_cells_of_a_database_in_another_encoding_are_guarded(server: Server) -> None:
    with connect(server.connection, application="tests") as session:
        session.execute("CREATE DATABASE chinese TEMPLATE template0 ENCODING 'EUC_CN' LOCALE 'C'")
    try:
        with connect(server.connection.to("chinese"), application="tests") as session:
            found = session.execute(
                sql.SQL(
                    "SELECT {} FROM (VALUES (1, '客户'), (2, '=客户'), (3, ' @客户'), (4, '-1')) AS given (n, cell)"
                ).format(cells_in_sql.guarded(sql.Identifier("cell")))
            )
            assert [cell for (cell,) in found] == ["客户", "'=客户", "' @客户", "-1"]
    finally:
        server.drop_database("chinese")


# LibreOffice


@pytest.fixture
def soffice(tmp_path: Path) -> list[str]:
    """The program, with a profile of the test's own. On a test machine a skip of this is refused."""
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("LibreOffice is not installed")
    return [program, "--headless", f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"]


def opened(soffice: list[str], file: Path) -> tuple[list[str], list[str]]:
    """All formulas and all texts that LibreOffice finds in a file, with formulas and special numbers looked for."""
    folder = file.parent / "converted"
    choice = ["--infilter=CSV:44,34,76,1,,0,false,true,false,false,false,0,true"] if file.suffix == ".csv" else []
    command = [*soffice, *choice, "--convert-to", "fods", "--outdir", str(folder), str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    formulas, texts = [], []
    for element in ElementTree.parse(folder / f"{file.stem}.fods").iter():
        if FORMULA in element.attrib:
            formulas.append(element.attrib[FORMULA])
        if element.tag.endswith("}table-cell"):
            texts.append("\n".join("".join(part.itertext()) for part in element if part.tag.endswith("}p")))
    return formulas, texts


def test_libreoffice_does_take_an_unguarded_cell_for_a_formula(soffice: list[str], tmp_path: Path) -> None:
    """Without this, the next tests could not fail."""
    file = tmp_path / "raw.csv"
    file.write_text("a,b\n=1+1,-5\n")
    formulas, _ = opened(soffice, file)
    assert formulas == ["of:=1+1"]


def nasty() -> list[tuple[str | None, str | None]]:
    """What is known to be nasty, behind and before everything that spreadsheets begin a formula with."""
    made = [f"{before}{sign}1+1" for before in ("", " ", "  ", "\n", "\v", "\u3000", "'") for sign in SIGNS]
    return [(cell, "beside") for cell in [*KNOWN, *made]]


def test_libreoffice_finds_no_formula_in_the_csv(
    hub: Storage, hub_database: Connection, soffice: list[str], tmp_path: Path
) -> None:
    fill(hub_database, nasty())
    file = tmp_path / "cells.csv"
    file.write_bytes(exported(hub, Format.CSV))
    formulas, texts = opened(soffice, file)
    assert formulas == []
    assert texts.count("beside") == len(nasty()), "no cell broke its row"
    for cell in ("'=1+1", "'+1+1", "'@SUM(1)", "'=cmd|' /C calc'!A0", 'a"b', "a,b", "客户 🙂", "\\.", "x" * 32_000):
        assert any(text.startswith(cell) for text in texts), cell


@given(st.lists(cells, min_size=200, max_size=400))
@settings(
    max_examples=2,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_libreoffice_reads_cells_back_that_nobody_thought_of(
    hub: Storage, hub_database: Connection, soffice: list[str], tmp_path: Path, made_up: list[str | None]
) -> None:
    fill(hub_database, [(cell, "beside") for cell in made_up])
    file = tmp_path / "cells.csv"
    file.write_bytes(exported(hub, Format.CSV))
    for path, written in ((file, guarded), (a_workbook(hub), lambda text: text)):
        formulas, texts = opened(soffice, path)
        assert formulas == []
        assert texts.count("beside") == len(made_up), "no cell broke its row"
        assert [cell for cell in made_up if plain(cell) and written(cell) not in texts] == []


def plain(cell: str | None) -> bool:
    """Whether a spreadsheet keeps a text as it is: neither a number or a date, nor spaces that its file folds."""
    return bool(cell) and all(sign.isprintable() and not sign.isnumeric() and sign != " " for sign in cell or "")


def test_libreoffice_finds_no_formula_in_the_workbook_and_every_text(
    hub: Storage, hub_database: Connection, soffice: list[str]
) -> None:
    fill(hub_database, nasty())
    formulas, texts = opened(soffice, a_workbook(hub))
    assert formulas == []
    assert texts.count("beside") == len(nasty())
    for cell in ("=1+1", "+1+1", "@SUM(1)", "=cmd|' /C calc'!A0", "-12.50", "00123", "客户 🙂", "_x0041_"):
        assert cell in texts, cell


def test_a_text_that_is_longer_than_a_cell_of_a_workbook_is_cut_and_says_so(
    hub: Storage, hub_database: Connection
) -> None:
    fill(hub_database, [("x" * LONG, "x" * 32_767), ("🙂" * 20_000, "🙂" * 16_383)])
    sheet = openpyxl.load_workbook(a_workbook(hub))["Usage logs"]
    assert sheet["E2"].value.endswith("x … (cut: 40,000 characters)") and len(sheet["E2"].value) == 32_767
    assert sheet["G2"].value == "x" * 32_767
    assert sheet["E3"].value.endswith("🙂 … (cut: 20,000 characters)")
    assert sheet["G3"].value == "🙂" * 16_383


@given(st.text(st.sampled_from("a🙂é"), min_size=30, max_size=80))
def test_what_is_cut_fits_and_breaks_no_character(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workbook, "LETTERS_OF_A_CELL", 40)
        cut = workbook.fitting(text)
    assert len(cut.encode("utf-16-le")) <= 80
    assert cut == text or cut.endswith(f" … (cut: {len(text)} characters)")
    assert text.startswith(cut.partition(" … ")[0])
