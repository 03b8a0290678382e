"""What a role may not read is named before a take, with the grant that helps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from storage.backups import preflight
from storage.errors import Denied
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from tests.servers import Server

pytestmark = pytest.mark.postgres

ROLE = "pre.flight"


@pytest.fixture
def reader(server: Server, empty_database: Connection) -> Iterator[Connection]:
    """A role of an odd name that may log in and nothing else."""
    do(server.connection, f"CREATE ROLE \"{ROLE}\" LOGIN PASSWORD 'p'")
    yield replace(empty_database, user=ROLE, password=Secret("p"))
    do(empty_database, f'DROP OWNED BY "{ROLE}"; DROP ROLE "{ROLE}"')


def do(connection: Connection, statements: str) -> None:
    with connect(connection, application="tests") as session:
        session.execute(statements.encode())


def refusal(connection: Connection) -> Denied | None:
    with connect(connection, application="tests") as session:
        closed = preflight.read_closed(session)
    try:
        preflight.check_rights((), closed, role=connection.user)
    except Denied as error:
        return error
    return None


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ('CREATE SEQUENCE "num.bers"', 'public."num.bers"'),
        ("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)", "public.t_id_seq"),
        ("CREATE TABLE logs (at date) PARTITION BY RANGE (at)", "public.logs"),
        ("CREATE SCHEMA hidden; CREATE SEQUENCE hidden.s; GRANT SELECT ON hidden.s TO public", "hidden.s"),
    ],
)
def test_sequences_and_parents_of_partitions_are_looked_at(
    empty_database: Connection, reader: Connection, statement: str, name: str
) -> None:
    do(empty_database, statement)
    refused = refusal(reader)
    assert refused is not None and str(refused.cause) == f"{ROLE} may not read {name}."
    assert str(refused.advice).endswith(f'GRANT pg_read_all_data TO "{ROLE}";')
    do(empty_database, f'GRANT pg_read_all_data TO "{ROLE}"')
    assert refusal(reader) is None
    do(empty_database, f'REVOKE pg_read_all_data FROM "{ROLE}"')


def test_a_large_object_that_may_not_be_read_is_named(empty_database: Connection, reader: Connection) -> None:
    do(empty_database, "SELECT lo_from_bytea(4711, 'kept')")
    assert refusal(empty_database) is None
    refused = refusal(reader)
    assert refused is not None and "the large object 4711" in str(refused.cause)
    # The advice helps.
    do(empty_database, f'GRANT SELECT ON LARGE OBJECT 4711 TO "{ROLE}"')
    assert refusal(reader) is None
