"""A long table is streamed: every row of it, in memory that does not grow with it, and broken off when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.logs.formats import Format
from storage.logs.tables.request import TableRequest
from storage.opening import Storage
from storage.postgres.connection import Connection, connect

pytestmark = pytest.mark.postgres

ROWS = 100_000


@pytest.mark.parametrize("form", [Format.CSV, Format.NDJSON])
def test_a_hundred_megabytes_are_streamed_in_constant_memory(shop: Storage, tables: Connection, form: Format) -> None:
    with connect(tables, application="tests") as session:
        session.execute(
            "CREATE VIEW long AS SELECT id, repeat('x', 1000) AS text FROM generate_series(1, 100000) AS id"
        )
    stream = shop.logs.exports.stream("shop", TableRequest(table="long").to_json(), form)
    try:
        lines = stream.first.count(b"\n")
        before = most = resident()
        while piece := stream.read():
            lines += piece.count(b"\n")
            most = max(most, resident())
        assert lines == ROWS + (1 if form is Format.CSV else 0)
        assert stream.sent > ROWS * 1000
        assert most - before < 8_000_000
    finally:
        stream.close()


def resident() -> int:
    """Bytes of memory that this process takes now: the most that it ever took may be another test's."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_rows_that_cannot_be_read_break_the_stream_off(shop: Storage, tables: Connection) -> None:
    with connect(tables, application="tests") as session:
        session.execute(
            "CREATE VIEW breaks AS SELECT id, 1 / (50000 - id) AS share, repeat('x', 100) AS text"
            " FROM generate_series(1, 100000) AS id"
        )
    stream = shop.logs.exports.stream("shop", TableRequest(table="breaks").to_json(), Format.CSV)
    try:
        with pytest.raises(StorageError, match="could not be read") as broken:
            while stream.read():
                pass
        assert "division by zero" in broken.value.words
    finally:
        stream.close()
