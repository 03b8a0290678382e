"""Which backups of a database are kept, and why. Decides only; `prune` carries it out.

Three voices, the first overrules the next: guards say what stays whatever happens; the limit of size says what goes
although a rule would keep it; rules say what is kept. What nobody speaks for has expired.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from storage.backups.copies import CopyState
from storage.backups.policies import Policy
from storage.backups.record import TAKEN_WHOLE, BackupKind, BackupRecord, BackupState
from storage.errors import Message, say, say_count

FAILING_AFTER = 2
"""So many runs in a row without a good backup, and nothing expires any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What has to be known of one backup that is there."""

    backup_id: str
    at: datetime
    kind: BackupKind = BackupKind.MANUAL
    good: bool = True
    proven: bool = False
    no_logs: bool = False
    pinned: bool = False
    in_use: bool = False
    """A job that waits or runs was asked for with it."""
    bytes: int = 0
    """What it takes up on the disk."""

    @property
    def regular(self) -> bool:
        """One of the database's own row of backups, and neither a by-product nor brought by somebody."""
        return self.kind in (BackupKind.MANUAL, BackupKind.SCHEDULED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    backup_id: str
    kept: bool
    reasons: tuple[Message, ...]
    """Whole sentences, the strongest first."""
    guarded: bool = False
    """Kept whatever the rules are."""
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do with one database, newest first."""

    decisions: tuple[Decision, ...] = ()
    paused: bool = False
    """Backups are failing: whatever would expire is kept."""

    @property
    def expired(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if not decision.kept)

    @property
    def kept(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.kept)


def facts(records: Iterable[BackupRecord], *, in_use: Collection[str] = ()) -> list[Kept]:
    """The facts of those records that have an archive; the others are history, and take up nothing."""
    return [
        Kept(
            backup_id=record.backup_id,
            at=record.started_at,
            kind=record.kind,
            good=record.good,
            proven=record.proven,
            no_logs=record.no_logs,
            pinned=record.pinned,
            in_use=record.backup_id in in_use,
            bytes=0 if record.state is BackupState.MISSING else record.bytes,
        )
        for record in records
        if record.state in TAKEN_WHOLE and not record.let_go
    ]


def facts_at(records: Iterable[BackupRecord], destination: str, *, in_use: Collection[str] = ()) -> list[Kept]:
    """The facts of those records that have a good copy at a destination, whatever became of their archives here."""
    return [
        Kept(
            backup_id=record.backup_id,
            at=record.started_at,
            kind=record.kind,
            proven=record.proven,
            no_logs=record.no_logs,
            pinned=record.pinned,
            in_use=record.backup_id in in_use,
            bytes=copy.bytes,
        )
        for record in records
        if (copy := record.copy_at(destination)) is not None and copy.state is CopyState.COMPLETE
    ]


def failing(records: Iterable[BackupRecord]) -> bool:
    """Whether the newest runs gave no good backup, one after the other. One that a person cancelled says nothing, nor
    does one that is in the trash; a file that is gone or damaged says that something is wrong with the disk."""
    runs = sorted(
        (
            record
            for record in records
            if record.state not in _SAY_NOTHING and record.kind is not BackupKind.UPLOADED and not record.let_go
        ),
        key=lambda record: (record.started_at, record.backup_id),
    )
    newest = runs[-FAILING_AFTER:]
    return len(newest) == FAILING_AFTER and not any(record.good for record in newest)


_SAY_NOTHING = (BackupState.TAKING, BackupState.CANCELLED, BackupState.TRASHED, BackupState.ERASED)


def decide(backups: Iterable[Kept], policy: Policy, *, now: datetime, zone: ZoneInfo, paused: bool = False) -> Plan:
    """Say of each backup of one database whether it stays, and why. `zone` is where its days begin."""
    newest_first = sorted(backups, key=lambda backup: (backup.at, backup.backup_id), reverse=True)
    guards = _Reasons()
    _guard(newest_first, policy, now, guards)
    rules = _Reasons()
    _rule(newest_first, policy, now, zone, rules)
    over = _over_the_limit(newest_first, policy, guards, rules)

    def decision(backup: Kept) -> Decision:
        guarded = guards.of(backup)
        reasons = (*guarded, *(() if backup.backup_id in over else rules.of(backup)))
        kept = bool(reasons) or paused
        if not reasons:
            reasons = (PAUSED,) if paused else (_expired(backup, policy, over=backup.backup_id in over),)
        return Decision(
            backup_id=backup.backup_id, kept=kept, reasons=reasons, guarded=bool(guarded), bytes=backup.bytes
        )

    return Plan(decisions=tuple(map(decision, newest_first)), paused=paused)


PAUSED = say("Backups are failing: nothing goes before one succeeds.")


class _Reasons:
    def __init__(self) -> None:
        self._by_id: dict[str, list[Message]] = {}

    def add(self, backup: Kept | None, reason: Message) -> None:
        if backup is not None:
            self._by_id.setdefault(backup.backup_id, []).append(reason)

    def of(self, backup: Kept) -> tuple[Message, ...]:
        return tuple(self._by_id.get(backup.backup_id, ()))


def _guard(newest_first: Sequence[Kept], policy: Policy, now: datetime, guards: _Reasons) -> None:
    good = [backup for backup in newest_first if backup.good]
    for backup in newest_first:
        if backup.pinned:
            guards.add(backup, say("Pinned."))
    newest = _first(good, lambda backup: backup.regular) or _first(good)
    guards.add(newest, say("The newest good backup."))
    whole = _first(good, lambda backup: backup.regular and not backup.no_logs)
    if whole is not newest:
        guards.add(whole, say("The newest good one with the rows of its log tables."))
    guards.add(_first(good, lambda backup: backup.proven), say("The newest that is proven to restore."))
    # A snapshot, or what somebody brought, makes up the number only where the database has too few of its own.
    own_first = sorted(good, key=lambda backup: not backup.regular)
    always = say_count("The one that always stays.", "One of the %(count)s that always stay.", count=policy.minimum)
    for backup in own_first[: policy.minimum]:
        guards.add(backup, always)
    for backup in newest_first:
        if backup.kind is BackupKind.SNAPSHOT and now - backup.at < timedelta(days=policy.snapshot_days):
            guards.add(backup, say_count("A snapshot, kept for %(count)s day.", "A snapshot, kept for %(count)s days.",
                                         count=policy.snapshot_days))  # fmt: skip
        if backup.in_use:
            guards.add(backup, say("A job is using it."))


def _rule(newest_first: Sequence[Kept], policy: Policy, now: datetime, zone: ZoneInfo, rules: _Reasons) -> None:
    for backup in newest_first:
        if backup.kind is BackupKind.SNAPSHOT:
            continue  # snapshots have a limit of their own
        if policy.days is None:
            rules.add(backup, say("Nothing limits its age."))
        elif now - backup.at < timedelta(days=policy.days):
            rules.add(backup, say_count("Taken within the last day.", "Taken within the last %(count)s days.",
                                        count=policy.days))  # fmt: skip
    regular = [backup for backup in newest_first if backup.good and backup.regular]
    for backup in regular[: policy.keep_last]:
        rules.add(backup, say_count("The last one.", "One of the last %(count)s.", count=policy.keep_last))
    for count, period, reason in (
        (policy.daily, _day, say("The one that is kept of its day.")),
        (policy.weekly, _week, say("The one that is kept of its week.")),
        (policy.monthly, _month, say("The one that is kept of its month.")),
        (policy.yearly, _year, say("The one that is kept of its year.")),
    ):
        for backup in _one_of_each(regular, count, period, zone):
            rules.add(backup, reason)


def _one_of_each(
    newest_first: Sequence[Kept], count: int, period: Callable[[date], tuple[int, ...]], zone: ZoneInfo
) -> list[Kept]:
    """Of each of the newest `count` periods that have any: the newest whole one, or the newest where none is whole."""
    by_period: dict[tuple[int, ...], Kept] = {}
    for backup in newest_first:
        key = period(backup.at.astimezone(zone).date())
        if key not in by_period:
            if len(by_period) == count:
                break
            by_period[key] = backup
        elif by_period[key].no_logs and not backup.no_logs:
            by_period[key] = backup
    return list(by_period.values())


def _over_the_limit(newest_first: Sequence[Kept], policy: Policy, guards: _Reasons, rules: _Reasons) -> set[str]:
    """What has to go although a rule would keep it: what is not good first, then the oldest."""
    over: set[str] = set()
    if policy.most_bytes is None:
        return over
    staying = [backup for backup in newest_first if guards.of(backup) or rules.of(backup)]
    total = sum(backup.bytes for backup in staying)
    for backup in sorted(staying, key=lambda backup: (backup.good, backup.at, backup.backup_id)):
        if total <= policy.most_bytes:
            break
        if not guards.of(backup):
            over.add(backup.backup_id)
            total -= backup.bytes
    return over


def _expired(backup: Kept, policy: Policy, *, over: bool) -> Message:
    if over:
        return say("All together take up more than %(limit_bytes)s.", limit_bytes=policy.most_bytes)
    if backup.kind is BackupKind.SNAPSHOT:
        return say_count("A snapshot older than %(count)s day.", "A snapshot older than %(count)s days.",
                         count=policy.snapshot_days)  # fmt: skip
    return say_count("Older than %(count)s day.", "Older than %(count)s days.", count=policy.days or 0)


def _first(newest_first: Iterable[Kept], wanted: Callable[[Kept], bool] = lambda backup: True) -> Kept | None:
    return next((backup for backup in newest_first if wanted(backup)), None)


def _day(day: date) -> tuple[int, ...]:
    return (day.toordinal(),)


def _week(day: date) -> tuple[int, ...]:
    return day.isocalendar()[:2]


def _month(day: date) -> tuple[int, ...]:
    return day.year, day.month


def _year(day: date) -> tuple[int, ...]:
    return (day.year,)
