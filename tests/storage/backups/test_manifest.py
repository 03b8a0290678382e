"""Which tables the manifest counts, and that each row is counted once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from storage.backups import digest, fingerprint, manifest
from storage.backups.record import TableFacts
from storage.postgres.connection import Connection, connect
from storage.postgres.snapshot import read_only_moment
from tests.servers import Server

pytestmark = pytest.mark.postgres


def counted(connection: Connection) -> dict[str, TableFacts]:
    with connect(connection, application="tests") as session:
        manifest.prepare(session)
        return manifest.count_all(session, manifest.read_tables(session))


def rows(connection: Connection) -> dict[str, int]:
    return {name: facts.rows for name, facts in counted(connection).items()}


def do(connection: Connection, statements: str) -> None:
    with connect(connection, application="tests") as session:
        session.execute(statements)


def test_partitions_are_counted_one_by_one_and_their_parent_not_at_all(empty_database: Connection) -> None:
    do(
        empty_database,
        """CREATE TABLE logs (at date, line text) PARTITION BY RANGE (at);
           CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
           CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
           INSERT INTO logs VALUES ('2026-01-05', 'a'), ('2026-02-05', 'b'), ('2026-02-06', 'c')""",
    )
    assert rows(empty_database) == {"public.logs_1": 1, "public.logs_2": 2}


def test_rows_of_inheriting_tables_are_theirs(empty_database: Connection) -> None:
    do(
        empty_database,
        """CREATE TABLE places (name text); CREATE TABLE capitals (country text) INHERITS (places);
           INSERT INTO places VALUES ('Ulm'); INSERT INTO capitals VALUES ('Bern', 'CH'), ('Rome', 'IT')""",
    )
    assert rows(empty_database) == {"public.places": 1, "public.capitals": 2}


def test_unlogged_tables_count_and_views_do_not(empty_database: Connection) -> None:
    do(
        empty_database,
        """CREATE UNLOGGED TABLE cache (k text); INSERT INTO cache VALUES ('a');
           CREATE VIEW seen AS SELECT * FROM cache; CREATE MATERIALIZED VIEW kept AS SELECT * FROM cache""",
    )
    assert rows(empty_database) == {"public.cache": 1}


def test_names_of_any_kind_are_counted(empty_database: Connection) -> None:
    do(
        empty_database,
        """CREATE SCHEMA "a b"; CREATE TABLE "a b"."x""; DROP TABLE y" ("select" int, "日本" text);
           INSERT INTO "a b"."x""; DROP TABLE y" VALUES (1, 'é')""",
    )
    assert rows(empty_database) == {'a b."x""; DROP TABLE y"': 1}


def test_what_is_left_out_has_no_rows_in_the_manifest(empty_database: Connection) -> None:
    do(empty_database, "CREATE TABLE logs (a int); INSERT INTO logs SELECT generate_series(1, 9)")
    with connect(empty_database, application="tests") as session:
        manifest.prepare(session)
        facts = manifest.count_all(session, manifest.read_tables(session), without=["public.logs"])
    assert facts["public.logs"].rows == 0
    assert facts["public.logs"].left_out


def fingerprint_of(connection: Connection) -> str:
    with connect(connection, application="tests") as session:
        manifest.prepare(session)
        return fingerprint.read(session)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE one ADD COLUMN d int",
        "ALTER TABLE one ALTER COLUMN b TYPE bigint",
        "CREATE INDEX ON one (b)",
        "ALTER TABLE one ADD CHECK (a > 0)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE mood AS ENUM ('a')",
        "CREATE SEQUENCE s",
    ],
)
def test_the_fingerprint_changes_with_the_schema(empty_database: Connection, change: str) -> None:
    do(empty_database, "CREATE TABLE one (a int PRIMARY KEY, b int)")
    before = fingerprint_of(empty_database)
    do(empty_database, change)
    assert fingerprint_of(empty_database) != before


def test_the_fingerprint_does_not_change_with_rows_or_dropped_columns(empty_database: Connection) -> None:
    do(empty_database, "CREATE TABLE one (a int, b int, UNIQUE (b))")
    before = fingerprint_of(empty_database)
    do(empty_database, "INSERT INTO one VALUES (1, 1)")
    do(empty_database, "DROP TABLE one; CREATE TABLE one (x int, a int, b int, UNIQUE (b)); ALTER TABLE one DROP x")
    assert fingerprint_of(empty_database) == before


def test_a_dot_in_a_name_does_not_make_two_tables_one(empty_database: Connection) -> None:
    do(
        empty_database,
        """CREATE SCHEMA "a.b"; CREATE SCHEMA a; CREATE TABLE "a.b"."c" (x int); CREATE TABLE a."b.c" (x int);
           INSERT INTO "a.b"."c" VALUES (1); INSERT INTO a."b.c" VALUES (1), (2)""",
    )
    assert rows(empty_database) == {'"a.b".c': 1, 'a."b.c"': 2}


COMPUTED = """
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN a * 2; END';
CREATE TABLE called (a int, b int GENERATED ALWAYS AS (twice(a)) STORED);
CREATE TABLE plain (a int, b int GENERATED ALWAYS AS (abs(a)) STORED);
"""


@pytest.mark.parametrize("major", [14, 15, 18])
def test_values_that_functions_compute_get_a_digest_also_where_digests_are_off(
    server_of: Callable[[int], Server], major: int
) -> None:
    with server_of(major).a_database() as connection:
        do(connection, COMPUTED)
        with connect(connection, application="tests") as session:
            manifest.prepare(session)
            facts = manifest.count_all(session, manifest.read_tables(session), digests=False)
        assert {name: table.digest for name, table in facts.items()} == {
            "public.called": digest.EMPTY,
            "public.plain": None,
        }


def test_no_time_limit_of_the_server_ends_a_session_of_ours(server_of: Callable[[int], Server]) -> None:
    limits = ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout")
    with server_of(17).a_database("limited") as connection:
        for limit in limits:
            do(connection, f"ALTER DATABASE limited SET {limit} = '900ms'")
        with read_only_moment(connection, application="tests") as session:
            manifest.prepare(session)
            time.sleep(1.2)
            session.execute("SELECT pg_sleep(1)")
