"""How many answers may hold a thread of the server for long: eight threads stay free for pages."""

from __future__ import annotations

import threading
from typing import cast

from flask import Flask, current_app

from storage.errors import Unavailable, say
from storage.settings import Settings

THREADS_FOR_PAGES = 8


class TooManyStreams(Unavailable):
    RETRY_SECONDS = 30

    def __init__(self) -> None:
        super().__init__(
            say("As many exports and imports run as this instance has room for."),
            advice=say("Try again when one has ended. THREADS sets how many there may be."),
        )


class Streams:
    def __init__(self, limit: int) -> None:
        self._free = threading.BoundedSemaphore(limit)

    def enter(self) -> Slot:
        """Room for one more; raises TooManyStreams at once when there is none."""
        if not self._free.acquire(blocking=False):
            raise TooManyStreams
        return Slot(self._free)


class Slot:
    """Room that is given back once, by whoever is first."""

    def __init__(self, free: threading.BoundedSemaphore) -> None:
        self._free, self._taken = free, threading.Lock()

    def leave(self) -> None:
        if self._taken.acquire(blocking=False):
            self._free.release()

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


def install(app: Flask, settings: Settings) -> None:
    app.extensions["streams"] = Streams(max(1, settings.threads - THREADS_FOR_PAGES))


def enter() -> Slot:
    return cast("Streams", current_app.extensions["streams"]).enter()
