"""What somebody asks to be restored, read strictly from forms, commands and the parameters of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.errors import Invalid, say
from storage.restores import names


class Mode(StrEnum):
    NEW = "new"
    """Into a database that is not there yet."""
    REPLACE = "replace"
    """Under the name of one that is there, which is kept under another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """One backup, and where to. The server is the one that the backup's database is registered on."""

    backup_id: str
    mode: Mode = Mode.NEW
    target: str = ""
    """The database's name on its server; '' means a proposed name, or for a replacement the registered database."""

    def __post_init__(self) -> None:
        if self.target:
            names.check(self.target)

    def to_json(self) -> dict[str, Any]:
        return {"backup_id": self.backup_id, "mode": self.mode.value, "target": self.target}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RestoreRequest:
        """Raises Invalid for what is not a request."""
        try:
            backup_id, mode, target = data["backup_id"], data.get("mode", Mode.NEW), data.get("target") or ""
            if not isinstance(backup_id, str) or not isinstance(target, str):
                raise TypeError("backup_id and target are texts")
            return cls(backup_id=backup_id, mode=Mode(mode), target=target)
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid(say("The request for a restore cannot be read: %(reason)s", reason=repr(error))) from error
