"""What is kept and why: single decisions, and random histories under random policies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.backups import retention
from storage.backups.policies import Policy
from storage.backups.proof import Outcome, Proof
from storage.backups.proven import last_proven
from storage.backups.record import BackupKind, BackupState
from storage.backups.retention import Kept, Plan
from storage.errors import Invalid
from tests.builders import NOON, a_backup

BERLIN = ZoneInfo("Europe/Berlin")


def kept(days_old: float, *, name: str = "", **changes: Any) -> Kept:
    backup_id = name or f"b{days_old:g}"
    return Kept(**({"backup_id": backup_id, "at": NOON - timedelta(days=days_old), "bytes": 100} | changes))


def decided(*backups: Kept, paused: bool = False, **policy: Any) -> Plan:
    chosen = Policy(**({"database": "shop", "minimum": 1} | policy))
    return retention.decide(backups, chosen, now=NOON, zone=BERLIN, paused=paused)


def staying(plan: Plan) -> list[str]:
    return [decision.backup_id for decision in plan.kept]


def said(plan: Plan, backup_id: str) -> str:
    [decision] = [one for one in plan.decisions if one.backup_id == backup_id]
    return " ".join(map(str, decision.reasons))


def test_what_is_older_than_the_days_expires_and_says_so() -> None:
    plan = decided(kept(1), kept(29.9), kept(30), kept(31))
    assert staying(plan) == ["b1", "b29.9"]
    assert said(plan, "b31") == "Older than 30 days."
    assert said(plan, "b29.9") == "Taken within the last 30 days."


def test_the_usual_policy_is_thirty_days_and_at_least_three() -> None:
    policy = Policy(database="shop")
    assert (policy.days, policy.minimum, policy.snapshot_days) == (30, 3, 14)
    plan = retention.decide([kept(100 + n) for n in range(9)], policy, now=NOON, zone=BERLIN)
    assert staying(plan) == ["b100", "b101", "b102"]
    assert said(plan, "b102") == "One of the 3 that always stay."


def test_for_ever_means_that_age_says_nothing() -> None:
    assert staying(decided(kept(1), kept(9000), days=None)) == ["b1", "b9000"]


def test_the_last_ones_stay_however_old_they_are() -> None:
    plan = decided(*(kept(100 + n) for n in range(9)), keep_last=4)
    assert staying(plan) == ["b100", "b101", "b102", "b103"]


def test_one_of_each_day_week_month_and_year() -> None:
    history = [kept(days) for days in range(900)]
    plan = decided(*history, days=1, daily=3, weekly=3, monthly=3, yearly=2)
    # NOON is a Sunday; the newest of each week is the Sunday, of each month its last day.
    assert staying(plan) == ["b0", "b1", "b2", "b7", "b14", "b22", "b53", "b326"]
    assert said(plan, "b22") == "The one that is kept of its month."


def test_of_a_day_the_whole_backup_is_kept_rather_than_a_later_one_without_logs() -> None:
    plan = decided(kept(0), kept(5, no_logs=True), kept(5.2, name="whole"), days=1, daily=2)
    assert staying(plan) == ["b0", "whole"]


def test_the_days_begin_where_the_instance_is() -> None:
    late = Kept(backup_id="late", at=datetime(2026, 11, 19, 23, 30, tzinfo=UTC))  # 00:30 on the 20th in Berlin
    noon = Kept(backup_id="noon", at=datetime(2026, 11, 20, 11, 0, tzinfo=UTC))
    assert staying(decided(kept(0), late, noon, days=1, daily=2)) == ["b0", "noon"]


def test_the_limit_of_size_takes_the_oldest_first_though_a_rule_would_keep_them() -> None:
    plan = decided(*(kept(n, bytes=1_000_000) for n in range(5)), most_bytes=2_500_000)
    assert staying(plan) == ["b0", "b1"]
    assert said(plan, "b4") == "All together take up more than 2.5 MB."


def test_the_limit_of_size_takes_nothing_that_is_guarded() -> None:
    plan = decided(kept(0, bytes=9_000_000), kept(1, bytes=9_000_000, pinned=True), kept(2), most_bytes=1_000_000)
    assert staying(plan) == ["b0", "b1"]


def test_what_is_guarded_stays_and_says_why() -> None:
    plan = decided(
        kept(40, no_logs=True),
        kept(41, name="whole"),
        kept(50, name="proven", proven=True),
        kept(60, name="older proof", proven=True),
        kept(70, name="pinned", pinned=True),
        kept(80, name="used", in_use=True),
    )
    assert staying(plan) == ["b40", "whole", "proven", "pinned", "used"]
    assert "newest good" in said(plan, "b40")
    assert said(plan, "whole") == "The newest good one with the rows of its log tables."
    assert said(plan, "proven") == "The newest that is proven to restore."
    assert said(plan, "pinned") == "Pinned."
    assert said(plan, "used") == "A job is using it."


def test_a_snapshot_has_a_limit_of_its_own_and_is_no_one_of_the_row() -> None:
    snapshot = BackupKind.SNAPSHOT
    plan = decided(kept(1), kept(13, kind=snapshot), kept(15, kind=snapshot), keep_last=3)
    assert staying(plan) == ["b1", "b13"]
    assert said(plan, "b13") == "A snapshot, kept for 14 days."
    assert said(plan, "b15") == "A snapshot older than 14 days."


def test_a_damaged_backup_is_none_of_those_that_always_stay() -> None:
    plan = decided(kept(40, good=False), kept(50), kept(51), minimum=1)
    assert staying(plan) == ["b50"]


def test_what_others_brought_does_not_count_as_the_databases_own() -> None:
    plan = decided(kept(40, kind=BackupKind.UPLOADED), kept(50), kept(60), minimum=1)
    assert staying(plan) == ["b50"]


def test_while_backups_are_failing_nothing_expires() -> None:
    plan = decided(*(kept(40 + n) for n in range(5)), paused=True)
    assert plan.expired == ()
    assert said(plan, "b44") == "Backups are failing: nothing goes before one succeeds."


F, C, X, T = BackupState.FAILED, BackupState.COMPLETE, BackupState.CANCELLED, BackupState.TRASHED


@pytest.mark.parametrize(
    ("newest_first", "answer"),
    [
        ([F, F, C], True),
        ([F, C, F], False),
        ([F], False),
        ([X, F, BackupState.INTERRUPTED, C], True),
        ([BackupState.MISSING, BackupState.DAMAGED, C], True),
        ([T, T, C, C], False),
        ([BackupState.TAKING, C, F, F], False),
        ([], False),
    ],
)
def test_two_runs_without_a_good_backup_are_failing(newest_first: list[BackupState], answer: bool) -> None:
    records = [a_backup(at=NOON - timedelta(days=n), state=state) for n, state in enumerate(newest_first)]
    assert retention.failing(records) is answer


def test_a_policy_with_a_number_that_cannot_be_is_refused() -> None:
    for wrong in ({"days": 0}, {"minimum": 0}, {"keep_last": -1}, {"most_bytes": 5}, {"snapshot_days": 0}):
        with pytest.raises(Invalid):
            Policy(database="shop", **wrong).checked()


def test_a_proof_of_an_uploaded_archive_says_nothing_of_the_database() -> None:
    proof = Proof(at=NOON, outcome=Outcome.PART, seconds=1.0)
    ours = a_backup("shop", at=NOON - timedelta(days=3)).with_(proof=proof)
    theirs = a_backup("shop", at=NOON, kind=BackupKind.UPLOADED).with_(
        proof=replace(proof, at=NOON + timedelta(days=1))
    )
    assert [known.proven for known in retention.facts([theirs, ours])] == [False, True]
    assert last_proven([theirs, ours]) == ours


def test_the_last_proven_is_read_from_the_record() -> None:
    [known] = retention.facts([a_backup(pinned=True, kind=BackupKind.SNAPSHOT), a_backup(state=F)])
    assert (known.good, known.proven, known.pinned, known.kind) == (True, False, True, BackupKind.SNAPSHOT)


BACKUPS = st.builds(
    Kept,
    backup_id=st.just(""),
    at=st.integers(0, 60 * 24 * 500).map(lambda minutes: NOON - timedelta(minutes=minutes)),
    kind=st.sampled_from(BackupKind),
    good=st.booleans() | st.just(True),
    proven=st.booleans(),
    no_logs=st.booleans(),
    pinned=st.integers(0, 9).map(lambda n: n == 0),
    in_use=st.integers(0, 19).map(lambda n: n == 0),
    bytes=st.integers(0, 10**7),
)
HISTORIES = st.lists(BACKUPS, max_size=60).map(
    lambda backups: [
        Kept(**{name: getattr(backup, name) for name in Kept.__slots__} | {"backup_id": f"b{number:03}"})
        for number, backup in enumerate(backups)
    ]
)
FEW = st.integers(0, 12)
POLICIES = st.builds(
    Policy,
    database=st.just("shop"),
    days=st.none() | st.integers(1, 400),
    keep_last=FEW,
    daily=FEW,
    weekly=FEW,
    monthly=FEW,
    yearly=FEW,
    most_bytes=st.none() | st.integers(10**6, 10**8),
    minimum=st.integers(1, 12),
    snapshot_days=st.integers(1, 60),
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Shanghai", "Pacific/Apia"]).map(ZoneInfo)


@settings(max_examples=400, deadline=None)
@given(history=HISTORIES, policy=POLICIES, zone=ZONES, paused=st.booleans())
def test_no_history_and_no_policy_lose_what_must_stay(
    history: list[Kept], policy: Policy, zone: ZoneInfo, paused: bool
) -> None:
    plan = retention.decide(history, policy, now=NOON, zone=zone, paused=paused)
    stays = {decision.backup_id for decision in plan.kept}
    good = [backup for backup in history if backup.good]
    left = [backup for backup in good if backup.backup_id in stays]

    assert sorted(one.backup_id for one in plan.decisions) == sorted(backup.backup_id for backup in history)
    assert all(decision.reasons for decision in plan.decisions)
    assert len(left) >= min(policy.minimum, len(good))
    for backup in history:
        young = backup.kind is BackupKind.SNAPSHOT and NOON - backup.at < timedelta(days=policy.snapshot_days)
        if backup.pinned or backup.in_use or young or paused:
            assert backup.backup_id in stays
    ours = [backup for backup in good if backup.kind in (BackupKind.MANUAL, BackupKind.SCHEDULED)]
    proven = [backup for backup in good if backup.proven]
    for row in (ours or good, proven):
        if row:
            assert max(row, key=lambda backup: (backup.at, backup.backup_id)).backup_id in stays


@settings(max_examples=300, deadline=None)
@given(history=HISTORIES, policy=POLICIES, zone=ZONES, turn=st.randoms())
def test_a_decision_does_not_depend_on_the_order_and_a_second_run_finds_nothing(
    history: list[Kept], policy: Policy, zone: ZoneInfo, turn: Any
) -> None:
    plan = retention.decide(history, policy, now=NOON, zone=zone)
    mixed = list(history)
    turn.shuffle(mixed)
    assert retention.decide(mixed, policy, now=NOON, zone=zone) == plan
    stays = {decision.backup_id for decision in plan.kept}
    rest = [backup for backup in history if backup.backup_id in stays]
    assert retention.decide(rest, policy, now=NOON, zone=zone).expired == ()


@settings(max_examples=60, deadline=None)
@given(policy=POLICIES, good_days=st.integers(1, 40))
def test_sixty_days_of_failures_take_nothing_away(policy: Policy, good_days: int) -> None:
    """A good backup each night, then one failure each night for sixty days, and retention after each of them."""
    begin = NOON - timedelta(days=good_days)
    records = [a_backup(at=begin + timedelta(days=day)) for day in range(good_days)]
    had = retention.decide(retention.facts(records), policy, now=NOON, zone=BERLIN)
    records = [record for record in records if record.backup_id in {one.backup_id for one in had.kept}]
    before = len(records)
    for night in range(60):
        now = NOON + timedelta(days=night)
        records.append(a_backup(at=now, state=BackupState.FAILED))
        plan = retention.decide(
            retention.facts(records), policy, now=now, zone=BERLIN, paused=retention.failing(records)
        )
        gone = {one.backup_id for one in plan.expired}
        assert night == 0 or not gone
        records = [record for record in records if record.backup_id not in gone]
    assert sum(record.good for record in records) >= min(policy.minimum, before)
