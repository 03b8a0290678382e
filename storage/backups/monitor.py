"""Watching a dump from the server's side: what pg_stat_progress_copy says of it, on a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from storage.errors import StorageError
from storage.postgres.connection import Connection, connect
from storage.postgres.snapshot import hang_up

LOOK_EVERY = 0.4


@dataclass(frozen=True, slots=True)
class Copying:
    """One row of pg_stat_progress_copy."""

    oid: int
    bytes: int
    rows: int


class Monitor:
    """Looks every 0.4 s as long as the block lasts. Losing the connection ends the looking, not the job."""

    def __init__(self, connection: Connection, *, application: str, on_copying: Callable[[Copying], None]) -> None:
        self._connection, self._application, self._on_copying = connection, application, on_copying
        self._ended = threading.Event()
        self._session: psycopg.Connection[tuple[Any, ...]] | None = None
        self._thread = threading.Thread(target=self._work, name="monitor", daemon=True)
        self.answers = 0
        """How often the server said that one of our sessions is at work: evidence that it is alive."""

    def __enter__(self) -> Monitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(LOOK_EVERY + 0.2)
        if self._thread.is_alive() and self._session is not None:
            hang_up(self._session)

    def _work(self) -> None:
        # Progress is a courtesy: without rights or without an answer the dump goes on and shows its bytes alone.
        with (
            suppress(StorageError, psycopg.Error),
            connect(self._connection, application=f"{self._application} monitor") as session,
        ):
            self._session = session
            while not self._ended.wait(LOOK_EVERY):
                self._look(session)

    def _look(self, session: psycopg.Connection[tuple[Any, ...]]) -> None:
        for active, oid, size, rows in session.execute(_QUERY, (self._application,)):
            self.answers += active
            if oid is not None:
                self._on_copying(Copying(oid, size, rows))


_QUERY = """
SELECT (a.state = 'active')::int, p.relid::bigint, p.bytes_processed, p.tuples_processed
FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_stat_progress_copy p USING (pid)
WHERE a.application_name = %s AND a.datname = current_database()
"""
