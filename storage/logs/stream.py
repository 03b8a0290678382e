"""Rows that go straight from the server's COPY to whoever asked: at the reader's pace, whole or broken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import psycopg
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
            self._pieces = pieces(self._session, statement(self._session))
            self.first = beginning + next(self._pieces, (b"", 0))[0]
            """The first piece, read already: the server has begun."""
            self.sent = len(self.first)
            self._opened = opened.pop_all()

    def read(self) -> bytes:
        """The next piece; b"" at the end of all rows, and an exception at any other end."""
        with reading.understood():
            piece, _ = next(self._pieces, (b"", 0))
        self.sent += len(piece)
        return piece

    def end(self) -> None:
        """Have it fail, from any thread: its reader takes nothing any more."""
        hang_up(self._session)

    def close(self) -> None:
        """Let go of the server, which stops at once if it still sends. Harmless when repeated."""
        if not self._session.closed:
            with suppress(psycopg.Error):
                self._session.cancel_safe(timeout=1)
            self._session.close()
            self._opened.close()


def pieces(session: Session, statement: sql.Composed) -> Iterator[tuple[bytes, int]]:
    """What a COPY yields, in pieces of about 64 KiB, each with the number of its lines."""
    for setting in _PREPARE:
        session.execute(setting)
    with session.cursor() as cursor, cursor.copy(statement) as copy:
        # One line comes with each read of the connection: gathered, so that each piece is worth its way.
        gathered: list[bytes | bytearray | memoryview] = []
        size = 0
        while line := copy.read():
            gathered.append(line)
            size += len(line)
            if size >= CHUNK_BYTES:
                yield b"".join(gathered), len(gathered)
                gathered.clear()
                size = 0
        if gathered:
            yield b"".join(gathered), len(gathered)
