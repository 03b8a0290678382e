"""What is known of one archive of log rows: which rows, in which file, where it is, and whether it was put back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from storage.clock import from_required_text, from_text, to_text
from storage.errors import InvalidRecord, NotFound, say
from storage.jsonfiles import Records

logger = logging.getLogger(__name__)

HERE = ""
"""The destination of an archive that stays in the data folder."""


class ArchiveFormat(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogArchive:
    """An archive whose file is complete where it says. That its rows were deleted is another matter: `deleted`."""

    archive_id: str
    database: str
    table: str
    """schema.table"""
    columns: tuple[str, ...]
    form: ArchiveFormat
    request: Mapping[str, Any]
    """`CleanupRequest.to_json`"""
    rows: int
    bytes: int
    sha256: str
    """Of the file as it lies there."""
    destination: str = HERE
    key: str
    """The path below the folder of archives, or the key at the destination."""
    encrypted: bool = False
    made_at: datetime
    made_by: str = ""
    job_id: str = ""
    deleted: int = 0
    """So many of its rows were deleted by the run that made it."""
    put_back_at: datetime | None = None
    put_back_rows: int = 0

    def with_(self, **changes: Any) -> LogArchive:
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return {
            **values,
            "columns": list(self.columns),
            "format": 1,
            "form": self.form.value,
            "request": dict(self.request),
            "made_at": to_text(self.made_at),
            "put_back_at": to_text(self.put_back_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LogArchive:
        match data["format"]:
            case 1:
                values = {name: data[name] for name in cls.__slots__}
                return cls(
                    **values
                    | {
                        "columns": tuple(data["columns"]),
                        "form": ArchiveFormat(data["form"]),
                        "made_at": from_required_text(data["made_at"]),
                        "put_back_at": from_text(data["put_back_at"]),
                    }
                )
            case newer:
                raise InvalidRecord(say("The archive's format %(format)s is newer than this program.", format=newer))


class LogArchives:
    """All of them. Their files are in `files`, or at a destination."""

    def __init__(self, folder: Path, *, files: Path) -> None:
        self.files = files
        self._records: Records[LogArchive] = Records(
            folder,
            decode=LogArchive.from_json,
            encode=LogArchive.to_json,
            identify=lambda archive: archive.archive_id,
            on_damaged=lambda path, error: logger.error("the record of an archive of log rows: %s", error),
        )

    def of(self, database: str | None = None) -> list[LogArchive]:
        """Newest first."""
        return [one for one in self._records.all()[::-1] if database in (None, one.database)]

    def get(self, archive_id: str) -> LogArchive:
        try:
            return self._records.get(archive_id)
        except NotFound:
            raise NotFound(say("There is no archive of log rows %(id)s.", id=archive_id[:80])) from None

    def save(self, archive: LogArchive) -> None:
        self._records.save(archive)

    def change(self, archive_id: str, change: Callable[[LogArchive], LogArchive]) -> LogArchive:
        changed = change(self.get(archive_id))
        self.save(changed)
        return changed

    def path(self, archive: LogArchive) -> Path:
        return self.files / archive.key
