"""How the server reads requests: nothing larger than the application takes, large bodies in the data folder.

Waitress reads a body whole before the application sees it. So the head alone decides here: whoever may not upload can
send no more than a form, and what is too large is answered before its first byte is read. Whoever begins a request and
does not go on is answered 408, and where connections run out, the one that has kept a place for the longest without
asking for anything makes way: nobody is locked out by those who only knock.
"""

from __future__ import annotations

import copy
import logging
import socket
import time
from collections.abc import Callable
from functools import partial
from io import BufferedRandom
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer, TempfileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import FixedStreamReceiver
from waitress.server import BaseWSGIServer, MultiSocketServer
from waitress.utilities import Error, RequestEntityTooLarge

logger = logging.getLogger(__name__)

MOST_HEADERS = 200
HEAD_SECONDS = 30.0
"""From the first byte of a head to its last."""
BODY_SECONDS = 60.0
"""Between two pieces of a body; and for a whole one, to which every BODY_BYTES_A_SECOND adds a second."""
BODY_BYTES_A_SECOND = 500
SPARE_CONNECTIONS = 20
"""So many below the limit the one that waited longest makes way: at the limit waitress listens no more."""
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


class RequestTimeout(Error):
    code = 408
    reason = "Request Timeout"


def is_late(now: float, *, began: float, moved: float, head: bool, body_bytes: int) -> bool:
    """Whether a request that is not whole yet will not be waited for; times in seconds, `moved` that of its newest
    byte."""
    if head:
        return now > began + HEAD_SECONDS
    return now > moved + BODY_SECONDS or now > began + BODY_SECONDS + body_bytes / BODY_BYTES_A_SECOND


class Channel(HTTPChannel):
    """Waits for a request no longer than for one that is sent; after a refused one it reads on for a moment, and throws
    away what it reads."""

    _until: float | None = None

    def __init__(self, *arguments: Any, parser: Callable[[Adjustments], Parser], **options: Any) -> None:
        self.parser_class = parser  # type: ignore[assignment]
        self._refused = False
        self._begun: Any = None
        self._began = self._moved = time.monotonic()
        super().__init__(*arguments, **options)
        self._make_way()

    def received(self, data: bytes) -> bool:
        answered: bool = super().received(data)
        self._refused |= any(getattr(one, "refused", False) for one in self.requests)
        self._moved = time.monotonic()
        if self.request is None or self.request is not self._begun:
            self._begun, self._began = self.request, self._moved
        return answered

    @property
    def waiting_since(self) -> float | None:
        """Since when this connection has kept a place and asked for nothing; None while it is being answered."""
        return None if self.requests or self.total_outbufs_len else self._began

    def _make_way(self) -> None:
        others: dict[int, Channel] = self.server.active_channels  # type: ignore[assignment]  # the stubs have one of them
        if len(others) + SPARE_CONNECTIONS < self.adj.connection_limit:
            return
        waiting = [
            (since, one)
            for one in others.values()
            if one is not self and not one.will_close and (since := one.waiting_since) is not None
        ]
        if waiting:
            min(waiting, key=itemgetter(0))[1].will_close = True

    def _give_up_if_late(self) -> None:
        with self.requests_lock:  # type: ignore[attr-defined]  # not in the stubs
            request = self.request
            if request is None or self.requests or self.will_close or self.close_when_flushed:
                return
            if not is_late(
                time.monotonic(),
                began=self._began,
                moved=self._moved,
                head=not request.headers_finished,
                body_bytes=request.body_bytes_received,
            ):
                return
            request.error = RequestTimeout("The request did not arrive whole in time.")
            self.requests.append(request)  # type: ignore[attr-defined]  # a list
            self.request = self._begun = None
        self.server.add_task(self)  # type: ignore[arg-type]  # as waitress does

    def readable(self) -> bool:
        return self._until is not None or bool(super().readable())

    def writable(self) -> bool:
        if self._until is not None:
            return time.monotonic() > self._until
        self._give_up_if_late()  # here, because every connection is asked this at least once a second
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
