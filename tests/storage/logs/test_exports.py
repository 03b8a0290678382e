"""Exports of a usage log: every byte of the CSV, exact numbers in every format, and jobs that leave all or nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from storage.errors import Conflict, NotFound, StorageError
from storage.jobs.model import Job, JobState
from storage.logs import reading, usage, workbook
from storage.logs.exports import Export
from storage.logs.filters import UsageFilter
from storage.logs.formats import STREAMED, Format
from storage.logs.stream import RowStream
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.hub import LIN, OF_LIN

pytestmark = pytest.mark.postgres

CSV = (
    "\ufeffTime,User,Key,Provider,Model,Original Model,Endpoint,Status Code,Input Tokens,Output Tokens,"
    "Cache Write 5m,Cache Write 1h,Cache Read,Total Tokens,Cost (USD),Duration (ms),Session ID,Retry Count\n"
    ',"Lin, Wei",desk,anthropic-eu,gpt-5,,/v1/responses,500,1,1,0,0,0,2,1.000000000000000,1,s-timeless,0\n'
    ",Ana,laptop,anthropic-eu,gpt-5,,/v1/responses,200,1,1,0,0,0,2,1.000000000000000,1,s-timeless,0\n"
    '2026-11-22T00:00:00.000000Z,"Lin, Wei",desk,anthropic-eu,claude-opus-4-1,,/v1/messages,200,'
    "1,2,0,0,4,7,0.200000000000000,1,s-lin,0\n"
    '2026-11-21T23:59:59.999999Z,"Lin, Wei",desk,anthropic-eu,claude-opus-4-1,,/v1/messages,529,'
    "1,2,10,20,4,37,0.100000000000000,1,s-lin,3\n"
    "2026-11-21T12:00:00.000000Z,'=SUM(A1:A9),sheet,relay,' =1+1,-12.50,'@cmd,200,"
    '2,3,0,0,0,5,123456.123456789012345,2147483647,"\'+""a"",\r\nb",0\n'
    "2026-11-21T11:00:00.000000Z,,,,claude-haiku-4-5,,/v1/messages,200,3,4,0,0,0,7,0.250000000000000,800,s-nobody,0\n"
    "2026-11-21T10:00:00.000000Z,left in spring,old key,former,claude-haiku-4-5,,/v1/messages,200,"
    "3,4,0,0,0,7,0.250000000000000,800,s-left,0\n"
    "2026-11-21T09:00:00.000000Z,Ana,ci,anthropic-eu,gpt-5,,/v1/responses,200,"
    "5,5,0,0,0,10,0.500000000000000,900,s-race,0\n"
    '2026-11-20T13:00:00.000000Z,"Lin, Wei",desk,relay,claude-haiku-4-5,,/v1/messages,,7,0,0,0,0,7,,,s-lin,0\n'
    "2026-11-20T12:00:00.000000Z,Ana,ci,,claude-haiku-4-5,,/v1/messages,403,0,0,0,0,0,0,0.000000000000000,,,0\n"
    '2026-11-20T11:00:00.000000Z,"Lin, Wei",desk,anthropic-eu,claude-haiku-4-5,,/v1/messages,200,'
    "0,0,0,0,0,500,0.000000000000001,1100,s-lin,1\n"
    "2026-11-20T10:00:00.123456Z,Ana,laptop,relay,claude-sonnet-4-5,claude-sonnet-4-5,/v1/messages,429,"
    "0,0,0,0,0,0,0.000000000000000,300,s-ana,2\n"
    "2026-11-20T10:00:00.123456Z,Ana,laptop,anthropic-eu,claude-sonnet-4-5,claude-opus-4-1,/v1/messages,200,"
    "11,22,33,44,55,165,0.123456789012345,6200,s-ana,0\n"
)
OF_ALL = UsageFilter()


def streamed(hub: Storage, form: Format, wanted: UsageFilter = OF_ALL) -> bytes:
    stream = hub.logs.exports.stream("hub", usage.parameters(wanted), form)
    try:
        return stream.first + b"".join(iter(stream.read, b""))
    finally:
        stream.close()


def asked(hub: Storage, form: Format, wanted: UsageFilter = OF_ALL) -> Job:
    job, _ = hub.logs.exports.start(
        "hub", usage.parameters(wanted), form, name="usage-logs", by="ana", background=False
    )
    return job


def made(hub: Storage, form: Format, wanted: UsageFilter = OF_ALL) -> Export:
    job = hub.runner.run_here(asked(hub, form, wanted))
    assert job.state is JobState.COMPLETED, job.error
    return hub.logs.exports.get(job.job_id, by="ana")


def change(connection: Connection, statement: str) -> None:
    with connect(connection, application="tests") as session:
        session.execute(statement.encode())


# CSV and NDJSON


def test_the_csv_is_these_bytes(hub: Storage) -> None:
    assert streamed(hub, Format.CSV).decode() == CSV


@pytest.mark.parametrize(
    ("written", "cell"),
    [
        ("=1", "'=1"),
        ("+1+1", "'+1+1"),
        ("-cmd", "'-cmd"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\rx", '"\'\rx"'),
        ("   =1", "'   =1"),
        (" \t=1", "' \t=1"),
        ("\n=1", '"\'\n=1"'),
        ("-12.50", "-12.50"),
        ("+7", "+7"),
        ("-1 ", "'-1 "),
        ("-1-2", "'-1-2"),
        ("-", "'-"),
        ("a=1", "a=1"),
        ("  a", "  a"),
        ("", '""'),
        ("\\.", "\\."),
        ('"', '""""'),
        ("你好 🙂", "你好 🙂"),
    ],
)
def test_a_text_that_would_be_carried_out_is_made_harmless_and_no_other_is_touched(
    hub: Storage, hub_database: Connection, written: str, cell: str
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute("UPDATE message_request SET model = %s, original_model = 'x' WHERE id = 14", [written])
    text = streamed(hub, Format.CSV, UsageFilter(since=datetime.fromisoformat("2026-11-22T00:00:00Z"))).decode()
    assert f"anthropic-eu,{cell},x,/v1/messages" in text


def test_the_filter_decides_which_rows_there_are(hub: Storage) -> None:
    assert streamed(hub, Format.CSV, UsageFilter(user=LIN)).count(b"\n") == 1 + len(OF_LIN)
    assert streamed(hub, Format.CSV, UsageFilter(model="none")).count(b"\n") == 1
    assert streamed(hub, Format.NDJSON, UsageFilter(model="none")) == b""


def test_a_line_of_ndjson_is_a_row_with_exact_numbers_and_the_texts_as_they_are(hub: Storage) -> None:
    lines = streamed(hub, Format.NDJSON).decode().splitlines()
    rows = [json.loads(line, parse_float=Decimal) for line in lines]
    assert rows[-1] == {
        "time": "2026-11-20T10:00:00.123456Z", "user": "Ana", "key": "laptop", "provider": "anthropic-eu",
        "model": "claude-sonnet-4-5", "original_model": "claude-opus-4-1", "endpoint": "/v1/messages", "status": 200,
        "input_tokens": 11, "output_tokens": 22, "cache_write_5m": 33, "cache_write_1h": 44, "cache_read": 55,
        "total_tokens": 165, "cost": Decimal("0.123456789012345"), "duration": 6200, "session": "s-ana", "retries": 0,
    }  # fmt: skip
    assert len(rows) == 13
    of_a_sheet = rows[4]
    assert of_a_sheet["cost"] == Decimal("123456.123456789012345")
    assert (of_a_sheet["user"], of_a_sheet["model"], of_a_sheet["session"]) == ("=SUM(A1:A9)", " =1+1", '+"a",\r\nb')
    assert (rows[0]["time"], rows[9]["provider"], rows[8]["status"]) == (None, None, None)


def test_more_rows_than_a_piece_holds_come_once_each_and_in_order(hub: Storage, hub_database: Connection) -> None:
    change(
        hub_database,
        "INSERT INTO message_request (user_id, key, provider_id, model, created_at)"
        " SELECT 1, 'sk-ana', 1, 'many-' || n, timestamptz '2027-01-01Z' + n / 3 * interval '1 second'"
        " FROM generate_series(1, 5000) AS n",
    )
    lines = streamed(hub, Format.CSV).decode().splitlines()
    models = [line.split(",")[4] for line in lines if "many-" in line]
    assert models == [f"many-{number}" for number in range(5000, 0, -1)]


# Failures


@pytest.fixture
def long_stream(hub: Storage, hub_database: Connection) -> Iterator[RowStream]:
    """One that cannot be at its end: more rows than the sockets on the way take."""
    change(
        hub_database,
        "INSERT INTO message_request (user_id, key, provider_id, model, error_message)"
        " SELECT 1, 'sk-ana', 1, repeat('m', 120), '' FROM generate_series(1, 120000)",
    )
    stream = hub.logs.exports.stream("hub", usage.parameters(OF_ALL), Format.CSV)
    yield stream
    stream.close()


def test_a_server_that_ends_the_session_is_an_exception_and_no_end(
    hub_database: Connection, long_stream: RowStream
) -> None:
    terminate(hub_database)
    with pytest.raises(StorageError, match="could not be read"):
        while long_stream.read():
            pass


def terminate(connection: Connection) -> None:
    change(
        connection,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname"
        " = current_database()",
    )


def test_a_stream_that_is_closed_early_lets_go_of_the_server(hub_database: Connection, long_stream: RowStream) -> None:
    with connect(hub_database, application="tests") as session:
        copies = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = current_database()"
        copies += " AND backend_type = 'client backend'"
        assert session.execute(copies).fetchone() == (1,)
        long_stream.close()
        session.execute(
            "DO $$ BEGIN FOR i IN 1..1000 LOOP PERFORM pg_stat_clear_snapshot();"
            " EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname ="
            " current_database()); PERFORM pg_sleep(0.01); END LOOP; END $$"
        )
        assert session.execute(copies).fetchone() == (0,)
    long_stream.close()


# Jobs


@pytest.mark.parametrize("form", STREAMED)
def test_a_job_makes_the_file_that_is_streamed(hub: Storage, form: Format) -> None:
    export = made(hub, form)
    assert export.path.read_bytes() == streamed(hub, form)
    assert export.path.name == f"usage-logs.{form.value}"
    assert (export.bytes, export.job.result["rows"]) == (export.path.stat().st_size, 13)
    assert export.path.stat().st_mode & 0o077 == 0 or export.path.parent.stat().st_mode & 0o077 == 0


def test_the_same_question_of_the_same_person_has_one_job(hub: Storage) -> None:
    job = asked(hub, Format.CSV)
    assert asked(hub, Format.CSV).job_id == job.job_id
    assert asked(hub, Format.NDJSON).job_id != job.job_id
    assert asked(hub, Format.CSV, UsageFilter(user=LIN)).job_id != job.job_id
    parameters = usage.parameters(OF_ALL)
    others, new = hub.logs.exports.start("hub", parameters, Format.CSV, name="x", by="ben", background=False)
    assert new and others.job_id != job.job_id


def test_an_export_is_another_persons_nothing(hub: Storage) -> None:
    job = made(hub, Format.CSV).job
    for ask in (hub.logs.exports.job, hub.logs.exports.get):
        with pytest.raises(NotFound):
            ask(job.job_id, by="ben")
        with pytest.raises(NotFound):
            ask("20261122T131405Z-abcdef", by="ana")


def test_a_file_is_not_given_before_it_is_finished(hub: Storage) -> None:
    job = asked(hub, Format.CSV)
    with pytest.raises(Conflict):
        hub.logs.exports.get(job.job_id, by="ana")


@pytest.mark.parametrize("form", list(Format))
def test_a_job_that_is_ended_leaves_nothing(hub: Storage, hub_database: Connection, form: Format) -> None:
    change(
        hub_database,
        "INSERT INTO message_request (user_id, key, provider_id) SELECT 1, 'sk-ana', 1 FROM generate_series(1, 12000)",
    )
    job = asked(hub, form)
    seen: list[int] = []

    def end(running: Job) -> None:
        if running.progress.rows:
            seen.append(running.progress.rows)
            hub.jobs.ask_to_stop(job.job_id, by="ana")
            time.sleep(0.1)  # a job looks ten times a second, and this one would be done by then

    ended = hub.runner.run_here(job, on_progress=end)
    assert ended.state is JobState.CANCELLED
    assert seen and seen[-1] < 12_013, "in the middle of its work"
    assert_nothing_left(hub)


def test_a_workbook_that_is_given_up_is_not_packed_and_leaves_no_open_file(
    hub: Storage, hub_database: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "book.xlsx"

    def end(rows: int) -> None:
        raise InterruptedError(rows)

    with reading.reading(hub_database, seconds=0) as session, pytest.raises(InterruptedError):
        session.execute("BEGIN READ ONLY")
        rows = hub.logs.usage.row_set(session, OF_ALL)
        workbook.write(session, rows, path, folder=tmp_path, on_rows=end)
    assert not path.exists()
    assert not [name for name in open_files() if name.startswith(str(tmp_path))]


def open_files() -> list[str]:
    return [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


@pytest.mark.parametrize("form", list(Format))
def test_the_log_of_a_job_says_what_it_wrote(hub: Storage, form: Format) -> None:
    export = made(hub, form)
    log = "\n".join(line.text for line in hub.jobs.log(export.job.job_id))
    assert f"13 rows to write as {form.value}" in log
    assert f"13 rows written: {export.bytes} bytes, SHA-256 {export.sha256}" in log


@pytest.mark.parametrize("form", [Format.CSV, Format.XLSX])
def test_a_server_that_ends_the_session_of_a_job_fails_it_and_leaves_nothing(
    hub: Storage, hub_database: Connection, form: Format
) -> None:
    change(
        hub_database,
        "INSERT INTO message_request (user_id, key, provider_id, model)"
        " SELECT 1, 'sk-ana', 1, repeat('m', 120) FROM generate_series(1, 60000)",
    )
    job = asked(hub, form)
    once: list[None] = []

    def kill(running: Job) -> None:
        if running.progress.rows and not once:
            once.append(None)
            change(
                hub_database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )

    ended = hub.runner.run_here(job, on_progress=kill)
    assert ended.state is JobState.FAILED and once
    assert_nothing_left(hub)


def assert_nothing_left(hub: Storage) -> None:
    assert not list(hub.staging.folder.iterdir())
    kept = hub.settings.data_folder / "exports"
    assert not kept.is_dir() or not list(kept.iterdir())


# Workbooks


def sheets(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(path)
    return {sheet.title: [tuple(cell.value for cell in row) for row in sheet.iter_rows()] for sheet in book.worksheets}


def test_a_workbook_has_every_row_with_its_numbers_as_numbers_and_times_as_times(hub: Storage) -> None:
    head, *rows = sheets(made(hub, Format.XLSX).path)["Usage logs"]
    assert head == (
        "Time (UTC)", "User", "Key", "Provider", "Model", "Original Model", "Endpoint", "Status Code", "Input Tokens",
        "Output Tokens", "Cache Write 5m", "Cache Write 1h", "Cache Read", "Total Tokens", "Cost (USD)",
        "Duration (ms)", "Session ID", "Retry Count",
    )  # fmt: skip
    assert len(rows) == 13
    moment, *others = rows[-1]
    assert abs(moment - datetime(2026, 11, 20, 10, 0, 0, 123456)).total_seconds() < 0.001
    assert others == ["Ana", "laptop", "anthropic-eu", "claude-sonnet-4-5", "claude-opus-4-1", "/v1/messages", 200,
                      11, 22, 33, 44, 55, 165, 0.123456789012345, 6200, "s-ana", 0]  # fmt: skip
    assert rows[0][0] is None and rows[8][7] is None


def test_a_time_of_a_workbook_is_shown_with_its_clock(hub: Storage) -> None:
    book = openpyxl.load_workbook(made(hub, Format.XLSX).path)
    assert (
        book["Usage logs"]["A14"].number_format == book["Usage logs"]["A4"].number_format == "yyyy-mm-dd hh:mm:ss.000"
    )


def test_times_of_a_workbook_are_utc_whatever_the_server_writes_them_in() -> None:
    moment = datetime(2026, 11, 22, 1, tzinfo=timezone(timedelta(hours=8)))
    assert workbook.in_utc(moment) == datetime(2026, 11, 21, 17)
    assert workbook.in_utc(datetime(2026, 11, 22, 1)) == datetime(2026, 11, 22, 1)


def test_no_text_of_a_workbook_is_a_formula_and_no_digit_is_rounded(hub: Storage) -> None:
    book = openpyxl.load_workbook(made(hub, Format.XLSX, UsageFilter(session='+"a",\r\nb')).path)
    row = book["Usage logs"][2]
    assert {cell.data_type for cell in row} == {"d", "s", "n"}
    assert [row[1].value, row[4].value, row[5].value, row[6].value] == ["=SUM(A1:A9)", " =1+1", "-12.50", "@cmd"]
    assert all(row[place].data_type == "s" for place in (1, 4, 5, 6, 14, 16))
    assert row[14].value == "123456.123456789012345", "18 digits are more than a spreadsheet keeps"


def test_the_second_sheet_sums_up_by_day_of_utc(hub: Storage) -> None:
    assert sheets(made(hub, Format.XLSX).path)["By day"] == [
        ("Day (UTC)", "Rows", "Input Tokens", "Output Tokens", "Cache Read", "Total Tokens", "Cost (USD)"),
        ("2026-11-20", 5, 18, 22, 55, 672, 0.123456789012346),
        ("2026-11-21", 5, 14, 18, 4, 66, "123457.223456789012345"),
        ("2026-11-22", 1, 1, 2, 4, 7, 0.2),
        ("", 2, 2, 2, 0, 4, 2),
    ]


def test_more_rows_than_a_sheet_holds_go_on_in_the_next_one(hub: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "ROWS_OF_A_SHEET", 5)
    found = sheets(made(hub, Format.XLSX).path)
    assert {title: len(rows) - 1 for title, rows in found.items() if title != "By day"} == {
        "Usage logs": 5, "Usage logs 2": 5, "Usage logs 3": 3,
    }  # fmt: skip
    assert sum(row[1] for row in found["By day"][1:]) == 13


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        (999_999_999_999_999, True),
        (1_000_000_000_000_000, False),
        (-999_999_999_999_999, True),
        (Decimal("0.123456789012345"), True),
        (Decimal("1.123456789012345"), False),
        (Decimal("1.5000000000000000000"), True),
        (Decimal("NaN"), False),
        (Decimal("1e400"), False),
        (Decimal("0.000000000000001"), True),
    ],
)
def test_a_spreadsheet_is_given_numbers_of_fifteen_digits_at_most(number: int | Decimal, kept: bool) -> None:
    assert workbook.fits(number) is kept
