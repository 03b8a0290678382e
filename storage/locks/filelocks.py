"""Locks as files, held with flock: the kernel lets go of them however the holder ends.

flock and never lockf: POSIX record locks are granted twice to one process, so they part no threads.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.errors import LockHeld


class FileLocks:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def hold(self, name: str, *, holder: str, wait: bool = False) -> Iterator[None]:
        """Hold `name` for the length of a with block, or raise LockHeld at once (unless told to wait)."""
        descriptor = self._take(name, holder=holder, wait=wait)
        try:
            yield
        finally:
            os.close(descriptor)

    def take(self, name: str, *, holder: str) -> HeldLock:
        """Hold `name` until `release`, for what outlives one block: a job from its request to its end."""
        return HeldLock(self._take(name, holder=holder, wait=False))

    def is_held(self, name: str) -> bool:
        """Whether anybody holds `name` now. For display and for finding what a killed process left."""
        try:
            descriptor = os.open(self._path(name), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def remove(self, name: str) -> None:
        """Forget the file of a lock that nobody will ask for again."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    def _take(self, name: str, *, holder: str, wait: bool) -> int:
        path = self._path(name)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # `is_held` looks by holding the lock for a moment; a few tries keep a look from being taken for a holder.
        for tries_left in reversed(range(5)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                break
            except BlockingIOError:
                if tries_left:
                    time.sleep(0.005)
                    continue
                present = os.read(descriptor, 500).decode(errors="replace").strip()
                os.close(descriptor)
                raise LockHeld(name, present or "another process") from None
        _write_holder(descriptor, holder)
        return descriptor


def _write_holder(descriptor: int, holder: str) -> None:
    # The holder's name is for people; the lock itself is the kernel's, and is had on a full disk, too.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode()[:500], 0)


class HeldLock:
    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def holder_is(self, holder: str) -> None:
        """Say more of who holds it than was known when it was taken."""
        if self._descriptor is not None:
            _write_holder(self._descriptor, holder)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
