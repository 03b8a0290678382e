"""An exported snapshot: one moment of a database, held open for pg_dump and for our own counting."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import dup
from typing import Any

import psycopg

from storage.postgres.connection import Connection, connect

Session = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def read_only_moment(connection: Connection, *, application: str) -> Iterator[Session]:
    """A session inside a REPEATABLE READ, READ ONLY transaction; everything read in it is of one moment."""
    with connect(connection, application=application, autocommit=True) as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        try:
            yield session
        except BaseException:
            # The server may have fallen silent: nobody waits for it to say that it rolled nothing back.
            session.close()
            raise


def export(session: Session) -> str:
    """Name the session's moment so that pg_dump can see it; valid as long as the transaction is open."""
    row = session.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
    assert row is not None
    return str(row[0])


def hang_up(session: Session) -> None:
    """End whatever the session waits for, from another thread: at once, also when the server has gone silent.

    The server is asked to cancel first, as far as it listens; then our end of the connection is shut.
    """
    with suppress(psycopg.Error, OSError):
        session.cancel_safe(timeout=1)
    with suppress(psycopg.Error, OSError), socket.socket(fileno=dup(session.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
