"""Archived rows: all columns, whole, checked; nothing is deleted that is not among them; and their way back."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from storage.clock import utc_now
from storage.destinations import destination as destinations
from storage.errors import Conflict, Message
from storage.jobs.model import Job, JobState
from storage.logs.cleanup.archive import ArchiveFormat, LogArchive
from storage.logs.cleanup.request import CleanupRequest, older_than
from storage.secret import Secret
from tests.storage.logs.cleanup.conftest import Hub, refusal_of

pytestmark = pytest.mark.postgres
OLD = CleanupRequest(before=datetime(2026, 11, 22, tzinfo=UTC), moment=datetime(2027, 1, 1, tzinfo=UTC))

NASTY = """
CREATE TYPE mood AS ENUM ('fine', 'so, so');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE nasty (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamp NOT NULL, "odd ""name" text, j json, jb jsonb,
    n numeric, d double precision, b bytea, a text[], m mood, p pair, i interval, u uuid, f boolean, tz timestamptz,
    x xml, ts tsvector, r int4range, double_n numeric GENERATED ALWAYS AS (n * 2) STORED, h char(5)
);
INSERT INTO nasty (at, "odd ""name", j, jb, n, d, b, a, m, p, i, u, f, tz, ts, r, h) VALUES
    ('2026-01-01', '', 'null', 'null', 12345678901234567890.123456789012345678901, 0.1, '\\x00ff0a', '{}', 'fine',
     '(1,"a,b")', '1 mon -3 days', '00000000-0000-0000-0000-000000000001', true, '2026-01-01 00:00:00.123456+05:45',
     'a:1 b', '[1,5)', 'x'),
    ('2026-01-02 03:04:05.000001', NULL, NULL, NULL, 'NaN', 'NaN', NULL, '{NULL,"NULL",""}', NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL),
    ('2026-01-03', E'two\\nlines\\r\\n"quoted"\\t\\\\. \\\\N, 客户', E'{"a":\\n  [1, 1.0, 1e3]}', '{"a": [1, 1.00]}',
     -0.000, 'Infinity', '', '{{1,2},{3,4}}', 'so, so', '(,)', '00:00:00.000001', NULL, false, 'infinity', '', 'empty',
     ''),
    ('2026-01-04', E'\\\\.', '"x\\\\u0041"', '"\\u20ac"', 0.1, 1e-300, '\\xdeadbeef', NULL, NULL, NULL, NULL, NULL,
     NULL, '-infinity', NULL, NULL, NULL);
"""


def only(small: Hub) -> LogArchive:
    [archive] = small.cleanup.archives.of("hub")
    return archive


def text_of(small: Hub, archive: LogArchive) -> str:
    packed = small.cleanup.archives.path(archive).read_bytes()
    assert hashlib.sha256(packed).hexdigest() == archive.sha256 and len(packed) == archive.bytes
    return gzip.decompress(packed).decode()


@pytest.mark.parametrize("form", ArchiveFormat)
def test_every_column_of_every_kind_comes_back_as_it_was(small: Hub, form: ArchiveFormat) -> None:
    small.rows(NASTY)
    digest = "SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM nasty t"
    before = small.ask(digest)
    request = CleanupRequest(table="nasty", time_column="at", before=datetime(2026, 2, 1, tzinfo=UTC))
    job = small.cleaned(request, archive="", form=form)
    assert small.ask("SELECT count(*) FROM nasty") == 0 and job.result["rows"] == 4
    back = small.put_back(job.result["archive_id"])
    assert (back.result["rows"], back.result["skipped"]) == (4, 0)
    assert small.ask(digest) == before
    assert small.ask("SELECT j::text FROM nasty WHERE id = 1") == "null"


@pytest.mark.parametrize("form", ArchiveFormat)
def test_an_archive_has_the_rows_that_were_deleted_and_is_plain_text(small: Hub, form: ArchiveFormat) -> None:
    small.fill(3000)
    everything, before = small.digest(), small.ids()
    request = CleanupRequest(before=older_than(7, now=utc_now()))
    job = small.cleaned(request, archive="", form=form)
    archive = only(small)
    gone = sorted(set(before) - set(small.ids()))
    text = text_of(small, archive)
    if form is ArchiveFormat.CSV:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert list(rows[0]) == list(archive.columns)
    else:
        rows = [json.loads(line) for line in text.splitlines()]
    assert sorted(int(row["id"]) for row in rows) == gone
    assert archive.rows == archive.deleted == job.result["rows"] == len(gone)
    beside = json.loads(Path(f"{small.cleanup.archives.path(archive)}.facts.json").read_text())
    assert beside["sha256"] == archive.sha256 and beside["columns"] == list(archive.columns)
    [receipt] = [one for one in small.storage.audit.newest_first() if one.action == "log_rows_archived"]
    assert receipt.facts["sha256"] == archive.sha256 and receipt.facts["rows"] == len(gone)
    small.put_back(archive.archive_id)
    assert small.digest() == everything


@pytest.mark.parametrize("table", ["../../outside", "/tmp/outside", "a/b", "..", "客户", 'q"q'])
def test_the_name_of_a_table_leads_its_archive_nowhere_else(small: Hub, table: str) -> None:
    quoted = '"' + table.replace('"', '""') + '"'
    small.rows(f"CREATE TABLE {quoted} (id int, at timestamptz); INSERT INTO {quoted} VALUES (1, '2026-01-01')")
    request = CleanupRequest(table=f"public.{table}", time_column="at", before=datetime(2026, 2, 1, tzinfo=UTC))
    job = small.cleaned(request, archive="")
    archive = only(small)
    assert archive.table == f"public.{table}"
    folder = small.cleanup.archives.files / "logs" / "hub"
    assert small.cleanup.archives.path(archive).resolve().parent == folder.resolve()
    assert small.put_back(job.result["archive_id"]).result["rows"] == 1


def test_a_row_that_changes_after_it_was_archived_is_not_deleted(small: Hub) -> None:
    """Nor one that came, nor one that was moved into another file: none of these is in the archive as it is."""
    small.fill(2000)
    [changed, other, *_] = small.ids("created_at < now() - interval '8 days'")
    request = CleanupRequest(before=older_than(7, now=utc_now()))
    job, _ = small.cleanup.start("hub", request, by="ana", background=False, archive="")
    done: list[str] = []

    def meddle(now: Job) -> None:
        if not done and now.result.get("archive_id"):
            done.append("")
            small.rows("UPDATE message_request SET model = 'changed' WHERE id = %(id)s", id=changed)
            small.rows("UPDATE message_request SET id = 900001 WHERE id = %(id)s", id=other)
            small.rows(
                "INSERT INTO message_request (id, created_at, user_id, key, provider_id)"
                " VALUES (900000, now() - interval '9 days', 1, 'late', 1)"
            )

    ended = small.storage.runner.run_here(job, on_progress=meddle)
    assert done and ended.state is JobState.COMPLETED
    assert ended.result["archived"] == ended.result["rows"] + 2
    assert small.ids("created_at < now() - interval '7 days'") == sorted([changed, 900000, 900001])
    assert small.put_back(only(small).archive_id).result["skipped"] == 1


def test_rows_that_were_moved_into_another_file_are_not_taken_for_those_of_the_archive(small: Hub) -> None:
    """VACUUM FULL gives rows new places: what lies at a place then may be another row."""
    small.fill(3000)
    small.rows("DELETE FROM message_request WHERE id % 2 = 0")
    request = CleanupRequest(before=older_than(7, now=utc_now()))
    job, _ = small.cleanup.start("hub", request, by="ana", background=False, archive="")
    before = small.ids()
    done: list[str] = []

    def meddle(now: Job) -> None:
        if not done and now.result.get("archive_id"):
            done.append("")
            small.rows("VACUUM FULL message_request")

    ended = small.storage.runner.run_here(job, on_progress=meddle)
    assert done and ended.state is JobState.COMPLETED
    assert ended.result["rows"] == 0 and small.ids() == before


def test_an_archive_at_a_destination_is_read_back_from_there(small: Hub, tmp_path: Path) -> None:
    small.storage.destinations.add(destinations.parse_url("away", f"file://{tmp_path}/away"), by="ana")
    everything = small.digest()
    small.cleaned(OLD, archive="away")
    archive = only(small)
    there = tmp_path / "away" / archive.key
    assert hashlib.sha256(there.read_bytes()).hexdigest() == archive.sha256
    assert not small.cleanup.archives.path(archive).exists()
    small.put_back(archive.archive_id)
    assert small.digest() == everything
    assert small.cleanup.archives.get(archive.archive_id).put_back_rows == archive.rows == 12


def test_an_archive_for_a_recipient_leaves_encrypted_and_needs_the_key(small: Hub, tmp_path: Path) -> None:
    key = pyrage.x25519.Identity.generate()
    away = destinations.parse_url("away", f"file://{tmp_path}/away").with_(recipients=(str(key.to_public()),))
    small.storage.destinations.add(away, by="ana")
    everything = small.digest()
    small.cleaned(OLD, archive="away")
    archive = only(small)
    assert archive.encrypted and (tmp_path / "away" / archive.key).read_bytes().startswith(b"age-encryption.org")
    with pytest.raises(Conflict, match="encrypted"):
        small.cleanup.put_back(archive.archive_id, by="ana")
    small.put_back(archive.archive_id, identity=Secret(str(key)))
    assert small.digest() == everything


def test_nothing_is_deleted_when_the_archive_cannot_be_written(small: Hub, tmp_path: Path) -> None:
    (tmp_path / "away").write_text("a file where a folder should be")
    small.storage.destinations.add(destinations.parse_url("away", f"file://{tmp_path}/away"), by="ana")
    job = small.run(OLD, archive="away")
    assert job.state is JobState.FAILED and refusal_of(job).startswith("Nothing was deleted.")
    assert len(small.ids()) == 14 and small.cleanup.archives.of() == []


def test_a_damaged_archive_is_not_put_back(small: Hub) -> None:
    small.cleaned(OLD, archive="")
    archive = only(small)
    path = small.cleanup.archives.path(archive)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = small.ids()
    job, _ = small.cleanup.put_back(archive.archive_id, by="ana", background=False)
    ended = small.storage.runner.run_here(job)
    assert ended.state is JobState.FAILED and "not what was written" in refusal_of(ended)
    path.unlink()
    job, _ = small.cleanup.put_back(archive.archive_id, by="ana", background=False)
    assert "not at its place" in refusal_of(small.storage.runner.run_here(job))
    assert small.ids() == before


def test_rows_whose_id_is_taken_stay_and_a_failure_puts_none_back(small: Hub) -> None:
    small.cleaned(OLD, archive="")
    archive = only(small)
    small.rows("INSERT INTO message_request (id, user_id, key, provider_id, model) VALUES (3, 1, 'new', 1, 'mine')")
    back = small.put_back(archive.archive_id)
    assert (back.result["rows"], back.result["skipped"]) == (11, 1)
    assert small.ask("SELECT model FROM message_request WHERE id = 3") == "mine"
    small.rows("DELETE FROM message_request WHERE id IN (1, 2, 3)")
    small.rows("ALTER TABLE message_request ADD CHECK (id <> 2) NOT VALID")
    job, _ = small.cleanup.put_back(archive.archive_id, by="ana", background=False)
    ended = small.storage.runner.run_here(job)
    assert ended.state is JobState.FAILED and ended.error is not None
    assert "violates check constraint" in ended.error["words"]
    assert str(Message.from_json(ended.error["effect"])) == "Nothing was changed."
    assert 1 not in small.ids() and 3 not in small.ids()


def test_a_column_that_is_gone_is_named_and_a_new_one_gets_its_default(small: Hub) -> None:
    small.cleaned(OLD, archive="")
    archive = only(small)
    small.rows("ALTER TABLE message_request ADD COLUMN fresh int DEFAULT 7")
    assert small.put_back(archive.archive_id).result["rows"] == 12
    assert small.ask("SELECT fresh FROM message_request WHERE id = 1") == 7
    small.rows("ALTER TABLE message_request DROP COLUMN endpoint")
    job, _ = small.cleanup.put_back(archive.archive_id, by="ana", background=False)
    assert "no longer has the column endpoint" in refusal_of(small.storage.runner.run_here(job))


@pytest.mark.parametrize(
    "key",
    [
        "CREATE UNIQUE INDEX ON part (ref)",
        "CREATE UNIQUE INDEX ON part (ref) WHERE ref IS NOT NULL",
        "CREATE UNIQUE INDEX ON part (lower(ref))",
        "ALTER TABLE part ADD UNIQUE (ref) DEFERRABLE",
        "ALTER TABLE part ADD UNIQUE (id) DEFERRABLE",
    ],
)
def test_a_key_that_does_not_know_every_row_brings_no_row_back_twice(small: Hub, key: str) -> None:
    small.rows("CREATE TABLE part (id int NOT NULL, ref text, at timestamptz)")
    small.rows(key)
    small.rows("INSERT INTO part VALUES (1, 'a', '2026-01-01'), (2, NULL, '2026-01-01'), (3, NULL, '2026-01-02')")
    request = CleanupRequest(table="part", time_column="at", before=datetime(2026, 1, 3, tzinfo=UTC))
    job = small.cleaned(request, archive="")
    assert small.put_back(job.result["archive_id"]).result["rows"] == 3
    assert small.put_back(job.result["archive_id"]).result["rows"] == 0
    assert small.ask("SELECT array_agg(id ORDER BY id) FROM part") == [1, 2, 3]


def test_equal_rows_of_a_table_without_a_key_come_back_once(small: Hub) -> None:
    small.rows("CREATE TABLE bare (at timestamptz, note text, extra json)")
    small.rows(
        "INSERT INTO bare VALUES ('2026-01-01', 'a', '{}'), ('2026-01-01', 'a', '{}'), ('2026-01-02', NULL, NULL)"
    )
    request = CleanupRequest(table="bare", time_column="at", before=datetime(2026, 1, 3, tzinfo=UTC))
    job = small.cleaned(request, archive="")
    assert small.put_back(job.result["archive_id"]).result["rows"] == 3
    assert small.put_back(job.result["archive_id"]).result["rows"] == 0
    assert small.ask("SELECT count(*) FROM bare") == 3
