"""The digest means the same for the same rows: on every major, under any settings, in any order; and differs else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage.backups import digest, manifest
from storage.postgres.connection import Connection, connect
from tests.servers import MAJORS, Server

pytestmark = pytest.mark.postgres

MANY_TYPES = r"""
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE everything (
    i2 int2, i4 int4, i8 int8, yes bool, t text, v varchar(10), c char(5), n name, one "char", f4 float4, f8 float8,
    amount numeric, money money, day date, clock time, zoned timetz, stamp timestamp, moment timestamptz, span interval,
    raw bytea, id uuid, j json, jb jsonb, x xml, ints int[], texts text[], address inet, mac macaddr, bits bit(4),
    feeling mood, both_ pair, small positive, words tsvector, box box, ranged int4range, "_row" text, "t t""x" text,
    class regclass, doubled int GENERATED ALWAYS AS (i4 * 2) STORED);
INSERT INTO everything VALUES
 (1, 2, 4294967297, true, 'ä', 'v', 'c', 'n', 'q', 0.1, 1e300, 1.50, 12.5, '2026-11-22', '13:14', '13:14+02',
  '2026-11-22 13:14:05.123456', '2026-11-22 13:14:05.123456+01', '1 mon 2 days 03:04', '\xdeadbeef',
  '7f7b7f4e-5f0e-4f0e-8f0e-0f0e0f0e0f0e', '{"b": 1,  "a": 2}', '{"b": 1.0, "a": [1, null]}', '<a>1</a>', '{1,NULL,3}',
  '{"a,b",""}', '10.0.0.1/8', '08:00:2b:01:02:03', B'1010', 'ok', (1, 'x,"y'), 7, 'a fat cat', '(1,1),(0,0)', '[1,5)',
  'row', 'tt', 'everything'),
 (NULL, NULL, NULL, NULL, '', '', '', '', '', 'NaN', '-Infinity', 'NaN', 0, 'infinity', '24:00', '00:00-12',
  '-infinity', 'infinity', '-1 sec', '', NULL, 'null', 'null', '', '{}', '{}', '::1', NULL, B'0000', 'sad',
  (NULL, NULL), 1, '', NULL, 'empty', NULL, NULL, 'pg_class');
"""


def facts(connection: Connection, *statements: str) -> tuple[int, str]:
    """Rows and digest of the first table, after running statements in the counting session."""
    with connect(connection, application="tests") as session:
        for statement in statements:
            session.execute(statement)
        manifest.prepare(session)
        found = manifest.count(session, manifest.read_tables(session)[0])
    assert found.digest is not None
    return found.rows, found.digest


@pytest.fixture(scope="module")
def expected(server_of: Callable[[int], Server]) -> tuple[int, str]:
    with server_of(15).a_database() as connection:
        with connect(connection, application="tests") as session:
            session.execute(MANY_TYPES)
        return facts(connection)


@pytest.mark.parametrize("major", MAJORS)
def test_the_digest_is_the_same_on_every_major(
    major: int, server_of: Callable[[int], Server], expected: tuple[int, str]
) -> None:
    with server_of(major).a_database() as connection:
        with connect(connection, application="tests") as session:
            session.execute(MANY_TYPES)
        assert facts(connection) == expected


def test_the_digest_is_the_same_under_any_settings_of_the_session(
    empty_database: Connection, expected: tuple[int, str]
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute(MANY_TYPES)
        name = f'"{empty_database.dbname}"'
        for setting in ("DateStyle = 'German, DMY'", "TimeZone = 'Asia/Kathmandu'", "IntervalStyle = 'iso_8601'",
                        "bytea_output = 'escape'", "extra_float_digits = -5", "search_path = public"):  # fmt: skip
            session.execute(f"ALTER DATABASE {name} SET {setting}")
    assert facts(empty_database) == expected


def table_of(connection: Connection, rows: str, columns: str = "a int, b int, c text") -> tuple[int, str]:
    with connect(connection, application="tests") as session:
        session.execute(f"DROP TABLE IF EXISTS one; CREATE TABLE one ({columns})")
        if rows:
            session.execute(f"INSERT INTO one VALUES {rows}")
    return facts(connection)


def test_the_order_of_rows_does_not_matter(empty_database: Connection) -> None:
    forth = table_of(empty_database, "(1, 2, 'x'), (3, 4, 'y'), (5, 6, 'z')")
    back = table_of(empty_database, "(5, 6, 'z'), (3, 4, 'y'), (1, 2, 'x')")
    assert forth == back


@pytest.mark.parametrize(
    ("rows", "others"),
    [
        ("(1, 2, 'x')", "(2, 1, 'x')"),  # swapped in the row
        ("(1, 2, 'x'), (3, 4, 'y')", "(1, 4, 'x'), (3, 2, 'y')"),  # swapped between rows
        ("(1, 1, 'x')", "(1, 1, 'x'), (1, 1, 'x')"),  # a row twice
        ("(1, NULL, 'x')", "(1, 0, 'x')"),
        ("(1, NULL, 'x')", "(NULL, 1, 'x')"),
        ("(1, 2, '')", "(1, 2, NULL)"),
        ("(1, 2, 'x')", "(1, 2, 'x ')"),
        ("(1, 2, 'é')", r"(1, 2, U&'e\0301')"),  # composed and decomposed
    ],
)
def test_other_rows_have_another_digest(empty_database: Connection, rows: str, others: str) -> None:
    assert table_of(empty_database, rows)[1] != table_of(empty_database, others)[1]


@pytest.mark.parametrize(
    ("columns", "value", "other"),
    [
        ("a numeric", "1.0", "1.00"),
        ("a bigint", "4294967296", "1"),
        ("a timestamptz", "'2026-01-01 00:00+00'", "'2026-01-01 01:00+00'"),
        ("a jsonb", "'[1.0]'", "'[1]'"),
        ("a float8", "0", "'-0'"),
        ("a text", "'zip 01067'", "'zip 1067'"),
    ],
)
def test_values_that_only_look_equal_differ(empty_database: Connection, columns: str, value: str, other: str) -> None:
    one = table_of(empty_database, f"({value})", columns)
    two = table_of(empty_database, f"({other})", columns)
    assert one[0] == two[0] == 1
    assert one[1] != two[1]


def test_an_empty_table_has_the_empty_digest(empty_database: Connection) -> None:
    assert table_of(empty_database, "") == (0, digest.EMPTY)


def test_a_table_without_columns_is_counted(empty_database: Connection) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; INSERT INTO bare DEFAULT VALUES")
    assert facts(empty_database)[0] == 2
