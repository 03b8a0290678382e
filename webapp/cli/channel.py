"""How the server reads requests: nothing larger than the application takes, large bodies in the data folder.

Waitress reads a body whole before the application sees it. So the head alone decides here: whoever may not upload can
send no more than a form, and what is too large is answered before its first byte is read.
"""

from __future__ import annotations

import copy
import logging
import socket
import time
from collections.abc import Callable
from functools import partial
from io import BufferedRandom
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer, TempfileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import FixedStreamReceiver
from waitress.server import BaseWSGIServer, MultiSocketServer
from waitress.utilities import RequestEntityTooLarge

logger = logging.getLogger(__name__)

MOST_HEADERS = 200
LINGER_SECONDS = 5.0
"""How long what is still being sent is thrown away after a refusal. Closed at once, the connection would be reset, and
the client might never read why."""

Head = dict[str, Any]
MostBytes = Callable[[Head], int]


def install(server: BaseWSGIServer | MultiSocketServer, *, most_bytes: MostBytes, folder: Path) -> None:
    """Have a server ask `most_bytes`, with a WSGI environment of the head alone, and keep large bodies in `folder`."""
    for one in list((server.map or {}).values()) if isinstance(server, MultiSocketServer) else [server]:
        if isinstance(one, BaseWSGIServer):
            one.channel_class = partial(Channel, parser=partial(Parser, most_bytes=most_bytes, folder=folder))  # type: ignore[assignment]


class Parser(HTTPRequestParser):
    refused = False

    def __init__(self, adj: Adjustments, *, most_bytes: MostBytes, folder: Path) -> None:
        super().__init__(adj)
        self._most_bytes, self._folder = most_bytes, folder

    def parse_header(self, header_plus: bytes) -> None:
        if header_plus.count(b"\n") > MOST_HEADERS:
            raise ParsingError("too many header fields")
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            # Two lengths: who reads the other one sees another request behind this (RFC 9112, 6.3).
            raise ParsingError("both Transfer-Encoding and Content-Length")
        if self.body_rcv is None:
            return
        self.adj = copy.copy(self.adj)
        self.adj.max_request_body_size = self._most() + 1
        buffer = _OnDisk(self.adj.inbuf_overflow, self._folder)
        if self.chunked:
            self.body_rcv.buf = buffer
        else:
            self.body_rcv = FixedStreamReceiver(self.content_length, buffer)

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge) and not self.chunked and self.body_bytes_received == 0:
            # The application says it better. It sees the length, and that is all it needs.
            self.error, self.refused = None, True
            self.body_rcv, self.expect_continue, self.connection_close = None, False, True
        return consumed

    def _most(self) -> int:
        try:
            return self._most_bytes(self._environ())
        except Exception:
            logger.exception("how large a body may be could not be told")
            return 0

    def _environ(self) -> Head:
        environ: Head = {
            "REQUEST_METHOD": self.command.upper(),
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,  # type: ignore[attr-defined]  # not in the stubs, as is the next
            "QUERY_STRING": self.query,  # type: ignore[attr-defined]
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "0",
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            "wsgi.url_scheme": self.url_scheme,
        }
        return environ | {f"HTTP_{name}": value for name, value in self.headers.items()}


class Channel(HTTPChannel):
    """Reads on for a moment after a refused request, and throws away what it reads."""

    _until: float | None = None

    def __init__(self, *arguments: Any, parser: Callable[[Adjustments], Parser], **options: Any) -> None:
        self.parser_class = parser  # type: ignore[assignment]
        self._refused = False
        super().__init__(*arguments, **options)

    def received(self, data: bytes) -> bool:
        answered: bool = super().received(data)
        self._refused |= any(getattr(one, "refused", False) for one in self.requests)
        return answered

    def readable(self) -> bool:
        return self._until is not None or bool(super().readable())

    def writable(self) -> bool:
        if self._until is not None:
            return time.monotonic() > self._until
        return bool(super().writable())

    def handle_read(self) -> None:
        if self._until is None:
            super().handle_read()
            return
        assert self.socket is not None
        try:
            if self.socket.recv(1 << 16):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # it is gone: nothing is left to be read
        super().handle_close()

    def handle_close(self) -> None:
        if self._refused and self._until is None and self.connected and self.socket is not None:
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # gone already
            else:
                self._until = time.monotonic() + LINGER_SECONDS
                return
        super().handle_close()


class _OnDisk(OverflowableBuffer):
    def __init__(self, overflow: int, folder: Path) -> None:
        super().__init__(overflow)
        self._folder = folder

    def _set_large_buffer(self) -> None:
        before = self.buf
        self.buf = _File(self._folder, before)  # type: ignore[assignment]  # as in the class above this one
        if before is not None:
            before.close()
        self.overflowed = True


class _File(TempfileBasedBuffer):
    def __init__(self, folder: Path, before: Any) -> None:
        self._folder = folder
        super().__init__(before)

    def newfile(self) -> BufferedRandom:
        # Without a name: it is gone with the connection, however that ends.
        return TemporaryFile("w+b", dir=self._folder)
