"""What somebody asks to be restored, read strictly from forms, commands and the parameters of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as with_fields
from enum import StrEnum
from typing import Any

from storage.errors import Invalid, say
from storage.restores import names


class Mode(StrEnum):
    NEW = "new"
    """Into a database that is not there yet."""
    REPLACE = "replace"
    """Under the name of one that is there, which is kept under another."""
    TABLES = "tables"
    """Rows of tables, into a database that is there: in one transaction, in place of the rows that they have."""
    MERGE = "merge"
    """Into a database that is there: tables and rows that it lacks, in one transaction; what it has stays as it is."""
    UNDO = "undo"
    """The database that a restore kept gets its name back."""

    @property
    def changes_present(self) -> bool:
        """Whether a database that is there is another one afterwards: it is confirmed by its name."""
        return self is not Mode.NEW


class Part(StrEnum):
    ALL = "all"
    SCHEMA = "schema"
    """Tables, functions and what else there is, without rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """One backup, what of it, and where to."""

    backup_id: str
    mode: Mode = Mode.NEW
    target: str = ""
    """The database's name on its server; '' means a proposed name, or for a replacement the registered database."""
    on: str = ""
    """The registered database on whose server it is done; '' means the one that the backup is of."""
    part: Part = Part.ALL
    no_logs: bool = False
    """Log tables come without their rows."""
    tables: tuple[str, ...] = ()
    """For TABLES: schema.table; () means every table that has rows in the backup."""
    undoes: str = ""
    """The id of the restore that is undone."""
    drop: bool = False
    """For UNDO: do not keep the database that was restored."""

    def __post_init__(self) -> None:
        if self.target:
            names.check(self.target)
        if self.mode in (Mode.TABLES, Mode.MERGE) and self.part is Part.SCHEMA:
            raise Invalid(say("The schema alone goes into a new database, or replaces one."))

    def with_(self, **changes: Any) -> RestoreRequest:
        return with_fields(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """What is as always is left out."""
        more = {
            "on": self.on,
            "part": self.part.value if self.part is not Part.ALL else "",
            "no_logs": self.no_logs,
            "tables": list(self.tables),
            "undoes": self.undoes,
            "drop": self.drop,
        }
        return {"backup_id": self.backup_id, "mode": self.mode.value, "target": self.target} | {
            name: value for name, value in more.items() if value
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RestoreRequest:
        """Raises Invalid for what is not a request."""
        try:
            texts = {name: data.get(name) or "" for name in ("target", "on", "undoes")}
            backup_id, tables = data["backup_id"], data.get("tables") or ()
            if not all(isinstance(text, str) for text in (backup_id, *texts.values(), *tables)):
                raise TypeError("names are texts")
            return cls(
                backup_id=backup_id,
                mode=Mode(data.get("mode", Mode.NEW)),
                part=Part(data.get("part") or Part.ALL),
                no_logs=bool(data.get("no_logs")),
                tables=tuple(tables),
                drop=bool(data.get("drop")),
                **texts,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid(say("The request for a restore cannot be read: %(reason)s", reason=repr(error))) from error
