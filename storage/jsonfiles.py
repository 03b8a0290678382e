"""JSON files that are whole or not there: one record a file, written beside its place and renamed into it.

Leaves to others what the records mean; `Records` gives each capability its folder, typed.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from storage.errors import InvalidRecord, NotFound, say

JsonObject = dict[str, Any]
Record = TypeVar("Record")


def read(path: Path) -> JsonObject:
    """One JSON object. Raises FileNotFoundError, or InvalidRecord for anything that is not a JSON object."""
    try:
        data = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidRecord(say("%(path)s is not JSON: %(reason)s", path=str(path), reason=str(error))) from error
    if not isinstance(data, dict):
        raise InvalidRecord(say("%(path)s holds no JSON object.", path=str(path)))
    return data


def write(path: Path, data: JsonObject, *, durable: bool = True, mode: int = 0o600) -> None:
    """Put `data` at `path`, whole: draft in the same folder, fsync, rename, fsync of the folder.

    `durable=False` leaves out the fsyncs: for progress, which is worth nothing after a crash anyway.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The draft sits in the same folder as the file: a rename across disks is a copy, and can be half done.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.", suffix=".draft")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(data, file, ensure_ascii=False, indent=1, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or unlink in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Known(Generic[Record]):
    stamp: tuple[int, int, int]
    record: Record


class Records(Generic[Record]):
    """The records of one kind: a folder of `<id>.json`, with an index in memory that follows the folder.

    Reading all again costs one stat for each file, so pages may list ten thousand; other processes' changes are seen.
    A file that cannot be read is moved to `quarantine/` and told to `on_damaged`, so that one bad file never hides the
    others.
    """

    def __init__(
        self,
        folder: Path,
        *,
        decode: Callable[[JsonObject], Record],
        encode: Callable[[Record], JsonObject],
        identify: Callable[[Record], str],
        on_damaged: Callable[[Path, InvalidRecord], None] = lambda path, error: None,
    ) -> None:
        self.folder = folder
        self._decode, self._encode, self._identify, self._on_damaged = decode, encode, identify, on_damaged
        self._known: dict[str, _Known[Record]] = {}
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, record_id: str) -> Path:
        if "/" in record_id or record_id.startswith(".") or not record_id.isprintable() or len(record_id) > 200:
            raise NotFound(say("There is no record %(id)s.", id=record_id[:80]))
        return self.folder / f"{record_id}.json"

    def save(self, record: Record, *, durable: bool = True) -> None:
        write(self.path(self._identify(record)), self._encode(record), durable=durable)

    def get(self, record_id: str) -> Record:
        path = self.path(record_id)
        try:
            return self._read(path, path.stat())
        except FileNotFoundError:
            raise NotFound(say("There is no record %(id)s.", id=record_id)) from None

    def delete(self, record_id: str) -> None:
        with suppress(FileNotFoundError):
            self.path(record_id).unlink()
            sync_folder(self.folder)

    def all(self) -> list[Record]:
        """Every readable record, in the order of their ids."""
        found = sorted(self._entries(), key=lambda entry: entry.name)
        records = []
        for entry in found:
            try:
                records.append(self._read(self.folder / entry.name, entry.stat()))
            except FileNotFoundError:
                continue  # deleted between the listing and the reading
            except InvalidRecord as error:
                self._quarantine(self.folder / entry.name, error)
        gone = self._known.keys() - {entry.name for entry in found}
        for name in gone:
            self._known.pop(name, None)
        return records

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self.folder) as entries:
            yield from (entry for entry in entries if entry.name.endswith(".json") and not entry.name.startswith("."))

    def _read(self, path: Path, status: os.stat_result) -> Record:
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._known.get(path.name)
        if known and known.stamp == stamp:
            return known.record
        data = read(path)
        try:
            record = self._decode(data)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRecord(
                say("%(path)s cannot be read: %(reason)s", path=str(path), reason=repr(error))
            ) from error
        self._known[path.name] = _Known(stamp, record)
        return record

    def _quarantine(self, path: Path, error: InvalidRecord) -> None:
        with self._lock:
            if not path.exists():
                return
            shelter = self.folder / "quarantine"
            shelter.mkdir(exist_ok=True, mode=0o700)
            os.replace(path, shelter / path.name)
        self._on_damaged(path, error)


def sweep_drafts(folder: Path) -> None:
    """Remove the drafts that killed processes left. Those of living ones stay: the terminal may be writing now."""
    for draft in folder.rglob(".*.draft"):
        if not _is_alive(draft.name.split(".")[-3]):
            draft.unlink(missing_ok=True)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
