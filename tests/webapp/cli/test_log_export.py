"""`pghaven logs export`: a usage log as a file, whole or not at all, or on standard output."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest

from tests.hub import LIN, OF_LIN, a_hub
from tests.servers import Server
from tests.storage.logs.test_exports import CSV
from tests.webapp.cli.conftest import Terminal, url_of

pytestmark = pytest.mark.postgres


@pytest.fixture
def hub(terminal: Terminal, server: Server) -> Iterator[Terminal]:
    with a_hub(server) as connection:
        terminal("databases", "add", "hub", url_of(connection), "--no-test").good()
        yield terminal


def test_the_csv_is_written_whole_and_never_over_another_file(hub: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "usage.csv"
    ended = hub("logs", "export", "hub", "-o", str(file), "--json").good()
    assert file.read_bytes().decode() == CSV
    size, sha256 = len(CSV.encode()), hashlib.sha256(CSV.encode()).hexdigest()
    assert ended.json == {"file": str(file), "rows": 13, "bytes": size, "sha256": sha256}
    file.write_text("mine")
    refused = hub("logs", "export", "hub", "-o", str(file))
    assert refused.code == 4 and refused.err.startswith("Nothing was written.")
    assert file.read_text() == "mine"
    assert "13 rows" in hub("logs", "export", "hub", "-o", str(file), "--force").good().out
    assert file.read_bytes().decode() == CSV
    assert [path.name for path in tmp_path.iterdir() if "usage" in path.name] == ["usage.csv"]
    kept = hub.folder / "exports"
    assert not kept.is_dir() or not list(kept.iterdir()), "it is in one place"


def test_standard_output_is_the_file_and_nothing_else(hub: Terminal) -> None:
    ended = hub("logs", "export", "hub", "--format", "ndjson", "-o", "-").good()
    assert [json.loads(line)["session"] for line in ended.out.splitlines()][:1] == ["s-timeless"]
    assert len(ended.out.splitlines()) == 13
    assert "13 rows" in ended.err
    assert hub("logs", "export", "hub", "-o", "-", "--json").code == 2


def test_a_workbook_is_made_too(hub: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "usage.xlsx"
    hub("logs", "export", "hub", "--format", "xlsx", "-o", str(file), "--user", LIN).good()
    assert openpyxl.load_workbook(file)["Usage logs"].max_row == 1 + len(OF_LIN)


@pytest.mark.parametrize(
    ("options", "sessions"),
    [
        (("--from", "2026-11-21T23:59:59.999999Z"), ["s-lin", "s-lin"]),
        (("--to", "2026-11-20T10:30Z"), ["s-ana", "s-ana"]),
        (("--user", "3"), ["s-left"]),
        (("--key", "6"), ["s-race", ""]),
        (("--provider", "3"), ["s-left"]),
        (("--status", "429"), ["s-ana"]),
        (("--not-200", "--user", "1"), ["", "s-ana"]),
        (("--model", "claude-opus-4-1", "--status", "200"), ["s-lin"]),
        (("--endpoint", "/v1/responses", "--user", "2"), ["s-timeless"]),
        (("--session", "s-race"), ["s-race"]),
        (("--min-retries", "3"), ["s-lin"]),
    ],
)
def test_every_option_chooses_its_rows(hub: Terminal, options: tuple[str, ...], sessions: list[str]) -> None:
    text = hub("logs", "export", "hub", "-o", "-", *options).good().out
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [row["Session ID"] for row in rows] == sessions


def test_what_cannot_be_exported_is_refused_and_leaves_no_file(hub: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "usage.csv"
    for code, options in (
        (2, ("hub", "--status", "200", "--not-200")),
        (3, ("gone",)),
        (5, ("hub", "--from", "yesterday")),
        (5, ("hub", "--user", "nobody")),
    ):
        assert hub("logs", "export", *options, "-o", str(file)).code == code, options
        assert not file.exists()


def test_a_place_that_cannot_be_written_is_refused_before_the_rows_are_read(hub: Terminal, tmp_path: Path) -> None:
    for file, options in ((tmp_path / "gone" / "usage.csv", ()), (tmp_path, ("--force",))):
        ended = hub("logs", "export", "hub", "-o", str(file), *options)
        assert ended.code == 8 and ended.err.startswith(f"Nothing was written. {file} cannot be written:")
    assert hub("jobs", "list", "--json").good().json == []
