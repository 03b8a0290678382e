"""Generated columns, checks and indexes that call functions: what pg_restore alone loses, comes back or is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage.jobs.model import JobState
from tests.storage.restores.conftest import Haven

pytestmark = pytest.mark.postgres

TRAP = """
CREATE SCHEMA app;
CREATE TABLE status (id int PRIMARY KEY, name text);
INSERT INTO status VALUES (1, 'Neu'), (2, 'Alt');
CREATE FUNCTION status_name(wanted int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN coalesce((SELECT name FROM status WHERE id = wanted), ''''); END';
CREATE FUNCTION app.label(wanted int) RETURNS text LANGUAGE sql IMMUTABLE AS
  'SELECT upper(status_name(wanted))';
CREATE TABLE events (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status_id int REFERENCES status,
                     display text GENERATED ALWAYS AS (status_name(status_id)) STORED);
CREATE TABLE app.posts (id int GENERATED ALWAYS AS IDENTITY, status_id int, event int,
                        label text GENERATED ALWAYS AS (app.label(status_id)) STORED);
INSERT INTO events (status_id) SELECT i % 2 + 1 FROM generate_series(1, 50) i;
INSERT INTO app.posts (status_id, event) SELECT i % 2 + 1, i FROM generate_series(1, 50) i;
CREATE FUNCTION event_display(wanted int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN coalesce((SELECT display FROM events WHERE id = wanted), ''nothing''); END';
CREATE TABLE aaa (event int, shown text GENERATED ALWAYS AS (event_display(event)) STORED);
INSERT INTO aaa SELECT i FROM generate_series(1, 50) i;
CREATE FUNCTION is_status(wanted int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN EXISTS (SELECT FROM status WHERE id = wanted); END';
CREATE TABLE zzz (status_id int CHECK (is_status(status_id)));
INSERT INTO zzz VALUES (1), (2);
"""

ODD = """
CREATE SCHEMA "we.ird"; CREATE SCHEMA we; CREATE SCHEMA "a.b"; CREATE SCHEMA a;
SET search_path TO "we.ird";
CREATE TABLE "we.ird"."z. names" (id int, name text);
INSERT INTO "we.ird"."z. names" VALUES (1, 'Neu'), (2, 'Alt');
CREATE FUNCTION "we.ird"."na.me"(wanted int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN coalesce((SELECT name FROM "z. names" WHERE id = wanted), ''nothing''); END';
CREATE TABLE "we.ird"."ta""ble" (id int, shown text GENERATED ALWAYS AS ("we.ird"."na.me"(id)) STORED);
INSERT INTO "we.ird"."ta""ble" VALUES (1), (2);
CREATE TABLE "a.b"."c" (x int); INSERT INTO "a.b"."c" VALUES (1);
CREATE TABLE a."b.c" (x int); INSERT INTO a."b.c" VALUES (1), (2), (3);
"""

SEEN = """
SELECT (SELECT string_agg(display, ',' ORDER BY id) FROM events)
    || (SELECT string_agg(label, ',' ORDER BY id) FROM app.posts)
    || (SELECT string_agg(shown, ',' ORDER BY event) FROM aaa)
"""

CONFIGURED = (
    "SELECT count(*) FROM pg_proc WHERE proconfig IS NOT NULL AND pronamespace::regnamespace::text <> 'pg_catalog'"
)
TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"


@pytest.mark.parametrize("major", [14, 15, 16, 18])
def test_values_made_by_functions_that_read_other_tables_come_back(haven_of: Callable[..., Haven], major: int) -> None:
    haven = haven_of(major, schema=TRAP)
    seen = haven.ask(SEEN)
    assert "Neu" in seen and "ALT" in seen and "nothing" not in seen
    backup = haven.take()
    record = haven.restored(backup, target="trap_again")
    assert record.tables_equal == record.tables_compared == 5
    assert haven.ask(SEEN, database="trap_again") == seen
    assert haven.ask(CONFIGURED, database="trap_again") == 0
    assert haven.ask(TRIGGERS, database="trap_again") == 0


@pytest.mark.parametrize("digests", [True, False])
def test_values_that_cannot_be_made_again_are_refused_and_never_called_restored(
    haven_of: Callable[..., Haven], digests: bool
) -> None:
    haven = haven_of(15, schema=TRAP)
    haven.profile = haven.profile.with_(digests=digests)
    # What is stored was made from a row that has another name since then: no restore can know the old one.
    haven.run("UPDATE status SET name = 'Frisch' WHERE id = 1")
    backup = haven.take()
    before = haven.databases()
    job = haven.restore(backup, target="trap_again")
    assert job.state is JobState.FAILED
    assert job.error is not None and job.error["kind"] == "Damaged"
    assert haven.databases() == before


def test_values_made_by_functions_come_back_without_digests_of_the_other_tables(
    haven_of: Callable[..., Haven],
) -> None:
    haven = haven_of(15, schema=TRAP)
    haven.profile = haven.profile.with_(digests=False)
    seen = haven.ask(SEEN)
    backup = haven.take()
    assert {name for name, facts in backup.tables.items() if facts.digest} == {
        "public.events",
        "public.aaa",
        "app.posts",
    }
    haven.restored(backup, target="trap_again")
    assert haven.ask(SEEN, database="trap_again") == seen


def test_schemas_and_tables_of_any_name_come_back_with_their_computed_values(haven_of: Callable[..., Haven]) -> None:
    haven = haven_of(15, schema=ODD)
    haven.take()
    record = haven.restored(haven.take(), target="trap_again")
    assert record.tables_equal == record.tables_compared == 4
    found = haven.ask('SELECT string_agg(shown, \',\') FROM "we.ird"."ta""ble"', database="trap_again")
    assert found == "Neu,Alt"


def test_index_expressions_find_their_tables(haven_of: Callable[..., Haven]) -> None:
    haven = haven_of(15, schema=TRAP + "CREATE INDEX on zzz (status_name(status_id));")
    haven.restored(haven.take(), target="trap_again")
    assert haven.ask("SELECT count(*) FROM pg_indexes WHERE tablename = 'zzz'", database="trap_again") == 1
