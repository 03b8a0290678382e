"""Reading an archive back while it is still being written: the file on disk, followed to its end.

What is read from the disk goes through SHA-256 and into pg_restore, which decodes it in full. That this happens beside
the dump and not after it saves the time of a whole reading. What it says is the same: the bytes on the disk are the
ones that were written, and pg_restore understands every one of them.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from storage.backups.verify import not_decoded
from storage.errors import Message, ProgramFailed
from storage.postgres.commands import read_through_command
from storage.postgres.process import CHUNK, RunProgram, run_program
from storage.postgres.programs import Installation

_NAP = 0.02
"""Seconds to wait for more when the end of the file is reached and the dump goes on."""


class ReadBack:
    """Follows the file at `path` as long as the block lasts; leaving the block early ends it."""

    def __init__(self, path: Path, installation: Installation, *, run: RunProgram = run_program) -> None:
        self._path, self._installation, self._run = path, installation, run
        self._reader_end: int | None
        self._reader_end, self._writer_end = os.pipe()
        self._size: int | None = None
        self._abandoned = threading.Event()
        self._fed = False
        self._reason: Message | None = None
        self._error: BaseException | None = None
        self._hasher = hashlib.sha256()
        self.read = 0
        """Bytes read so far."""
        self._following = threading.Thread(target=self._follow, name="reading back", daemon=True)
        self._decoding = threading.Thread(target=self._decode, name="decoding", daemon=True)

    def __enter__(self) -> ReadBack:
        self._decoding.start()
        self._following.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._abandoned.set()
        self._decoding.join()
        self._following.join()

    def written(self, size: int) -> None:
        """Say that the file is whole, and how long it is."""
        self._size = size

    def result(self, watch: Callable[[], None]) -> tuple[str, Message | None]:
        """SHA-256 of what was read in hex, and why pg_restore could not decode it, if so."""
        for thread in (self._following, self._decoding):
            while thread.is_alive():
                thread.join(0.05)
                watch()
        if self._error is not None:
            raise self._error
        return self._hasher.hexdigest(), self._reason

    def _follow(self) -> None:
        try:
            with self._path.open("rb", buffering=0) as file:
                while not self._abandoned.is_set() and self.read != self._size:
                    if chunk := file.read(CHUNK):
                        self._hasher.update(chunk)
                        self.read += len(chunk)
                        self._feed(chunk)
                    else:
                        time.sleep(_NAP)
        except OSError as error:
            self._error = error
        finally:
            os.close(self._writer_end)

    def _feed(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        try:
            while view and not self._fed:
                view = view[os.write(self._writer_end, view) :]
        except BrokenPipeError:
            # pg_restore has given up, or has had all it needs; its exit code says which. The checksum goes on.
            self._fed = True

    def _decode(self) -> None:
        assert self._reader_end is not None
        try:
            self._run(
                read_through_command(self._installation.program("pg_restore")),
                environment={"PATH": os.defpath, "LC_ALL": "C", **self._installation.environment()},
                stdin=self._reader_end,
                watch=self._look,
            )
        except ProgramFailed as error:
            self._reason = not_decoded(error)
        except _Abandoned:
            return
        except BaseException as error:  # handed to the one who waits
            self._error = error
        finally:
            self._let_go()

    def _look(self) -> None:
        self._let_go()
        if self._abandoned.is_set():
            raise _Abandoned

    def _let_go(self) -> None:
        """Close our copy of the end that pg_restore reads: with it open, writing to a dead pg_restore would wait."""
        if self._reader_end is not None:
            os.close(self._reader_end)
            self._reader_end = None


class _Abandoned(Exception): ...
