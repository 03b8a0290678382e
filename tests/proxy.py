"""A TCP proxy in front of a real server, for networks that break: it can cut the line, or hold it in silence."""

from __future__ import annotations

import socket
import threading
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
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

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
                if limit is not None and seen > limit:
                    if self.then == "silence":
                        self._ended.wait()
                    break
                target.sendall(chunk)
        self._end(source)
        self._end(target)

    @staticmethod
    def _end(one: socket.socket) -> None:
        # shutdown first: close alone is not seen while another thread waits in recv
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
