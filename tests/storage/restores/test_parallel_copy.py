"""One large table loaded by several sessions: chosen where it pays, and every value as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage.backups.record import TableFacts
from storage.jobs.model import JobState
from storage.postgres.archive import Entry
from storage.restores import parallel_copy
from storage.restores.parallel_copy import LEAST_BYTES, dominating
from tests.storage.restores.conftest import Haven

NASTY = r"""
CREATE DOMAIN short AS text CHECK (length(VALUE) < 100000000);
CREATE TYPE mood AS ENUM ('so-so', 'goo"d\', '\.');
CREATE TABLE "no\where, (else) FROM stdin;" (
  id int PRIMARY KEY, "a ""b"", c" text, feeling mood, bytes bytea, list text[], doc jsonb, long short,
  twice int GENERATED ALWAYS AS (id * 2) STORED, "x FROM stdin;" xml, span tstzrange);
INSERT INTO "no\where, (else) FROM stdin;" (id, "a ""b"", c", feeling, bytes, list, doc, long, "x FROM stdin;", span)
SELECT i, (ARRAY[E'\\.', E'\n\\.\n', '', NULL, E'tab\t', E'\r\n', '\N', '省钱', E'\b\f\v', '"']::text[])[i % 10 + 1],
       (ARRAY['so-so', 'goo"d\', '\.']::mood[])[i % 3 + 1], decode(md5(i::text), 'hex'),
       ARRAY[E'{\\.}', NULL, E'\n'], jsonb_build_object('n', i, 'm', E'\\.\n'), repeat(E'long \n', i % 500),
       '<a>one</a><b/>'::xml, tstzrange(now(), 'infinity')
FROM generate_series(1, 20000) i;
INSERT INTO "no\where, (else) FROM stdin;" (id, long) VALUES (0, repeat('three megabytes ', 200000));
"""


def entry(dump_id: int, name: str, kind: str = "TABLE DATA") -> Entry:
    return Entry(
        dump_id=dump_id, kind=kind, schema="public", name=name, owner="", definition="", section="data", has_data=True
    )


def facts(megabytes: float) -> TableFacts:
    return TableFacts(rows=1, digest=None, bytes=int(megabytes * 2**20))


@pytest.mark.parametrize(
    ("sizes", "jobs", "chosen"),
    [
        ({"log": 900, "users": 5}, 2, "log"),
        ({"log": 900, "users": 5}, 1, None),  # nobody else is there to help
        ({"a": 400, "b": 300, "c": 300}, 2, None),  # two sessions have enough to do
        ({"a": 400, "b": 300, "c": 300}, 4, "a"),
        ({"log": 63, "users": 5}, 4, None),  # over before it is worth it
        ({"log": 64.1}, 2, "log"),
        ({}, 2, None),
    ],
)
def test_the_table_that_everything_would_wait_for_is_chosen(
    sizes: dict[str, float], jobs: int, chosen: str | None
) -> None:
    entries = [entry(number, name) for number, name in enumerate([*sizes, "unknown"])]
    entries += [entry(77, name, "TABLE") for name in sizes]
    found = dominating(entries, {f"public.{name}": facts(size) for name, size in sizes.items()}, jobs=jobs)
    assert (found.name if found else None) == chosen


def test_a_name_that_could_not_be_read_is_left_to_pg_restore() -> None:
    assert dominating([entry(1, "l\ufffdg")], {"public.l\ufffdg": facts(900)}, jobs=2) is None


@pytest.mark.postgres
@pytest.mark.parametrize("major", [14, 15, 16, 17, 18])
def test_every_value_is_there_on_every_major(
    haven_of: Callable[..., Haven], major: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    haven = haven_of(major)
    haven.run(NASTY)
    backup = haven.take()
    monkeypatch.setattr(parallel_copy, "LEAST_BYTES", 0)
    record = haven.restored(backup, target="again")
    log = haven.log(haven.jobs.get(record.job_id))
    assert any("no\\where, (else) FROM stdin; done, by 2 sessions" in line for line in log)
    assert record.tables_equal == record.tables_compared == 3
    seen = 'SELECT sum(hashtextextended(t::text, 0)) FROM "no\\where, (else) FROM stdin;" t'
    assert haven.ask(seen, database="again") == haven.ask(seen)


@pytest.mark.postgres
@pytest.mark.parametrize("least_bytes", [0, LEAST_BYTES])
def test_a_database_that_is_not_in_utf8_comes_back(
    haven: Haven, least_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    haven.run("CREATE DATABASE old_fashioned TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'", database="postgres")
    haven.run("CREATE TABLE straße (größe text); INSERT INTO straße SELECT 'é' || i FROM generate_series(1, 99) i",
              database="old_fashioned")  # fmt: skip
    haven.profile = haven.profile.with_(connection=haven.connection.to("old_fashioned"))
    backup = haven.take()
    monkeypatch.setattr(parallel_copy, "LEAST_BYTES", least_bytes)
    record = haven.restored(backup, target="again")
    assert record.tables_equal == 1
    assert haven.ask("SELECT count(*) FROM straße WHERE größe LIKE 'é%'", database="again") == 99


@pytest.mark.postgres
def test_rows_that_the_server_refuses_end_the_restore_with_its_words(
    haven: Haven, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The constraint was added when the row was there already, and is not asked again until the row is loaded.
    haven.run(
        "CREATE TABLE checked (id int, CONSTRAINT is_small CHECK (id < 10) NOT VALID);"
        "ALTER TABLE checked DROP CONSTRAINT is_small;"
        "INSERT INTO checked SELECT i FROM generate_series(1, 50000) i;"
        "ALTER TABLE checked ADD CONSTRAINT is_small CHECK (id < 10) NOT VALID"
    )
    backup = haven.take()
    haven.run(  # and an archive whose table checks while it is loaded
        "UPDATE pg_constraint SET convalidated = true WHERE conname = 'is_small'"
    )
    checking = haven.take()
    monkeypatch.setattr(parallel_copy, "LEAST_BYTES", 0)
    assert haven.restore(backup, target="not_validated").state is JobState.COMPLETED
    job = haven.restore(checking, target="refused")
    assert job.state is JobState.FAILED and job.error
    assert job.error["effect"]["template"] == "Nothing was changed."
    assert "is_small" in job.error["words"]
    assert "refused" not in haven.databases()
