"""All requests of a session as one JSON document, in pieces: at the reader's pace, whole or broken off."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from storage.clock import to_text
from storage.errors import StorageError, say
from storage.logs.session_request import written


class SessionStream:
    """The document, a request at a time. Read by one thread; `end` may be called by any other."""

    def __init__(self, session: str, requests: Iterator[dict[str, Any]]) -> None:
        self._pieces = _pieces(session, requests)
        self._ended = threading.Event()
        self.first = next(self._pieces)
        """The beginning, with the first request: what could not be read at all was refused."""
        self.sent = len(self.first)

    def read(self) -> bytes:
        """The next piece; b"" at the end of all requests, and an exception at any other end."""
        if self._ended.is_set():
            raise StorageError(say("The transfer was given up."))
        piece = next(self._pieces, b"")
        self.sent += len(piece)
        return piece

    def end(self) -> None:
        """Have it fail, from any thread: its reader takes nothing any more."""
        self._ended.set()

    def close(self) -> None:
        """Let go of whatever it still reads from. Harmless when repeated."""
        self._pieces.close()


def _pieces(session: str, requests: Iterator[dict[str, Any]]) -> Generator[bytes, None, None]:
    begun = False
    for request in requests:
        beginning = "," if begun else f'{{\n  "sessionId": {json.dumps(session, ensure_ascii=False)},\n  "requests": ['
        begun = True
        lines = written(_plain(request)).replace("\n", "\n    ")
        yield f"{beginning}\n    {lines}".encode()
    yield b"\n  ]\n}"


def _plain(request: dict[str, Any]) -> dict[str, Any]:
    """What the usage log holds, in JSON: prices keep all of their digits as text."""
    log = request.get("log")
    return request if log is None else request | {"log": {name: _value(value) for name, value in log.items()}}


def _value(value: Any) -> Any:
    match value:
        case datetime():
            return to_text(value)
        case Decimal():
            return format(value, "f")
        case _:
            return value
