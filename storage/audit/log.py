"""The audit log: one JSON line for every event, in one file a month, appended under a lock across processes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage import jsonfiles, reserve
from storage.audit import chain
from storage.audit.chain import Event
from storage.clock import Clock, to_text
from storage.errors import InvalidRecord
from storage.locks.filelocks import FileLocks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends, kept beside the lines: without it a tail that was cut off would not be missed."""

    number: int
    hash: str
    file: str


NOTHING = Head(0, chain.START, "")


class Audit:
    """One chain over all months. `record` never raises for a disk: what was done is done, and is told in the log."""

    def __init__(self, folder: Path, *, clock: Clock, locks: FileLocks) -> None:
        self.folder, self._clock, self._locks = folder, clock, locks
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def record(
        self, action: str, *, actor: str, subject: str = "", origin: str = "", result: str = "ok", **facts: Any
    ) -> None:
        """Append one event. `action` is one of `storage.audit.actions`; `result` is ok, refused, failed, cancelled or
        interrupted; `facts` are plain JSON and hold no secret."""
        said = {
            "at": to_text(self._clock()),
            "action": action,
            "actor": actor,
            "subject": subject,
            "origin": origin,
            "result": result,
            "facts": facts,
        }
        try:
            with self._locks.hold("audit", holder=f"process {os.getpid()}", wait=True):
                self._append(said)
        except OSError:
            logger.exception("the audit log could not be written: %s", json.dumps(said, ensure_ascii=False))
        fields = {"action": action, "actor": actor, "subject": subject, "result": result}
        logger.info("%s %s by %s: %s", action, subject, actor or "nobody", result, extra=fields)

    def files(self) -> list[Path]:
        """The months, oldest first."""
        return sorted(self.folder.glob("[0-9]*.jsonl"))

    def head(self) -> Head | None:
        """Where the chain should end; None when nothing was recorded yet, or the head was removed."""
        try:
            data = jsonfiles.read(self._head_path)
            return Head(int(data["number"]), str(data["hash"]), str(data["file"]))
        except (FileNotFoundError, InvalidRecord, KeyError, ValueError):
            return None

    @property
    def _head_path(self) -> Path:
        return self.folder / "head.json"

    def _append(self, said: dict[str, Any]) -> None:
        before = self._end()
        # By the clock alone, a clock that was set back would tear the order of the files apart.
        file = max(f"{said['at'][:7]}.jsonl", before.file)
        data = {**said, "number": before.number + 1, "before": before.hash}
        path = self.folder / file
        reserve.with_room(path, lambda: _append_line(path, chain.sealed(data)))
        head = Head(before.number + 1, chain.hash_of(data), file)
        jsonfiles.write(self._head_path, {"format": 1, "number": head.number, "hash": head.hash, "file": head.file})

    def _end(self) -> Head:
        """What the next line follows: the newest line, or where the head says that it was.

        A line whose writer died before the head was written is followed. After a tail that was cut off, the chain goes
        on from the head, so that the gap stays to be seen.
        """
        head = self.head() or NOTHING
        for path in reversed(self.files()):
            for event in backwards(path):
                return Head(event.number, event.hash, path.name) if event.number > head.number else head
        return head


def backwards(path: Path) -> Iterator[Event]:
    """The lines of a month, newest first; those that cannot be read are left out (`verify` names them)."""
    for line in reversed(path.read_bytes().split(b"\n")):
        if line:
            try:
                yield chain.read(line)
            except ValueError:
                continue


def _append_line(path: Path, line: bytes) -> None:
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # A writer was killed in the middle of its line, which nobody was told was recorded.
            os.ftruncate(descriptor, _end_of_last_line(descriptor, size))
        start = os.fstat(descriptor).st_size
        try:
            if os.write(descriptor, line + b"\n") != len(line) + 1:
                raise OSError(28, os.strerror(28))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, start)
            raise
    finally:
        os.close(descriptor)
    if is_new:
        jsonfiles.sync_folder(path.parent)


def _end_of_last_line(descriptor: int, size: int) -> int:
    return os.pread(descriptor, size, 0).rfind(b"\n") + 1
