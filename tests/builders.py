"""Records for tests: a builder gives everything that a test does not care about."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from storage.backups.record import BackupRecord, BackupState, SourceFacts, TableFacts, Trashed, Verification
from storage.errors import StorageError, Unreachable, say
from storage.identifiers import compact_time
from storage.jobs.model import Job, JobKind, JobState, Progress, Step

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

_numbers = itertools.count(1)

_ENDED_BADLY = (BackupState.FAILED, BackupState.CANCELLED, BackupState.INTERRUPTED)


def an_id(moment: datetime) -> str:
    return f"{compact_time(moment)}-{next(_numbers):06x}"


def a_table(rows: int = 100, *, bytes: int = 8192, digest: str | None = "d", left_out: bool = False) -> TableFacts:
    return TableFacts(rows=rows, bytes=bytes, digest=digest, left_out=left_out)


def a_refusal() -> StorageError:
    return Unreachable(
        "password",
        say("PostgreSQL refused the password of %(user)s.", user="pghaven"),
        advice=say("Enter the password again, and test the connection."),
        words='FATAL:  password authentication failed for user "pghaven"',
    )


def a_backup(
    database: str = "shop",
    *,
    at: datetime = NOON,
    state: BackupState = BackupState.COMPLETE,
    seconds: float = 47.0,
    **changes: Any,
) -> BackupRecord:
    """A complete, verified backup of two tables; in another state, what such a one has."""
    no_logs = changes.get("no_logs", False)
    whole = state not in (BackupState.TAKING, *_ENDED_BADLY)
    backup_id = changes.pop("backup_id", None) or an_id(at)
    name = f"backup_{database}_{at:%Y-%m-%dT%H-%M-%S}{'_no-logs' if no_logs else ''}.dump"
    facts: dict[str, Any] = {
        "backup_id": backup_id,
        "database": database,
        "state": state,
        "started_at": at,
        "ended_at": None if state is BackupState.TAKING else at + timedelta(seconds=seconds),
        "taken_by": "ana",
        "job_id": an_id(at),
        "program": "pg_dump 16.11",
        "compression": "zstd:1",
        "source": SourceFacts(
            server_version="16.10 (Debian 16.10-1)", server_major=16, database=database, size=9_000_000
        ),
    }
    if whole:
        facts |= {
            "archive": f"archives/{database}/{name}",
            "bytes": 1_400_000,
            "sha256": "4b9d07c2e6a1f83d5c70b2e94f1a6d8837e5c09ab4d2f61e08c3a7b59d14e6f0",
            "archive_format": (1, 15),
            "snapshot": "00000003-0000AF1B-1",
            "schema_fingerprint": "f" * 64,
            "tables": {"public.orders": a_table(1000, bytes=65536), "public.users": a_table(20)},
            "verified": Verification(
                at=at + timedelta(seconds=seconds), good=state is BackupState.COMPLETE, seconds=2.0
            ),
        }
    if state is BackupState.FAILED:
        facts["error"] = a_refusal().to_json()
    if state is BackupState.TRASHED:
        facts["archive"] = f"trash/{database}/{name}"
        facts["trashed"] = Trashed(
            at=at,
            until=at + timedelta(days=7),
            was=BackupState.COMPLETE,
            archive=f"archives/{database}/{name}",
            by="ana",
        )
    return BackupRecord(**(facts | changes))


def a_job(
    kind: JobKind = JobKind.TAKE,
    database: str = "shop",
    *,
    at: datetime = NOON,
    state: JobState = JobState.RUNNING,
    **changes: Any,
) -> Job:
    """A take that dumps its second of four tables; in an ended state, one that took a minute."""
    ended = state.ended
    waiting = state is JobState.WAITING
    steps = (
        Step(code="wait", title=say("Wait for a turn"), started_at=at, ended_at=at),
        Step(
            code="look",
            title=say("Look at the server"),
            started_at=at,
            ended_at=at + timedelta(seconds=1),
        ),
        Step(
            code="dump",
            title=say("Dump the tables"),
            started_at=at + timedelta(seconds=1),
            ended_at=at + timedelta(seconds=50) if state is JobState.COMPLETED else None,
        ),
        Step(code="verify", title=say("Read the archive back")),
    )
    facts: dict[str, Any] = {
        "job_id": an_id(at),
        "kind": kind,
        "database": database,
        "parameters": {"no_logs": False} if kind is JobKind.TAKE else {},
        "requested_by": "ana",
        "requested_at": at,
        "started_at": None if waiting else at,
        "ended_at": at + timedelta(minutes=1) if ended else None,
        "state": state,
        "steps": () if waiting else steps,
        "progress": Progress()
        if waiting
        else Progress(
            step="dump",
            done=43,
            total=100,
            item="public.orders",
            item_number=2,
            item_count=4,
            written=612_000_000,
            expected=1_400_000_000,
            rows=120_000,
            rate=11_000_000.0,
            seconds_left=75.0,
        ),
        "error": a_refusal().to_json() if state is JobState.FAILED else None,
    }
    return Job(**(facts | changes))
