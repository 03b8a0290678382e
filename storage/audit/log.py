"""The audit log: one JSON line for every event, in one file a month, appended under a lock across processes."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from storage import jsonfiles, reserve
from storage.audit import chain
from storage.audit.chain import Event
from storage.audit.verify import NOTHING, Head, Verdict, verify
from storage.clock import Clock, to_text
from storage.errors import InvalidRecord
from storage.locks.filelocks import FileLocks

logger = logging.getLogger(__name__)

_LOCK = "audit"


class Audit:
    """One chain over all months. `record` never raises for a disk: what was done is done, and is told in the log."""

    def __init__(self, folder: Path, *, clock: Clock, locks: FileLocks) -> None:
        self.folder, self._clock, self._locks = folder, clock, locks
        self.looked: tuple[datetime, Verdict] | None = None
        """When everything was read last, and what was found; None before the first look."""
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
            with self._locks.hold(_LOCK, holder=f"process {os.getpid()}", wait=True):
                self._append(said)
        except OSError:
            logger.exception("the audit log could not be written: %s", json.dumps(said, ensure_ascii=False))
        fields = {"action": action, "actor": actor, "subject": subject, "result": result}
        logger.info("%s %s by %s: %s", action, subject, actor or "pghaven", result, extra=fields)

    def newest_first(self) -> Iterator[Event]:
        """Every event whose line can be read; those that cannot are left to `verify`."""
        for path in reversed(self._files()):
            for line in reversed(path.read_bytes().split(b"\n")):
                if event := chain.glance(line):
                    yield event

    def verify(self) -> Verdict:
        """Read everything, and compare. Takes about a second for 50,000 lines; others may record meanwhile."""
        with self._locks.hold(_LOCK, holder=f"process {os.getpid()}", wait=True):
            head = self._head()
            files = [(path, path.stat().st_size) for path in self._files()]
        return verify(files, head)

    def look(self) -> tuple[datetime, Verdict]:
        """Read everything, and remember what was found: those who show it do not read it again each time."""
        now, verdict = self._clock(), self.verify()
        if not verdict.good:
            logger.error("the audit log is not as it was written: %s places", verdict.count)
        self.looked = now, verdict
        return now, verdict

    def _files(self) -> list[Path]:
        """The months, oldest first."""
        return sorted(self.folder.glob("[0-9]*.jsonl"))

    @property
    def _head_path(self) -> Path:
        return self.folder / "head.json"

    def _head(self) -> Head | None:
        """Where the chain should end; None when nothing was recorded yet, or when it cannot be read."""
        try:
            data = jsonfiles.read(self._head_path)
            return Head(int(data["number"]), str(data["hash"]), str(data["file"]), int(data["bytes"]))
        except (FileNotFoundError, InvalidRecord, KeyError, ValueError):
            return None

    def _append(self, said: dict[str, Any]) -> None:
        before = self._end()
        # By the clock alone, a clock that was set back would tear the order of the files apart.
        file = max(f"{said['at'][:7]}.jsonl", before.file)
        data = {**said, "number": before.number + 1, "before": before.hash}
        path = self.folder / file
        length = reserve.with_room(path, lambda: _append_line(path, chain.sealed(data)))
        head = {"number": data["number"], "hash": chain.hash_of(data), "file": file, "bytes": length}
        jsonfiles.write(self._head_path, {"format": 1, **head})

    def _end(self) -> Head:
        """What the next line follows: the newest line, or where the head says that it was.

        A line whose writer died before the head was written is followed. After a tail that was cut off, the chain goes
        on from the head, so that the gap stays to be seen.
        """
        head, files = self._head() or NOTHING, self._files()
        if files and files[-1].name == head.file and files[-1].stat().st_size == head.bytes:
            return head
        newest = next(self.newest_first(), None)
        return Head(newest.number, newest.hash, files[-1].name) if newest and newest.number > head.number else head


def _append_line(path: Path, line: bytes) -> int:
    """Returns how long the file is then."""
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        start = os.fstat(descriptor).st_size
        if start and os.pread(descriptor, 1, start - 1) != b"\n":
            # A writer was killed in the middle of its line: nobody was told that it is recorded.
            start = os.pread(descriptor, start, 0).rfind(b"\n") + 1
            os.ftruncate(descriptor, start)
        try:
            if os.write(descriptor, line + b"\n") != len(line) + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, start)
            raise
    finally:
        os.close(descriptor)
    if is_new:
        jsonfiles.sync_folder(path.parent)
    return start + len(line) + 1
