"""A TCP proxy in front of a real server, for networks that break: it can cut the line, or hold it in silence."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path


class Proxy:
    """Listens on 127.0.0.1 and forwards to a PostgreSQL socket. After `limit` bytes from the server it does `then`:
    "cut" ends the connection, "silence" stops forwarding and keeps it open. Without a limit it forwards everything."""

    def __init__(self, socket_folder: str, port: int, *, limit: int | None = None, then: str = "cut") -> None:
        self._target = str(Path(socket_folder) / f".s.PGSQL.{port}")
        self.limit, self.then = limit, then
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ended = threading.Event()
        self._awaited: list[bytes] = []
        self._forwarding = False
        self.silent_since: float | None = None
        """time.monotonic() of the moment at which `fall_silent_at` began."""
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent_at(self, *words: bytes, forwarding: bool) -> None:
        """Once clients have sent these words, one after the other, nobody hears anything any more, on this connection
        or another; `forwarding` says whether the last of them still reaches the server."""
        self._awaited, self._forwarding = list(words), forwarding

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for one in (self._listener, *self._sockets):
            self._end(one)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._sockets += [client, server]
                threading.Thread(target=self._forward, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, self.limit), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        seen = 0
        with suppress(OSError):
            while chunk := source.recv(1 << 14):
                seen += len(chunk)
                if self._falls_silent(chunk) and self._forwarding:
                    target.sendall(chunk)
                if self.silent_since is not None:
                    self._ended.wait()
                    break
                if limit is not None and seen > limit:
                    if self.then == "silence":
                        self._ended.wait()
                    break
                target.sendall(chunk)
        self._end(source)
        self._end(target)

    def _falls_silent(self, chunk: bytes) -> bool:
        """Whether silence begins with this piece of what a client sent."""
        if not self._awaited:
            return False
        while self._awaited and self._awaited[0] in chunk:
            self._awaited.pop(0)
        if not self._awaited:
            self.silent_since = time.monotonic()
        return not self._awaited

    @staticmethod
    def _end(one: socket.socket) -> None:
        # shutdown first: close alone is not seen while another thread waits in recv
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
