"""What is told of sessions and their requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from storage.errors import StorageError
from storage.logs.query import After
from storage.logs.session_query import Behind
from storage.logs.session_request import RequestDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    session: str
    requests: int
    first: datetime | None
    last: datetime | None
    cost: Decimal | None
    user: str | None
    newest_sequence: int
    kept: bool = False
    """Whether the store still has the details of its newest request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsPage:
    sessions: list[SessionSummary]
    next: After | None
    trouble: StorageError | None
    """Why the store could not be asked; None where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request of a session. One that only the store knows has nothing but its number."""

    sequence: int
    id: str | None = None
    time: datetime | None = None
    values: dict[str, Any]
    """The usage log's columns by name."""
    kept: bool = False
    """Whether the store still has its details."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    session: str
    summary: SessionSummary | None
    """None where the usage log does not know it."""
    requests: list[LoggedRequest]
    next: Behind | None
    trouble: StorageError | None

    @property
    def chosen(self) -> int | None:
        """The request to look at where nobody chose one: the last with details, else the last."""
        kept = [one.sequence for one in self.requests if one.kept] or [one.sequence for one in self.requests]
        return kept[-1] if kept else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    details: RequestDetails
    kept: bool
    """Whether the store had any of it. The special settings may be the usage log's."""
    trouble: StorageError | None
