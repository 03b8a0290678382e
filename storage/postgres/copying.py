"""Watching rows come and go from the server's side: pg_stat_progress_copy, asked on a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from storage.errors import Unreachable
from storage.postgres.connection import Connection, connect
from storage.postgres.quoting import full_name
from storage.postgres.snapshot import Session, hang_up

LOOK_EVERY = 0.4


@dataclass(frozen=True, slots=True)
class Copying:
    """One COPY that is running now."""

    table: str
    """schema.table"""
    bytes: int
    rows: int


class CopyMonitor:
    """Looks every 0.4 s at the COPYs of one of our jobs, as long as the block lasts.

    Progress is a courtesy: a connection that is lost or refused is tried again, and never ends the job.
    """

    def __init__(self, connection: Connection, *, application: str, on_copying: Callable[[Copying], None]) -> None:
        self._connection, self._application, self._on_copying = connection, application, on_copying
        self._ended = threading.Event()
        self._session: Session | None = None
        self._thread = threading.Thread(target=self._work, name="monitor", daemon=True)
        self.answers = 0
        """Grows as long as the server answers: evidence that it is alive."""

    def __enter__(self) -> CopyMonitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(LOOK_EVERY + 0.2)
        if self._thread.is_alive() and self._session is not None:
            hang_up(self._session)
            self._thread.join(1)

    def _work(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            try:
                with connect(self._connection, application=f"{self._application} monitor") as session:
                    self._session = session
                    self._look(session)
            except Unreachable as refused:
                # A server that refuses us in its own words, because it is full for example, is alive.
                self.answers += refused.kind not in ("name", "refused", "silent")
            except psycopg.Error:
                continue

    def _look(self, session: Session) -> None:
        while not self._ended.wait(LOOK_EVERY):
            for schema, table, size, rows in session.execute(_QUERY, (self._application,)):
                self._on_copying(Copying(full_name(schema, table), size, rows))
            self.answers += 1


_QUERY = """
SELECT n.nspname::text, c.relname::text, p.bytes_processed, p.tuples_processed
FROM pg_catalog.pg_stat_progress_copy p JOIN pg_catalog.pg_stat_activity a USING (pid)
JOIN pg_catalog.pg_class c ON c.oid = p.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.datname = current_database() AND a.application_name = %s
"""
