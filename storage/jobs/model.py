"""What a job is: its states, steps and progress. Values only; `runner` carries jobs out, `store` keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from storage.clock import from_required_text, from_text, to_text
from storage.errors import InvalidRecord, Message, say


class JobState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        return self not in (JobState.WAITING, JobState.RUNNING)


class JobKind(StrEnum):
    TAKE = "take"
    VERIFY = "verify"
    RESTORE = "restore"
    PROVE = "prove"
    COPY = "copy"
    """Copy an archive to a destination; or read the copy that is there."""
    FETCH = "fetch"
    """Bring an archive back from a destination."""
    PRUNE = "prune"
    CLEAN_UP = "clean_up"
    """Delete old rows of a log table."""
    PUT_BACK = "put_back"
    """Put archived rows of a log table back."""
    EXPORT = "export"
    """Write rows into a file, for who asked."""
    GENERATE = "generate"
    """Make rows of a log up, in a demo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one job is. `done` and `total` are in the same unit of work (weighted bytes), for the bar alone;
    `written` (bytes), `rows` and `rate` (bytes a second) are for people."""

    step: str = ""
    done: int = 0
    total: int | None = None
    item: str = ""
    """The table being worked on, as schema.table; '' when there is none."""
    item_number: int | None = None
    item_count: int | None = None
    written: int | None = None
    expected: int | None = None
    """About how many bytes will have been written at the end; None when nobody can know."""
    rows: int | None = None
    rate: float | None = None
    seconds_left: float | None = None

    @property
    def percent(self) -> int | None:
        """0 to 100; None as long as the total is not known."""
        if not self.total:
            return None
        return max(0, min(100, self.done * 100 // self.total))

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"percent": self.percent}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Progress:
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of the list that the page shows: what, and when it began and ended."""

    code: str
    title: Message
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "title": self.title.to_json(),
            "started_at": to_text(self.started_at),
            "ended_at": to_text(self.ended_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Step:
        return cls(
            code=data["code"],
            title=Message.from_json(data["title"]),
            started_at=from_text(data["started_at"]),
            ended_at=from_text(data["ended_at"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of long work. `parameters` are plain JSON and enough to do it; `result` names what came of it."""

    job_id: str
    kind: JobKind
    database: str
    """The registered name of the database that it works on; the lock is held under this name."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    requested_by: str = ""
    requested_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    state: JobState = JobState.WAITING
    steps: tuple[Step, ...] = ()
    progress: Progress = Progress()
    error: Mapping[str, Any] | None = None
    """`StorageError.to_json`, when it failed, was cancelled or interrupted."""
    result: Mapping[str, Any] = field(default_factory=dict)
    pid: int | None = None

    @property
    def ended(self) -> bool:
        return self.state.ended

    @property
    def percent(self) -> int | None:
        """Of its work, as it may be told: 100 is kept for the end, which is more than the last byte."""
        percent = self.progress.percent
        return percent if percent is None or self.ended else min(percent, 99)

    def with_(self, **changes: Any) -> Job:
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "id": self.job_id,
            "kind": self.kind.value,
            "database": self.database,
            "parameters": dict(self.parameters),
            "requested_by": self.requested_by,
            "requested_at": to_text(self.requested_at),
            "started_at": to_text(self.started_at),
            "ended_at": to_text(self.ended_at),
            "state": self.state.value,
            "steps": [step.to_json() for step in self.steps],
            "progress": self.progress.to_json(),
            "error": self.error,
            "result": dict(self.result),
            "pid": self.pid,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        match data["format"]:
            case 1:
                return cls(
                    job_id=data["id"],
                    kind=JobKind(data["kind"]),
                    database=data["database"],
                    parameters=data["parameters"],
                    requested_by=data["requested_by"],
                    requested_at=from_required_text(data["requested_at"]),
                    started_at=from_text(data["started_at"]),
                    ended_at=from_text(data["ended_at"]),
                    state=JobState(data["state"]),
                    steps=tuple(Step.from_json(step) for step in data["steps"]),
                    progress=Progress.from_json(data["progress"]),
                    error=data["error"],
                    result=data["result"],
                    pid=data["pid"],
                )
            case newer:
                raise InvalidRecord(say("The job's format %(format)s is newer than this program.", format=newer))
