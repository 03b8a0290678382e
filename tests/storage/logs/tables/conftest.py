"""What the tests of tables ask for: a database with tables of every kind of name and type, known as `shop`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.logs.formats import Format
from storage.logs.tables.request import Condition, TableRequest
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from storage.settings import Settings
from tests.servers import Server

NOWHERE = Secret("postgresql://nobody@127.0.0.1:1/nothing")
SCRIPT = Path(__file__).with_name("tables.sql")


@pytest.fixture(scope="session")
def filled(server: Server) -> Connection:
    """A database with the tables of `tables.sql`, to be read, and to make others of."""
    connection = server.create_database("tables_of_every_kind")
    with connect(connection, application="tests") as session:
        session.execute(SCRIPT.read_bytes())
    return connection


@pytest.fixture
def tables(server: Server, filled: Connection) -> Iterator[Connection]:
    """A database with the tables of `tables.sql` that only this test sees."""
    connection = server.create_database(template=filled.dbname)
    yield connection
    server.drop_database(connection.dbname)


@pytest.fixture(scope="session")
def standing(server: Server, filled: Connection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """A storage, not started, for all tests that only read: it knows the tables as `shop`."""
    storage = a_storage(tmp_path_factory.mktemp("standing"), server)
    storage.databases.add("shop", filled, by="tests")
    yield storage
    storage.stop()


@pytest.fixture
def shop(server: Server, tmp_path: Path, tables: Connection) -> Iterator[Storage]:
    """The same over `tables`, for tests that change something there."""
    storage = a_storage(tmp_path, server)
    storage.databases.add("shop", tables, by="tests")
    yield storage
    storage.stop()


def a_storage(folder: Path, server: Server) -> Storage:
    (folder / "backups").mkdir(mode=0o700)
    return open_storage(
        Settings(
            data_folder=folder / "backups",
            private_folder=folder / "private",
            pg_bin_dirs=(server.installation.folder,),
            database_url=NOWHERE,
            database_variable="DATABASE_URL",
        )
    )


Ids = Callable[..., list[int]]


@pytest.fixture
def ids(standing: Storage) -> Ids:
    """ids("column", Operator.EQUAL, "value", ...): the ids of the rows of `kinds` that fulfil these conditions."""

    def found(*words: Any) -> list[int]:
        conditions = tuple(Condition(*words[at : at + 3]) for at in range(0, len(words), 3))
        wanted = TableRequest(table="public.kinds", columns=("id",), conditions=conditions, order="id")
        return [int(row[0] or 0) for row in standing.logs.tables.preview("shop", wanted).rows]

    return found


def exported(storage: Storage, wanted: TableRequest, form: Format) -> bytes:
    stream = storage.logs.exports.stream("shop", wanted.to_json(), form)
    try:
        return stream.first + b"".join(iter(stream.read, b""))
    finally:
        stream.close()


def as_csv(storage: Storage, wanted: TableRequest) -> list[list[str]]:
    return list(csv.reader(io.StringIO(exported(storage, wanted, Format.CSV).decode("utf-8-sig"), newline="")))


def as_json(storage: Storage, wanted: TableRequest) -> list[dict[str, Any]]:
    return [json.loads(line) for line in exported(storage, wanted, Format.NDJSON).decode().splitlines()]
