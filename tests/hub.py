"""A small claude-code-hub on a real server, for whatever reads or cleans up logs; its SQL is `hub.sql`.

What its requests (by id) are there for:

    1   every column has a value of its own, a price with all of its digits; the same moment as 2
    2   429 after two retries: three attempts, and two choices that are none
    3   its key's value is there twice; tokens only as the one old number; retried once
    4   blocked: no provider; no session
    5   no status, no price, an empty chain
    6   deleted in the application
    7, 8  no time
    9   attempts that raced each other: no retries
    10  its user, key and provider are deleted in the application
    11  its user, key and provider are not there at all
    12  texts that a spreadsheet would take for formulas; the largest price; a chain that is no list
    13  the last microsecond of a day; three retries; old and new numbers of tokens that do not agree
    14  the first microsecond of the next day
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.applications import demo
from storage.postgres.connection import Connection, connect
from tests.servers import Server

ANA, LIN, LEFT, SUM, SILENT = "1", "2", "3", "4", "5"
"""The application's users."""
NEWEST_FIRST = [8, 7, 14, 13, 12, 11, 10, 9, 5, 4, 3, 2, 1]
"""Every request that is not deleted, as the log orders them."""
OF_LIN = [8, 14, 13, 5, 3]
TEMPLATE = "a_small_hub"


@contextmanager
def a_hub(server: Server) -> Iterator[Connection]:
    """A database of the test's own with these tables and rows, dropped afterwards."""
    with connect(server.connection, application="tests") as session:
        there = session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone()
    if not there:
        with connect(server.create_database(TEMPLATE), application="tests") as session:
            session.execute(Path(__file__).with_name("hub.sql").read_bytes())
    connection = server.create_database(template=TEMPLATE)
    try:
        yield connection
    finally:
        server.drop_database(connection.dbname)


@contextmanager
def an_unused_hub(server: Server) -> Iterator[Connection]:
    """claude-code-hub as it is after its installation: all of its tables, and nobody in them."""
    tables, rest = demo.script("hub").split("-- People, their keys", 1)
    indexes = rest[rest.index("-- Indexes last") :]
    with server.a_database() as connection:
        with connect(connection, application="tests") as session, session.transaction():
            session.execute((tables + indexes).encode())
            session.execute("COMMENT ON TABLE message_request IS 'requests'")
        yield connection
