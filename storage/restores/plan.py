"""What a restore would do and whether it can, as it is shown before anything is changed. `deciding` makes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.backups.record import BackupRecord
from storage.errors import Conflict, Message
from storage.postgres.programs import Installation
from storage.restores.facts import Sessions
from storage.restores.request import Mode, RestoreRequest


class Light(StrEnum):
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of what was looked at beforehand."""

    code: str
    state: Light
    message: Message
    advice: Message | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "state": self.state.value,
            "message": str(self.message),
            "advice": str(self.advice) if self.advice else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """The rows of one table now and in the backup; None where it is not there, or could not be counted."""

    name: str
    now: int | None
    exact: bool
    backup: int | None
    left_out: bool = False
    uncounted: bool = False
    """It is in the backup, and nobody counted its rows."""

    @property
    def difference(self) -> int | None:
        """Rows that come (or, negative, go); None where one side is not known."""
        return None if self.now is None or self.backup is None else self.backup - self.now

    @property
    def differs(self) -> bool:
        return self.now != self.backup

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.name,
            "now": self.now,
            "exact": self.exact,
            "backup": self.backup,
            "difference": self.difference,
            "left_out": self.left_out,
            "uncounted": self.uncounted,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """The request made definite, with everything that was checked."""

    request: RestoreRequest
    """With the target's name filled in."""
    backup: BackupRecord
    database: str
    address: str
    kept_as: str
    """What the replaced database will be called (the minute is that of the swap); '' for a new one."""
    installation: Installation | None
    owner: str
    """Who will own the new database."""
    encoding: str
    collate: str
    ctype: str
    locale_provider: str
    locale: str
    rules: str
    tablespace: str
    no_owner: bool
    no_privileges: bool
    restricted: bool = False
    """Whether it is loaded by a role of its own without special rights, because it is not ours."""
    space_needed: int
    space_free: int | None
    server_version: str
    server_major: int
    sessions: tuple[Sessions, ...]
    tables: tuple[TableChange, ...]
    """Those that differ first, the largest difference on top."""
    rows_known: bool
    """Whether the database could be counted at all."""
    checks: tuple[Check, ...]
    without: tuple[str, ...] = ()
    """Tables that come without the rows that the backup has of them."""
    after: tuple[str, ...] = ()
    """The command that the application runs on it before it gets its name."""
    snapshot_needed: int | None = None
    """Bytes for the snapshot that is taken first; None where none is."""

    @property
    def mode(self) -> Mode:
        return self.request.mode

    @property
    def target(self) -> str:
        return self.request.target

    @property
    def blocked(self) -> bool:
        return any(check.state is Light.BAD for check in self.checks)

    @property
    def session_count(self) -> int:
        return sum(group.count for group in self.sessions)

    @property
    def digest(self) -> str:
        """Changes when the plan says something else than it did; row counts and sessions may move meanwhile."""
        essence = [
            self.request.to_json(),
            self.backup.sha256,
            self.address,
            self.owner,
            self.no_owner,
            self.no_privileges,
            self.restricted,
            sorted((check.code, check.state.value) for check in self.checks if check.code != "sessions"),
        ]
        return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()[:32]

    def refuse_if_blocked(self) -> None:
        """Raise Conflict with the first thing that stands against it."""
        for check in self.checks:
            if check.state is Light.BAD:
                raise Conflict(check.message, advice=check.advice)

    def to_json(self) -> dict[str, Any]:
        return {
            "request": self.request.to_json(),
            "backup": self.backup.backup_id,
            "database": self.database,
            "address": self.address,
            "target": self.target,
            "mode": self.mode.value,
            "kept_as": self.kept_as or None,
            "program": f"pg_restore {self.installation.version}" if self.installation else None,
            "owner": self.owner,
            "keeps_owners": not self.no_owner,
            "keeps_grants": not self.no_privileges,
            "restricted": self.restricted,
            "space_needed": self.space_needed,
            "space_free": self.space_free,
            "without_rows": list(self.without),
            "after_restore": list(self.after),
            "snapshot_needed": self.snapshot_needed,
            "server_version": self.server_version,
            "sessions": [group.to_json() for group in self.sessions],
            "tables": [table.to_json() for table in self.tables],
            "checks": [check.to_json() for check in self.checks],
            "blocked": self.blocked,
            "digest": self.digest,
        }
