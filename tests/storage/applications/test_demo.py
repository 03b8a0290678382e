"""The demo databases: they load on every server major, are recognised, and keep what makes them worth trying."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from storage.applications import demo, maps
from storage.postgres.connection import Connection, connect
from tests.servers import MAJORS, Server

pytestmark = pytest.mark.postgres

APPLICATIONS = {"hub": "claude_code_hub", "wiki": "opendeepwiki", "crearis": "crearis"}
ROWS = {
    "hub": {"users": 40, "message_request": 50_000, "provider_endpoint_probe_logs": 20_000},
    "wiki": {"repositories": 6, "tasks": 120, "documents": 150},
    "crearis": {"users": 30, "projects": 12, "images": 80, "instructors": 25, "events": 40, "posts": 60, "status": 40},
}

Rows = list[tuple[Any, ...]]


@contextmanager
def loaded(connection: Connection, name: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with connect(connection, application="tests", autocommit=False) as session:
        session.execute(demo.script(name))
        session.commit()
        yield session


def ask(session: psycopg.Connection[tuple[Any, ...]], question: str) -> Rows:
    return session.execute(question).fetchall()


@pytest.mark.parametrize("name", demo.NAMES)
@pytest.mark.parametrize("major", MAJORS)
def test_each_script_loads_on_every_major_in_one_go(server_of: Callable[[int], Server], major: int, name: str) -> None:
    with server_of(major).a_database() as connection, loaded(connection, name) as session:
        assert {table: ask(session, f"SELECT count(*) FROM {table}")[0][0] for table in ROWS[name]} == ROWS[name]
        tables = {table for (table,) in ask(session, "SELECT schemaname || '.' || tablename FROM pg_tables")}
        assert not any(table.startswith("pg_temp") for table in tables)
        recognised = maps.recognise(maps.load_maps(), tables)
        assert recognised is not None
        assert recognised.name == APPLICATIONS[name]
        for log in recognised.log_tables:
            ask(session, f"SELECT {log.time_column}, {log.soft_delete_column or 1} FROM {log.table} LIMIT 1")


def test_a_demo_that_is_not_there_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no demo database is called shop"):
        demo.script("shop")


def test_the_hub_holds_the_cases_that_exports_go_wrong_with(empty_database: Connection) -> None:
    with loaded(empty_database, "hub") as session:
        [facts] = ask(
            session,
            """SELECT count(*) FILTER (WHERE status_code IS NULL), count(*) FILTER (WHERE provider_id = 0),
                      count(*) FILTER (WHERE deleted_at IS NOT NULL), count(*) FILTER (WHERE cost_usd >= 1),
                      count(*) FILTER (WHERE user_agent LIKE ' =cmd%'), count(*) FILTER (WHERE user_agent ~ '[\\n\\r]'),
                      count(*) FILTER (WHERE request_sequence > 5),
                      count(*) FILTER (WHERE jsonb_path_exists(provider_chain, '$[*] ? (@.attemptNumber > 1)'))
               FROM message_request""",
        )
        assert all(count > 0 for count in facts)
        assert ask(session, "SELECT count(*) FROM message_request WHERE created_at > now()") == [(0,)]
        assert ask(
            session, "SELECT count(*) > 50000 FROM message_request JOIN keys ON keys.key = message_request.key"
        ) == [(True,)]
        assert ask(session, "SELECT count(*) FROM pg_indexes WHERE tablename = 'message_request'") == [(14,)]


def test_the_wiki_has_zero_for_none_and_chains_of_versions(empty_database: Connection) -> None:
    with loaded(empty_database, "wiki") as session:
        assert ask(session, "SELECT count(*) FROM tasks WHERE doc_id = 0") == [(16,)]
        assert ask(session, "SELECT count(*) FROM documents WHERE is_latest <> (replaced_by = 0)") == [(0,)]
        assert ask(session, "SELECT max(version), count(*) FILTER (WHERE is_latest) FROM documents") == [(3, 104)]


def test_the_next_row_after_the_demo_has_an_id_of_its_own(empty_database: Connection) -> None:
    with loaded(empty_database, "crearis") as session:
        session.execute("INSERT INTO status (value, name, \"table\") VALUES (1, 'late', 'tasks')")
        assert ask(session, "SELECT max(id) FROM status") == [(41,)]


def test_a_plain_restore_of_crearis_loses_the_tables_whose_columns_read_status(
    server: Server, empty_database: Connection, tmp_path: Path
) -> None:
    with loaded(empty_database, "crearis"):
        pass
    with server.a_database() as target:
        words = dump_and_restore(server, empty_database, target, tmp_path)
        assert 'COPY failed for table "users": ERROR:  relation "status" does not exist' in words
        with connect(target, application="tests") as session:
            assert ask(session, "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM images)") == [(0, 80)]


def test_with_a_search_path_the_restore_succeeds_and_loses_what_was_loaded_before_status(
    server: Server, empty_database: Connection, tmp_path: Path
) -> None:
    with loaded(empty_database, "crearis") as session:
        for function in ("get_status_display_name(integer, text)", "compute_domainname(integer, text, text)"):
            session.execute(f"ALTER FUNCTION {function} SET search_path = public")
        session.commit()
        assert empty_names(session) == {"events": 0, "posts": 0, "tasks": 0}
    with server.a_database() as target:
        assert dump_and_restore(server, empty_database, target, tmp_path) == ""
        with connect(target, application="tests") as session:
            assert empty_names(session) == {"events": 40, "posts": 60, "tasks": 0}


def empty_names(session: psycopg.Connection[tuple[Any, ...]]) -> dict[str, int]:
    return {
        table: ask(session, f"SELECT count(*) FROM {table} WHERE status_display = ''")[0][0]
        for table in ("events", "posts", "tasks")
    }


def dump_and_restore(server: Server, source: Connection, target: Connection, folder: Path) -> str:
    """What pg_restore says on its way from one database to another; the client programs as anybody would call them."""
    archive = folder / "crearis.dump"

    def run(program: str, connection: Connection, *arguments: str) -> str:
        password = connection.password.reveal if connection.password else ""
        where = {"PGHOST": connection.host, "PGPORT": str(connection.port), "PGUSER": connection.user, "LC_ALL": "C"}
        return subprocess.run(
            [server.installation.program(program), "--dbname", connection.dbname, *arguments],
            env={"PATH": os.defpath, "PGPASSWORD": password, **where, **server.installation.environment()},
            capture_output=True,
            text=True,
        ).stderr

    assert run("pg_dump", source, "--format=custom", f"--file={archive}") == ""
    return run("pg_restore", target, str(archive))
