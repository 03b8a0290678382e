"""JSON files that are whole or not there: one record a file, written beside its place and renamed into it.

Leaves to others what the records mean; `Records` gives each capability its folder, typed.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from storage import reserve
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

    `durable=False` leaves out the fsyncs: for progress, which is worth nothing after a crash anyway. On a full disk
    what is durable may use the data folder's reserve.
    """
    if durable:
        reserve.with_room(path, lambda: _write(path, data, durable=True, mode=mode))
    else:
        _write(path, data, durable=False, mode=mode)


def _write(path: Path, data: JsonObject, *, durable: bool, mode: int) -> None:
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


@dataclass(frozen=True, slots=True)
class _Listing(Generic[Record]):
    stamp: int
    good_until: float
    records: tuple[Record, ...]


_RESTED_NS = 50_000_000
_LOOK_AGAIN_SECONDS = 2.0


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_size, status.st_ino


class Records(Generic[Record]):
    """The records of one kind: a folder of `<id>.json`, with an index in memory that follows the folder.

    Pages may list ten thousand: reading all again costs one stat of the folder when nothing was saved or deleted (both
    change the folder's own time), one stat for each file otherwise. Other processes' changes are seen at once; a file
    that somebody edited in its place is seen within two seconds.
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
        self._listing: _Listing[Record] | None = None
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
        stamp = self.folder.stat().st_mtime_ns
        listing = self._listing
        if listing and listing.stamp == stamp and time.monotonic() < listing.good_until:
            return list(listing.records)
        # A folder's time is as coarse as the kernel's tick: a change in the tick of the listing could not be told from
        # none, so only the listing of a folder that has rested is kept.
        rested = stamp < time.time_ns() - _RESTED_NS
        records = self._list()
        self._listing = _Listing(stamp, time.monotonic() + _LOOK_AGAIN_SECONDS, tuple(records)) if rested else None
        return records

    def _list(self) -> list[Record]:
        found = sorted(self._entries(), key=lambda entry: entry.name)
        records = []
        for entry in found:
            try:
                status = entry.stat()
                known = self._known.get(entry.name)
                if known and known.stamp == _stamp(status):
                    records.append(known.record)
                else:
                    records.append(self._read(self.folder / entry.name, status))
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
        stamp = _stamp(status)
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
