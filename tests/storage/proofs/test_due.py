"""Which backup is to be proven now, and which archives are to be read again this week."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from storage.backups.proof import Outcome, Proof
from storage.backups.proven import last_proven, unproven
from storage.backups.record import BackupKind, BackupRecord, BackupState, Verification
from storage.backups.rereading import slice_of_week
from storage.proofs.due import due
from tests.builders import NOON, a_backup

DAY, WEEK = timedelta(days=1), timedelta(days=7)


def proof(at: datetime, outcome: Outcome = Outcome.WHOLE, *, tried_at: datetime | None = None) -> Proof:
    return Proof(at=at, outcome=outcome, seconds=3.0, tried_at=tried_at)


def at_once(
    *newest_first: BackupRecord, tried_at: datetime | None = None, now: datetime = NOON, every: timedelta = WEEK
) -> BackupRecord | None:
    return due(newest_first, tried_at=tried_at, now=now, every=every)


def test_the_first_backup_is_due_at_once() -> None:
    first = a_backup(at=NOON - timedelta(minutes=1))
    assert at_once(first) is first
    assert at_once() is None


def test_a_week_after_a_proof_the_newest_is_due() -> None:
    old = a_backup(at=NOON - 8 * DAY, proof=proof(NOON - 8 * DAY))
    new = a_backup(at=NOON - DAY)
    assert at_once(new, old, now=NOON - 2 * DAY) is None
    assert at_once(new, old) is new
    assert at_once(new, old, every=30 * DAY) is None


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNTRIED])
def test_what_did_not_come_off_is_tried_again_the_next_day(outcome: Outcome) -> None:
    bad = a_backup(at=NOON - 2 * DAY, proof=proof(NOON - timedelta(hours=23), outcome))
    new = a_backup(at=NOON - timedelta(minutes=1))
    assert at_once(new, bad) is None
    assert at_once(new, bad, now=NOON + timedelta(hours=1)) is new


def test_a_good_proof_that_could_not_be_repeated_is_tried_again_the_next_day() -> None:
    record = a_backup(at=NOON - 9 * DAY, proof=proof(NOON - 9 * DAY, tried_at=NOON - DAY))
    assert at_once(record) is record
    assert at_once(record, now=NOON - timedelta(hours=1)) is None


def test_a_proof_that_somebody_cancelled_is_not_asked_for_every_minute() -> None:
    first = a_backup(at=NOON - DAY)
    assert at_once(first, tried_at=NOON - timedelta(hours=1)) is None
    assert at_once(first, tried_at=NOON - DAY) is first


def test_only_whole_backups_that_were_taken_here_are_proven_by_themselves() -> None:
    others = [
        a_backup(state=BackupState.DAMAGED),
        a_backup(state=BackupState.FAILED),
        a_backup(kind=BackupKind.SNAPSHOT),
        a_backup(kind=BackupKind.UPLOADED),
    ]
    scheduled = a_backup(at=NOON - DAY, kind=BackupKind.SCHEDULED)
    assert at_once(*others) is None
    assert at_once(*others, scheduled) is scheduled


def test_a_later_proof_that_came_off_makes_an_earlier_failure_history() -> None:
    failed = a_backup(at=NOON - 2 * DAY, proof=proof(NOON - 2 * DAY, Outcome.FAILED))
    good = a_backup(at=NOON - DAY, proof=proof(NOON - DAY, Outcome.PART))
    assert unproven([failed]) is failed
    assert unproven([good, failed]) is None
    assert last_proven([good, failed]) is good
    assert last_proven([failed]) is None


# Reading again


def read(record: BackupRecord, at: datetime) -> BackupRecord:
    return replace(record, verified=Verification(at=at, good=True, seconds=1.0))


def aged(count: int, *, now: datetime = NOON, most: int = 28) -> list[BackupRecord]:
    """So many archives, the number n read n days ago (at most `most`)."""
    return [
        read(a_backup(at=now - timedelta(days=n)), now - timedelta(days=min(n, most), minutes=n))
        for n in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 30, 101])
def test_four_weeks_read_every_archive(count: int) -> None:
    records = [read(a_backup(at=NOON - 30 * DAY), NOON - WEEK) for _ in range(count)]
    seen: set[str] = set()
    for week in range(4):
        now = NOON + week * WEEK
        chosen = slice_of_week(records, now=now)
        assert len(chosen) <= -(-count // 4), "no week reads more than its quarter"
        seen |= {record.backup_id for record in chosen}
        records = _reread(records, chosen, now)
    assert seen == {record.backup_id for record in records}


@pytest.mark.parametrize("seed", range(20))
def test_while_backups_come_and_expire_none_is_unread_for_more_than_four_weeks(seed: int) -> None:
    chance = random.Random(seed)
    records: list[BackupRecord] = aged(60, most=20)
    for week in range(30):
        now = NOON + week * WEEK
        records = _reread(records, slice_of_week(records, now=now), now)
        for day in range(7):
            moment = now + timedelta(days=day, hours=2)
            for _ in range(chance.choice([0, 1, 1, 4])):
                records.append(read(a_backup(at=moment), moment))
            kept = chance.randrange(len(records) // 2, len(records) + 1)
            records = chance.sample(records, kept)
            assert all(moment - _read_at(record) <= 4 * WEEK for record in records)


def test_what_was_read_within_the_week_is_left_alone_and_what_is_not_there_is_not_read() -> None:
    fresh = read(a_backup(at=NOON - 40 * DAY), NOON - 6 * DAY)
    damaged = a_backup(at=NOON - 40 * DAY, state=BackupState.DAMAGED)
    assert slice_of_week([fresh, damaged], now=NOON) == []


def _reread(records: Sequence[BackupRecord], chosen: Sequence[BackupRecord], now: datetime) -> list[BackupRecord]:
    ids = {record.backup_id for record in chosen}
    return [read(record, now) if record.backup_id in ids else record for record in records]


def _read_at(record: BackupRecord) -> datetime:
    assert record.verified is not None
    return record.verified.at
