"""Undoing a restore: which way there is back, and what it would do. Decides from facts; nothing is changed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.backups.record import BackupRecord
from storage.errors import Conflict, Message, say
from storage.postgres.quoting import quoted
from storage.restores import names, sessions
from storage.restores.facts import ServerFacts, Sessions
from storage.restores.plan import Check, Light
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import Mode, RestoreRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPlan:
    """The way back from one restore."""

    restore: RestoreRecord
    request: RestoreRequest
    """What the job is to do: UNDO to swap the names, REPLACE to restore the snapshot, TABLES its rows."""
    snapshot: BackupRecord | None
    """Where it comes from when the database itself is gone."""
    undone_as: str
    """What the database that has the name now will be called."""
    sessions: tuple[Sessions, ...]
    checks: tuple[Check, ...]

    @property
    def swaps(self) -> bool:
        return self.request.mode is Mode.UNDO

    @property
    def target(self) -> str:
        return self.restore.target

    @property
    def blocked(self) -> bool:
        return any(check.state is Light.BAD for check in self.checks)

    def refuse_if_blocked(self) -> None:
        """Raise Conflict with the first thing that stands against it."""
        for check in self.checks:
            if check.state is Light.BAD:
                raise Conflict(check.message, advice=check.advice)

    def to_json(self) -> dict[str, Any]:
        return {
            "restore": self.restore.restore_id,
            "target": self.target,
            "how": "swap" if self.swaps else "snapshot",
            "from": self.restore.kept_as if self.swaps else self.snapshot.backup_id if self.snapshot else None,
            "undone_as": self.undone_as,
            "sessions": [group.to_json() for group in self.sessions],
            "checks": [check.to_json() for check in self.checks],
            "blocked": self.blocked,
        }


def decide(
    record: RestoreRecord,
    *,
    facts: ServerFacts,
    databases: Mapping[int, str],
    snapshot: BackupRecord | None,
    now: datetime,
) -> UndoPlan:
    """The plan to undo `record`. `facts` are about its target, `databases` are those of the server by their oid."""
    kept = record.keeps and record.target_oid is not None and databases.get(record.target_oid) == record.kept_as
    mode = Mode.TABLES if record.mode is Mode.TABLES else Mode.UNDO if kept else Mode.REPLACE
    checks = [_done(record), _way(record, mode=mode, snapshot=snapshot)]
    if record.mode not in (Mode.TABLES, Mode.MERGE):
        checks.append(_current(record, databases))
    target = facts.target
    if mode is Mode.UNDO and target:
        if not (facts.superuser or target.may_own):
            checks.append(
                Check(
                    "rights",
                    Light.BAD,
                    say("%(name)s belongs to %(owner)s; %(role)s may not rename it.",
                        name=record.target, owner=target.owner, role=facts.role),
                    say("On the server, as a superuser: GRANT %(owner)s TO %(role)s;",
                        owner=quoted(target.owner), role=quoted(facts.role)),
                )
            )  # fmt: skip
        checks.extend(sessions.check(target, name=record.target, role=facts.role))
    return UndoPlan(
        restore=record,
        request=RestoreRequest(
            backup_id=record.backup_id if mode is Mode.UNDO or snapshot is None else snapshot.backup_id,
            mode=mode,
            target=record.target,
            on=record.server,
            tables=record.tables if mode is Mode.TABLES else (),
            undoes=record.restore_id,
        ),
        snapshot=snapshot if mode is not Mode.UNDO else None,
        undone_as=names.undone(record.target, now, taken=frozenset(databases.values())) if mode is Mode.UNDO else "",
        sessions=target.sessions if target and mode is not Mode.TABLES else (),
        checks=tuple(checks),
    )


def can_be_undone(record: RestoreRecord) -> bool:
    """Whether it is worth offering: it changed what was there, and there is a way back as far as pghaven knows."""
    done = record.state is RestoreState.COMPLETED and record.mode.changes_present and not record.undone_by
    return done and (record.keeps or bool(record.snapshot_id))


def _done(record: RestoreRecord) -> Check:
    if record.state is not RestoreState.COMPLETED or not record.mode.changes_present:
        cause = say("This restore changed nothing that was there: there is nothing to undo.")
    elif record.undone_by:
        cause = say("This restore was undone already, by %(id)s.", id=record.undone_by)
    else:
        return Check("done", Light.GOOD, say("The restore was carried out, and not undone since."))
    return Check("done", Light.BAD, cause)


def _way(record: RestoreRecord, *, mode: Mode, snapshot: BackupRecord | None) -> Check:
    if mode is Mode.UNDO:
        return Check("way", Light.GOOD, say("%(kept)s is there, as it was before the restore.", kept=record.kept_as))
    if snapshot is not None and snapshot.good:
        cause: Message = (
            say("The rows come from the snapshot that was taken before.")
            if mode is Mode.TABLES
            else say("The snapshot that was taken before is restored.")
            if record.mode is Mode.MERGE
            else say("%(kept)s is gone; the snapshot that was taken before is restored.", kept=record.kept_as or "—")
        )
        return Check("way", Light.GOOD if record.mode in (Mode.TABLES, Mode.MERGE) else Light.WARNING, cause)
    return Check(
        "way",
        Light.BAD,
        say("Neither the database of before nor a good snapshot of it is there any more."),
        say("Restore another backup of it."),
    )


def _current(record: RestoreRecord, databases: Mapping[int, str]) -> Check:
    if record.beside_oid is not None and databases.get(record.beside_oid) == record.target:
        return Check("current", Light.GOOD, say("%(name)s is still the one that was restored.", name=record.target))
    return Check(
        "current",
        Light.BAD,
        say("%(name)s is no longer the database that this restore made.", name=record.target),
        say("Undo the later restore first."),
    )
