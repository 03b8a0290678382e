"""Rows that go straight from the server's COPY to whoever asked: at the reader's pace, whole or broken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from psycopg import sql

from storage.logs import reading
from storage.postgres.connection import Connection
from storage.postgres.snapshot import Session, hang_up

CHUNK_BYTES = 64 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_PREPARE = (
    # The first rows at once, and the newest first without sorting all of them: the reader waits for the first byte.
    "SET enable_sort = off",
    "SET jit = off",
)


class RowStream:
    """The bytes of one COPY, in pieces of about 64 KiB. Holds a connection until it is closed.

    Read by one thread; `end` may be called by any other.
    """

    def __init__(
        self, connection: Connection, statement: Callable[[Session], sql.Composed], *, beginning: bytes = b""
    ) -> None:
        """`statement` is asked with the open session, so that it can look at the tables first."""
        with ExitStack() as opened:
            self._session = opened.enter_context(reading.reading(connection, seconds=0))
            for setting in _PREPARE:
                self._session.execute(setting)
            cursor = opened.enter_context(self._session.cursor())
            self._copy = opened.enter_context(cursor.copy(statement(self._session)))
            self._pieces = self._gather()
            self.sent = 0
            self.first = beginning + next(self._pieces, b"")
            """The first piece, read already: the server has begun."""
            self._opened = opened.pop_all()

    def read(self) -> bytes:
        """The next piece; b"" at the end of all rows, and an exception at any other end."""
        with reading.understood():
            piece = next(self._pieces, b"")
        self.sent += len(piece)
        return piece

    def end(self) -> None:
        """Have it fail, from any thread: its reader takes nothing any more."""
        hang_up(self._session)

    def close(self) -> None:
        """Let go of the server, which stops at once if it still sends. Harmless when repeated."""
        if not self._session.closed:
            self._session.cancel_safe(timeout=1)
            self._session.close()

    def _gather(self) -> Iterator[bytes]:
        """One row comes with each read of the connection: gathered, so that each piece is worth its way."""
        gathered, size = [], 0
        while row := self._copy.read():
            gathered.append(row)
            size += len(row)
            if size >= CHUNK_BYTES:
                yield b"".join(gathered)
                gathered.clear()
                size = 0
        if gathered:
            yield b"".join(gathered)
