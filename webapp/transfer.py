"""Hands an export to the client piece by piece. What is not whole ends as a broken connection, never as a file."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, Protocol, TypeVar

from flask import Response, request

from webapp import streams
from webapp.current import storage

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.5


class Export(Protocol):
    """What is handed out: read by one thread, ended from any other."""

    first: bytes

    def read(self) -> bytes:
        """The next piece; b"" at the end of what is whole, and an exception at any other end."""

    def end(self) -> None: ...

    def close(self) -> None: ...


One = TypeVar("One", bound=Export)


def transferred(
    opened: Callable[[], One],
    *,
    of: str,
    name: str | Callable[[One], str],
    mimetype: str,
    begun: Callable[[One], None] = lambda export: None,
    ended: Callable[[One, str], None] = lambda export, result: None,
) -> Response:
    """Answer with a file that is made while it is sent. `opened` begins it, when there is room for one more, and
    refuses what can be refused; `begun` is told of one that was not refused, and may refuse it, too; `ended` is told
    "ok" or "failed", in whatever thread. A `name` that only the export knows is asked of it. A HEAD begins nothing."""
    if request.method == "HEAD":
        return _as_file(Response(mimetype=mimetype), name if isinstance(name, str) else "")
    with ExitStack() as undone:
        slot = undone.enter_context(streams.enter())
        export = opened()
        undone.callback(export.close)
        begun(export)

        def on_end(result: str) -> None:
            slot.leave()
            ended(export, result)

        patience = storage().settings.stall_seconds
        file = name if isinstance(name, str) else name(export)
        response = _as_file(Response(mimetype=mimetype, direct_passthrough=True), file)
        response.response = Transfer(export, request.environ, of=of, patience=patience, on_end=on_end)
        undone.pop_all()
    return response


def _as_file(response: Response, name: str) -> Response:
    if name:
        response.headers.set("Content-Disposition", "attachment", filename=name)
    # An intermediary that compressed it would undo the back-pressure, and gain nothing.
    response.headers["Cache-Control"] = "no-cache, no-transform"
    return response


class Transfer:
    """The body of an answer (PEP 3333). Read by one thread, which waits while the client takes nothing.

    A client that takes nothing for `patience` seconds is given up: it holds a database's turn, or its connection.
    """

    def __init__(
        self,
        export: Export,
        environment: dict[str, Any],
        *,
        of: str,
        patience: float,
        on_end: Callable[[str], None],
    ) -> None:
        """`of` says what it is in log lines; `on_end` is called once, with "ok" or "failed"."""
        self._export, self._of, self._patience, self._on_end = export, of, patience, on_end
        self._connection = _Connection(environment)
        self._handed_out_at: float | None = time.monotonic()
        self._begun = False
        self._pieces = self._read()
        self._whole = False
        self._closing, self._closed = threading.Lock(), threading.Event()
        threading.Thread(target=self._watch, name="transfer", daemon=True).start()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._begun, self._handed_out_at = True, None
        try:
            chunk = next(self._pieces)
        except StopIteration:
            self._whole = True
            raise
        except BaseException as error:
            # Every server ends a chunked answer without its last chunk then. An answer to HTTP/1.0, as some proxies
            # ask, ends with its connection, and only a reset tells it from a whole one.
            self._connection.reset_when_closed()
            logger.warning("export of %s broken off: %s", self._of, error)
            raise
        self._handed_out_at = time.monotonic()
        return chunk

    def close(self) -> None:
        if not self._closing.acquire(blocking=False):
            return  # the server and the watch may come at once
        self._closed.set()
        if not self._whole:
            self._connection.reset_when_closed()
        try:
            self._export.close()
        finally:
            self._on_end("ok" if self._whole else "failed")

    def _read(self) -> Iterator[bytes]:
        yield self._export.first
        self._export.first = b""
        while chunk := self._export.read():
            yield chunk

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_EVERY):
            since = self._handed_out_at
            if since is not None and time.monotonic() - since > self._patience:
                logger.warning("export of %s: the client took nothing for %s s", self._of, self._patience)
                self._export.end()
                if not self._begun:  # the answer was never handed to the server, and nobody else closes it
                    self.close()
                self._connection.reset_when_closed()
                self._connection.shut()
                return


class _Connection:
    """The client's connection, as far as the server lets us at it: waitress does, others end it by themselves."""

    def __init__(self, environment: dict[str, Any]) -> None:
        channel = getattr(environment.get("waitress.client_disconnected"), "__self__", None)
        self._socket: socket.socket | None = getattr(channel, "socket", None)

    def reset_when_closed(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def shut(self) -> None:
        """Wake whoever waits for the client to take more."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
