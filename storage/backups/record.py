"""What is known of one backup. Records are facts: they are replaced, never edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from storage.backups.copies import Copy, CopyState
from storage.backups.proof import Proof
from storage.clock import from_required_text, from_text, to_text
from storage.errors import Conflict, InvalidRecord, Message, say


class BackupState(StrEnum):
    TAKING = "taking"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    DAMAGED = "damaged"
    """Taken whole, but the file is no longer what was written."""
    MISSING = "missing"
    """Taken whole, but the file is no longer there."""
    TRASHED = "trashed"
    """Taken whole, and moved to the trash: it protects nothing, and can be put back for some days."""
    ERASED = "erased"
    """Taken whole, and let go since: the history is all that is left of it."""

    def may_become(self, other: BackupState) -> bool:
        return other in _NEXT[self]


class BackupKind(StrEnum):
    """Why there is this backup."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"
    SNAPSHOT = "snapshot"
    """Taken by itself just before a restore."""
    UPLOADED = "uploaded"
    """Brought by somebody; not made by this pghaven."""


TAKEN_WHOLE = frozenset({BackupState.COMPLETE, BackupState.DAMAGED, BackupState.MISSING})
"""The states of a backup that has an archive in its place, or should have."""
_AFTERWARDS = TAKEN_WHOLE | {BackupState.TRASHED}
_NEXT: Mapping[BackupState, frozenset[BackupState]] = {
    BackupState.TAKING: frozenset(
        {BackupState.COMPLETE, BackupState.FAILED, BackupState.CANCELLED, BackupState.INTERRUPTED}
    ),
    # A file that comes back is good again once it has been read in full: somebody mounted the disk, or copied it back.
    BackupState.COMPLETE: _AFTERWARDS,
    BackupState.DAMAGED: _AFTERWARDS,
    BackupState.MISSING: _AFTERWARDS | {BackupState.ERASED},
    BackupState.TRASHED: TAKEN_WHOLE | {BackupState.ERASED},
    BackupState.ERASED: frozenset(),
    BackupState.FAILED: frozenset(),
    BackupState.CANCELLED: frozenset(),
    BackupState.INTERRUPTED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """One line of the manifest: what the archive holds of a table, counted in the snapshot of the dump."""

    rows: int
    digest: str | None
    """`storage.backups.digest`'s form; None when content digests were switched off."""
    bytes: int = 0
    """The table's size on the server with its TOAST, without indexes."""
    left_out: bool = False
    """Only the structure is in the archive; rows is 0 then."""

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "digest": self.digest, "bytes": self.bytes, "left_out": self.left_out}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableFacts:
        return cls(rows=data["rows"], digest=data["digest"], bytes=data["bytes"], left_out=data["left_out"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One look at the archive on disk: SHA-256 equal, and read in full by pg_restore."""

    at: datetime
    good: bool
    seconds: float
    reason: Message | None = None
    """Why not, when it is not good."""

    def to_json(self) -> dict[str, Any]:
        reason = self.reason.to_json() if self.reason else ""
        return {"at": to_text(self.at), "good": self.good, "seconds": self.seconds, "reason": reason}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verification:
        match data["reason"]:
            case "":
                reason = None
            case str() as text:  # in the first records it was English text
                reason = Message(text)
            case message:
                reason = Message.from_json(message)
        return cls(at=from_required_text(data["at"]), good=data["good"], seconds=data["seconds"], reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trashed:
    """Why a backup is in the trash, since when, until when, and what it was before."""

    at: datetime
    until: datetime
    """From then on it is erased; in the past when somebody emptied the trash."""
    by: str = ""
    """'' for retention."""
    why: tuple[Message, ...] = ()
    """The reasons of the decision; none when a person did it."""
    was: BackupState
    archive: str
    """Where the archive was, inside the data folder."""

    def to_json(self) -> dict[str, Any]:
        return {
            "at": to_text(self.at),
            "until": to_text(self.until),
            "by": self.by,
            "why": [reason.to_json() for reason in self.why],
            "was": self.was.value,
            "archive": self.archive,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trashed:
        return cls(
            at=from_required_text(data["at"]),
            until=from_required_text(data["until"]),
            by=data["by"],
            why=tuple(Message.from_json(reason) for reason in data["why"]),
            was=BackupState(data["was"]),
            archive=data["archive"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What an uploaded archive says of itself. Nobody here counted anything, so there is no manifest."""

    name: str
    """The name that its file had: a label, and never a path."""
    dumped_at: datetime | None = None
    """By the clock of the machine that dumped, which writes no zone."""
    tables: tuple[str, ...] = ()
    """schema.table of those whose rows are in it."""

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "dumped_at": to_text(self.dumped_at), "tables": list(self.tables)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Brought:
        return cls(name=data["name"], dumped_at=from_text(data["dumped_at"]), tables=tuple(data["tables"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """The server and the database as they were when the backup was taken; all a restore has to know of them."""

    server_version: str = ""
    """As `SHOW server_version` has it, for example 15.18 (Debian 15.18-0+deb12u1)."""
    server_major: int = 0
    database: str = ""
    """The database's name on its server."""
    size: int = 0
    """pg_database_size, bytes."""
    owner: str = ""
    encoding: str = "UTF8"
    collate: str = "C"
    ctype: str = "C"
    locale_provider: str = "c"
    """pg_database.datlocprovider: c (libc), i (ICU), b (builtin)."""
    locale: str = ""
    """The ICU or builtin locale; '' with libc."""
    extensions: tuple[tuple[str, str], ...] = ()
    """(name, version) of what is installed, plpgsql left out."""
    roles: tuple[str, ...] = ()
    """Roles that own something or are granted something in the database."""
    large_objects: int = 0

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"extensions": [list(pair) for pair in self.extensions], "roles": list(self.roles)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SourceFacts:
        values = dict(data)
        values["extensions"] = tuple((name, version) for name, version in data["extensions"])
        values["roles"] = tuple(data["roles"])
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRecord:
    """One line of the catalog."""

    backup_id: str
    database: str
    """The registered name of the database it was taken of."""
    state: BackupState = BackupState.TAKING
    kind: BackupKind = BackupKind.MANUAL
    slot: str = ""
    """The time of the schedule that this backup fills, in UTC as `clock.to_text` has it; '' for all others."""
    pinned: bool = False
    """Never deleted by retention."""
    archive: str = ""
    """The archive's path inside the data folder; '' until it is published."""
    bytes: int = 0
    sha256: str = ""
    no_logs: bool = False
    taken_by: str = ""
    job_id: str = ""
    started_at: datetime
    ended_at: datetime | None = None
    program: str = ""
    """For example pg_dump 15.18."""
    compression: str = ""
    """gzip:1 or zstd:1."""
    archive_format: tuple[int, int] | None = None
    """The custom format's own version, for example (1, 14)."""
    snapshot: str = ""
    source: SourceFacts = SourceFacts()
    schema_fingerprint: str = ""
    tables: Mapping[str, TableFacts] = field(default_factory=dict)
    """schema.table to what the archive holds of it."""
    verified: Verification | None = None
    """The newest look at the archive."""
    copies: tuple[Copy, ...] = ()
    """One for each destination that it was to be copied to."""
    proof: Proof | None = None
    """What came of the newest proof; None before the first."""
    trashed: Trashed | None = None
    """While it is in the trash; and afterwards: erased, or missing where copies of it are kept elsewhere."""
    brought: Brought | None = None
    """Of an uploaded one."""
    error: Mapping[str, Any] | None = None
    """`StorageError.to_json` when it failed, was cancelled or interrupted."""

    @property
    def good(self) -> bool:
        """Whether it may be restored, downloaded and counted."""
        return self.state is BackupState.COMPLETE

    @property
    def ours(self) -> bool:
        """Whether pghaven took it and counted it: only such a backup protects, and can be compared with."""
        return self.kind is not BackupKind.UPLOADED

    @property
    def proven(self) -> bool:
        """Whether it was restored for proof and counted as equal to its manifest, as far as the scratch server went."""
        return self.ours and self.proof is not None and self.proof.good

    @property
    def copied(self) -> bool:
        """Whether there is a good copy of it somewhere else."""
        return any(copy.state is CopyState.COMPLETE for copy in self.copies)

    @property
    def let_go(self) -> bool:
        """Whether its archive here was deleted on purpose, and the record stays for its copies."""
        return self.state is BackupState.MISSING and self.trashed is not None

    def copy_at(self, destination: str) -> Copy | None:
        return next((copy for copy in self.copies if copy.destination == destination), None)

    def with_copy(self, copy: Copy) -> BackupRecord:
        """The record with this copy in the place of the one that it had at the same destination."""
        others = (other for other in self.copies if other.destination != copy.destination)
        return replace(self, copies=tuple(sorted((*others, copy), key=lambda one: one.destination)))

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None

    def with_(self, **changes: Any) -> BackupRecord:
        return replace(self, **changes)

    def move_to(self, state: BackupState, **changes: Any) -> BackupRecord:
        """The record in another state. Raises Conflict for a change that cannot be."""
        if not self.state.may_become(state):
            raise Conflict(
                say("A backup that is %(state)s cannot become %(next)s.", state=self.state.value, next=state.value)
            )
        return replace(self, state=state, **changes)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "id": self.backup_id,
            "database": self.database,
            "state": self.state.value,
            "kind": self.kind.value,
            "slot": self.slot,
            "pinned": self.pinned,
            "archive": self.archive,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "no_logs": self.no_logs,
            "taken_by": self.taken_by,
            "job_id": self.job_id,
            "started_at": to_text(self.started_at),
            "ended_at": to_text(self.ended_at),
            "program": self.program,
            "compression": self.compression,
            "archive_format": list(self.archive_format) if self.archive_format else None,
            "snapshot": self.snapshot,
            "source": self.source.to_json(),
            "schema_fingerprint": self.schema_fingerprint,
            "tables": {name: table.to_json() for name, table in self.tables.items()},
            "verified": self.verified.to_json() if self.verified else None,
            "copies": [copy.to_json() for copy in self.copies],
            "proof": self.proof.to_json() if self.proof else None,
            "trashed": self.trashed.to_json() if self.trashed else None,
            "brought": self.brought.to_json() if self.brought else None,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BackupRecord:
        match data["format"]:
            case 1:
                archive_format = data["archive_format"]
                return cls(
                    backup_id=data["id"],
                    database=data["database"],
                    state=BackupState(data["state"]),
                    # What follows was not in the first records.
                    kind=BackupKind(data.get("kind", "manual")),
                    slot=data.get("slot", ""),
                    pinned=data.get("pinned", False),
                    archive=data["archive"],
                    bytes=data["bytes"],
                    sha256=data["sha256"],
                    no_logs=data["no_logs"],
                    taken_by=data["taken_by"],
                    job_id=data["job_id"],
                    started_at=from_required_text(data["started_at"]),
                    ended_at=from_text(data["ended_at"]),
                    program=data["program"],
                    compression=data["compression"],
                    archive_format=(archive_format[0], archive_format[1]) if archive_format else None,
                    snapshot=data["snapshot"],
                    source=SourceFacts.from_json(data["source"]),
                    schema_fingerprint=data["schema_fingerprint"],
                    tables={name: TableFacts.from_json(table) for name, table in data["tables"].items()},
                    verified=Verification.from_json(data["verified"]) if data["verified"] else None,
                    copies=tuple(Copy.from_json(copy) for copy in data.get("copies", ())),
                    proof=Proof.from_json(data["proof"]) if data.get("proof") else None,
                    trashed=Trashed.from_json(data["trashed"]) if data.get("trashed") else None,
                    brought=Brought.from_json(data["brought"]) if data.get("brought") else None,
                    error=data["error"],
                )
            case newer:
                raise InvalidRecord(say("The backup's format %(format)s is newer than this program.", format=newer))
