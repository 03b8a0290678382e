"""Asking servers that may not answer: on threads of our own, a few at most, and never longer than agreed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, TypeVar

from storage.postgres.connection import Connection, connect
from storage.postgres.snapshot import Session, hang_up

Answer = TypeVar("Answer")


@contextmanager
def bounded_session(connection: Connection, *, application: str, seconds: int) -> Iterator[Session]:
    """An open session that is hung up after `seconds`, however silent the server has become meanwhile."""
    with connect(connection, application=application, timeout=seconds) as session:
        # The socket is shut from outside: a server that takes our question and says nothing looks alive to TCP.
        timer = threading.Timer(seconds, hang_up, (session,))
        timer.daemon = True
        timer.start()
        try:
            yield session
        finally:
            timer.cancel()


class Probes(Generic[Answer]):
    """A small pool. Whoever asks what is being asked already shares that answer.

    Daemon threads: a name server that never answers must not keep the program from ending.
    """

    def __init__(self, *, workers: int = 8) -> None:
        self._workers = workers
        self._idle = threading.Semaphore(0)
        self._queue: queue.SimpleQueue[tuple[Hashable, Callable[[], Answer], Future[Answer]]] = queue.SimpleQueue()
        self._in_flight: dict[Hashable, Future[Answer]] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def ask(self, key: Hashable, question: Callable[[], Answer]) -> Future[Answer]:
        """The answer to come. The question should bound itself; a thread it holds is missing to the others."""
        with self._lock:
            present = self._in_flight.get(key)
            if present is not None:
                return present
            future: Future[Answer] = Future()
            self._in_flight[key] = future
            self._queue.put((key, question, future))
            if len(self._threads) < self._workers and not self._idle.acquire(blocking=False):
                thread = threading.Thread(target=self._work, name=f"probe-{len(self._threads) + 1}", daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def _work(self) -> None:
        while True:
            key, question, future = self._queue.get()
            try:
                answer = question()
            except Exception as error:
                self._forget(key)
                future.set_exception(error)
            else:
                self._forget(key)
                future.set_result(answer)
            self._idle.release()

    def _forget(self, key: Hashable) -> None:
        with self._lock:
            self._in_flight.pop(key, None)
