"""The locks of a box among others: files for everything, and Redis beside them for what the boxes share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.locks.filelocks import FileLocks
from storage.locks.redislocks import SHARED, RedisLocks


class BothLocks(FileLocks):
    """Held in the file first: of one box, one process at a time asks Redis. Everything else is the box's own."""

    def __init__(self, folder: Path, redis: RedisLocks) -> None:
        super().__init__(folder)
        self.redis = redis

    @contextmanager
    def hold(self, name: str, *, holder: str, wait: bool = False) -> Iterator[None]:
        with super().hold(name, holder=holder, wait=wait):
            if not name.startswith(SHARED):
                yield
                return
            with self.redis.hold(name, holder=holder, wait=wait):
                yield

    def is_held(self, name: str) -> bool:
        return super().is_held(name) or (name.startswith(SHARED) and self.redis.is_held(name))
