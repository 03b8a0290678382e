"""Tables of any name are listed, described, looked at and exported; what is not there is refused by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.errors import Invalid, NotFound, StorageError
from storage.jobs.model import JobState
from storage.logs.formats import Format
from storage.logs.tables.request import Condition, Operator, TableRequest
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from tests.storage.logs.tables.conftest import Ids, as_csv, as_json, exported

pytestmark = pytest.mark.postgres

NASTY = "we~2e~ird.ta~22~ble~2f~100~25~~3b~~20~DROP"


def test_tables_are_listed_with_about_how_many_rows_they_have_and_how_large_they_are(standing: Storage) -> None:
    found = {one.full: one for one in standing.logs.tables.all("shop")}
    assert found["public.kinds"].rows == 4
    assert (found["public.kinds"].bytes or 0) >= 16384
    assert found["public.happy"].is_view
    assert (found["public.happy"].rows, found["public.happy"].bytes) == (None, None)
    assert found["public.parted"].rows == 1
    assert (found["public.parted"].bytes or 0) >= 8192
    assert "public.parted_2026" not in found
    assert not [name for name in found if name.startswith(("pg_", "information_schema"))]
    assert next(iter(found)).startswith("public.")


def test_every_table_has_a_key_of_its_own_that_leads_back_to_it(standing: Storage) -> None:
    tables = standing.logs.tables.all("shop")
    assert len({one.key for one in tables}) == len(tables)
    for one in tables:
        assert standing.logs.tables.describe("shop", one.key).table == one
    assert standing.logs.tables.describe("shop", NASTY).table.name == 'ta"ble/100%; DROP'
    assert standing.logs.tables.describe("shop", "parted_2026").table.full == "public.parted_2026"
    assert standing.logs.tables.describe("shop", 'we.ird.ta"ble/100%; DROP').table.key == NASTY


def test_a_name_that_can_be_several_tables_is_refused_with_their_keys(standing: Storage) -> None:
    with pytest.raises(Invalid) as refused:
        standing.logs.tables.describe("shop", "we")
    assert refused.value.advice is not None
    assert "public.we" in str(refused.value.advice)
    assert "other.we" in str(refused.value.advice)
    assert standing.logs.tables.describe("shop", "public.x").table.key == "public.public~2e~x"


@pytest.mark.parametrize("name", ["nothing", "pg_catalog.pg_authid", "pg_authid", "kinds; DROP TABLE kinds", "", '"'])
def test_what_is_no_table_of_the_database_is_refused_by_its_name(standing: Storage, name: str) -> None:
    with pytest.raises(NotFound, match="has no table"):
        standing.logs.tables.describe("shop", name)


def test_columns_whose_names_say_secrets_are_not_shown_unless_they_are_chosen(standing: Storage) -> None:
    described = standing.logs.tables.describe("shop", "accounts")
    assert [one.name for one in described.columns if one.secret] == ["password_hash", "apiKey", "access_token"]
    assert described.usual == ("id", "name", "input_tokens", "token_expires", "monkey")
    assert as_csv(standing, TableRequest(table="accounts"))[0] == list(described.usual)
    chosen = as_csv(standing, TableRequest(table="accounts", columns=("password_hash",)))
    assert chosen == [["password_hash"], ["hash"]]


def test_names_of_every_kind_are_exported(standing: Storage) -> None:
    wanted = TableRequest(table=NASTY, order="table")
    columns = ["table", "a.b", 'say "hi" 100%s', "列 'é'"]
    assert as_csv(standing, wanted) == [columns, ["1", "dot", "quote %s %(x)s", "值"], ["2", "", "", "it's \\ here"]]
    assert b'\n2,,"",it\'s \\ here' in exported(standing, wanted, Format.CSV)  # NULL and the empty text are kept apart
    lines = as_json(standing, wanted)
    assert lines[1] == {"table": 2, "a.b": None, 'say "hi" 100%s': "", "列 'é'": "it's \\ here"}
    found = as_csv(
        standing,
        TableRequest(
            table=NASTY,
            columns=("a.b", "table"),
            conditions=(
                Condition('say "hi" 100%s', Operator.EQUAL, "quote %s %(x)s"),
                Condition("列 'é'", Operator.BEGINS, "值"),
            ),
        ),
    )
    assert found == [["a.b", "table"], ["dot", "1"]]


def test_views_are_read_and_partitions_too(standing: Storage) -> None:
    assert [row[0] for row in as_csv(standing, TableRequest(table="happy", order="id"))[1:]] == ["1", "4"]
    assert as_csv(standing, TableRequest(table="parted"))[1:] == [["1", "2026-05-05"]]
    assert as_csv(standing, TableRequest(table="parted_2026"))[1:] == [["1", "2026-05-05"]]
    assert as_json(standing, TableRequest(table="no_columns")) == [{}]


def test_equal_rows_are_in_the_order_of_the_primary_key(standing: Storage) -> None:
    up = TableRequest(table="twice", columns=("id", "part"), order="same")
    assert as_csv(standing, up)[1:] == [["1", "1"], ["1", "2"], ["2", "1"], ["0", "3"]]
    down = TableRequest(table="twice", columns=("id", "part"), order="same", descending=True)
    assert as_csv(standing, down)[1:] == [["0", "3"], ["2", "1"], ["1", "2"], ["1", "1"]]


NOT_ORDERED = [("doc", "lt"), ("place", "gt"), ("xml", "le"), ("docs", "ge"), ("both", "lt")]


@pytest.mark.parametrize(("column", "operator"), NOT_ORDERED)
def test_what_has_no_order_is_not_compared_by_it(ids: Ids, standing: Storage, column: str, operator: str) -> None:
    with pytest.raises(Invalid, match=f"values of {column} "):
        ids(column, Operator(operator), "x")
    with pytest.raises(Invalid, match=f"values of {column} "):
        standing.logs.tables.preview("shop", TableRequest(table="kinds", order=column))


OPERATORS = [
    ("big", "eq", "9007199254740993", [1]),
    ("big", "ne", "10", [1, 2, 3]),  # what has no value is not 10 either
    ("big", "lt", "10", [2]),
    ("big", "le", "10", [2, 4]),
    ("big", "gt", "10", [1]),
    ("big", "ge", "10", [1, 4]),
    ("big", "contains", "71992", [1]),
    ("big", "begins", "90", [1]),
    ("big", "empty", "", [3]),
    ("big", "not-empty", "ignored", [1, 2, 4]),
    ("text", "empty", "", [2, 3]),
    ("text", "not-empty", "", [1, 4]),
    ("text", "contains", "+", [4]),
    ("limited", "contains", "%", [4]),
    ("limited", "begins", "_", []),
    ("limited", "contains", "_", [4]),
]


@pytest.mark.parametrize(("column", "operator", "value", "rows"), OPERATORS)
def test_every_operator(ids: Ids, column: str, operator: str, value: str, rows: list[int]) -> None:
    assert ids(column, Operator(operator), value) == rows


TYPES = [
    ("exact", "1234567890.123456789012345", [1]),
    ("approximate", "0.1", [1]),
    ("approximate", "NaN", [2]),
    ("flag", "yes", [1, 4]),
    ("limited", "abc", [1]),
    ("limited", "abcdef", []),  # is not cut to what fits
    ("padded", "ab", [1]),
    ("day", "29 March 2026", [1]),
    ("clock", "2026-03-29 02:30:00.123456", [1]),
    ("clock", "-infinity", [2]),
    ("moment", "2026-03-29T03:30:00.5+02:00", [1]),
    ("hour", "13:14:15", [1]),
    ("span", "26 hours", [1]),
    ("uuid", "{0193A6F2-0000-7000-8000-000000000001}", [1]),
    ("raw", "\\xdeadbeef", [4]),
    ("tree", '{"a":null,"b":[1,2.5]}', [1]),
    ("doc", "null", [2]),
    ("numbers", "{1,NULL,3}", [1]),
    ("words", '{"a,b","q\\"q"}', [1]),
    ("mood", "=sad", [2]),
    ("host", "192.0.2.1", [1]),
    ("shop", "ab", [1]),
    ("shop", "too long for the domain", []),
    ("both", "(5,\"x y\")", [1]),
    ("bits", "1010", [1]),
    ("width", "[1,4]", [1]),
    ("price", "-1234.5", [1]),
    ("place", "(1,2)", [1]),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value", "rows"), TYPES)
def test_a_value_is_read_as_the_type_of_its_column(ids: Ids, column: str, value: str, rows: list[int]) -> None:
    assert ids(column, Operator.EQUAL, value) == rows


def test_several_conditions_all_hold(ids: Ids) -> None:
    assert ids("flag", Operator.EQUAL, "t") == [1, 4]
    assert ids("flag", Operator.EQUAL, "t", "id", Operator.MORE, "1") == [4]
    assert ids("id", Operator.MORE, "1", "id", Operator.LESS, "4", "text", Operator.EMPTY, "") == [2, 3]


UNFIT = [
    ("id", "eq", "1; DROP TABLE kinds"),
    ("id", "eq", "1 OR 1=1"),
    ("id", "eq", ""),
    ("big", "lt", "99999999999999999999"),
    ("day", "gt", "2026-02-30"),
    ("flag", "eq", "perhaps"),
    ("uuid", "eq", "'); DROP TABLE kinds; --"),
    ("mood", "eq", "angry"),
    ("numbers", "eq", "{1,"),
    ("raw", "eq", "\\xz"),
]


@pytest.mark.parametrize(("column", "operator", "value"), UNFIT)
def test_a_value_that_its_column_cannot_have_is_refused_with_both(
    ids: Ids, column: str, operator: str, value: str
) -> None:
    with pytest.raises(Invalid) as refused:
        ids(column, Operator(operator), value)
    assert column in str(refused.value.cause)
    assert value in str(refused.value.cause)
    assert str(refused.value.effect) == "Nothing was read."


INJECTED = ['id"; DROP TABLE kinds; --', "id, (SELECT 1)", "*", "r.id", "ctid", "1", "ID"]


@pytest.mark.parametrize("name", INJECTED)
def test_a_column_that_is_not_in_the_catalogue_is_refused_wherever_it_is_named(standing: Storage, name: str) -> None:
    for wanted in (
        TableRequest(table="kinds", columns=("id", name)),
        TableRequest(table="kinds", conditions=(Condition(name, Operator.EMPTY),)),
        TableRequest(table="kinds", order=name),
    ):
        with pytest.raises(Invalid) as refused:
            standing.logs.tables.preview("shop", wanted)
        assert str(refused.value.cause) == f"public.kinds has no column “{name}”."
        with pytest.raises(Invalid):
            exported(standing, wanted, Format.CSV)
    assert len(as_csv(standing, TableRequest(table="kinds"))) == 5


def test_texts_that_are_meant_to_break_out_are_looked_for_as_they_are(ids: Ids) -> None:
    for text in ("' OR '1'='1", "\\'; DROP TABLE kinds; --", "%s", "%(x)s", "$$", "\\", "';"):
        assert ids("text", Operator.EQUAL, text) == []
        assert ids("text", Operator.CONTAINS, text) == []
    assert ids("limited", Operator.EQUAL, "%_") == [4]


def test_a_look_shows_the_beginning_and_says_whether_there_is_more(shop: Storage, tables: Connection) -> None:
    with connect(tables, application="tests") as session:
        session.execute("INSERT INTO accounts (name) SELECT repeat('x', 1000) FROM generate_series(1, 50)")
        session.execute("UPDATE kinds SET raw = decode(repeat('ab', 1000), 'hex') WHERE id = 1")
    seen = shop.logs.tables.preview("shop", TableRequest(table="accounts", columns=("name",), order="id"))
    assert (len(seen.rows), seen.more) == (50, True)
    assert (seen.rows[0], len(seen.rows[1][0] or "")) == (("Ana",), 300)
    assert not shop.logs.tables.preview("shop", TableRequest(table="kinds")).more
    raw = shop.logs.tables.preview("shop", TableRequest(table="kinds", columns=("raw",), order="id")).rows[0][0]
    assert raw == "\\x" + "ab" * 150


def test_a_role_that_may_not_read_a_table_is_told_so(shop: Storage, tables: Connection) -> None:
    with connect(tables, application="tests") as session:
        session.execute("CREATE ROLE clerk_of_tables LOGIN PASSWORD 'x'")
        try:
            shop.databases.remove("shop")
            clerk = replace(tables, user="clerk_of_tables", password=Secret("x"))
            shop.databases.add("shop", clerk, by="tests")
            assert "public.kinds" in [one.full for one in shop.logs.tables.all("shop")]
            with pytest.raises(StorageError, match="may not") as refused:
                shop.logs.tables.preview("shop", TableRequest(table="kinds"))
            assert "permission denied for table kinds" in refused.value.words
        finally:
            session.execute("DROP ROLE clerk_of_tables")


def test_a_question_that_is_ended_because_it_takes_too_long_says_what_helps(shop: Storage, tables: Connection) -> None:
    with connect(tables, application="tests") as session:
        session.execute("CREATE VIEW slow AS SELECT pg_cancel_backend(pg_backend_pid()) AS a, pg_sleep(20)::text AS b")
    with pytest.raises(StorageError, match="needed longer") as refused:
        shop.logs.tables.preview("shop", TableRequest(table="slow"))
    assert "export the rows" in str(refused.value.advice)


def test_nothing_that_a_view_does_can_write(shop: Storage, tables: Connection) -> None:
    with connect(tables, application="tests") as session:
        session.execute(
            "CREATE FUNCTION note() RETURNS integer LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO accounts (name) VALUES ('written'); RETURN 1; END $$"
        )
        session.execute("CREATE VIEW writing AS SELECT note() AS noted")
        with pytest.raises(StorageError, match="could not be read"):
            shop.logs.tables.preview("shop", TableRequest(table="writing"))
        assert session.execute("SELECT count(*) FROM accounts").fetchone() == (1,)


def test_a_workbook_is_made_by_a_job(standing: Storage) -> None:
    wanted = standing.logs.tables.check("shop", TableRequest(table="kinds", order="id"))
    assert wanted.table == "public.kinds"
    job, new = standing.logs.exports.start(
        "shop", wanted.to_json(), Format.XLSX, name="kinds", by="ana", background=False
    )
    assert new
    done = standing.runner.run_here(job)
    assert done.state is JobState.COMPLETED, done.error
    assert done.result["rows"] == 4
