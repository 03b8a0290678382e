"""What is told of what, decided from facts alone; and the weekly letter."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from storage.alerts import letter, rules
from storage.alerts.alerts import Alerts
from storage.alerts.facts import DatabaseLook, JobEnd, Look, Standing, Taken
from storage.alerts.model import Event, Limits
from storage.clock import to_text
from tests.builders import NOON, a_refusal
from tests.conftest import StandingClock

LIMITS = Limits()
WELL = DatabaseLook(name="shop", newest_good_at=NOON - timedelta(hours=10), proven_at=NOON - timedelta(days=3))


def an_end(state: str = "completed", *, kind: str = "take", at: datetime = NOON, **changes: Any) -> JobEnd:
    error = a_refusal().to_json() if state == "failed" else None
    return JobEnd(kind=kind, database="shop", state=state, at=at, error=error, **changes)


def a_look(*databases: DatabaseLook, at: datetime = NOON, **changes: Any) -> Look:
    return Look(at=at, databases=databases or (WELL,), **({"disk_free": 50, "disk_total": 100} | changes))


def told(decided: rules.Decided) -> list[Event]:
    return [alert.event for alert in decided.alerts]


def test_a_backup_that_fails_every_hour_is_told_once_a_day_and_once_when_it_is_fixed() -> None:
    standing, events = Standing(), []
    for hour in range(30):
        decided = rules.of_job(an_end("failed", at=NOON + timedelta(hours=hour)), standing, LIMITS)
        standing = decided.standing
        events += [(hour, event) for event in told(decided)]
    assert events == [(0, Event.FAILED), (24, Event.FAILED)]
    decided = rules.of_job(an_end(at=NOON + timedelta(hours=30)), standing, LIMITS)
    assert told(decided) == [Event.RECOVERED]
    assert str(decided.alerts[0].title) == "Fixed: shop, backups work again"
    assert told(rules.of_job(an_end(), decided.standing, LIMITS)) == []


def test_the_alert_after_a_day_says_how_many_failed() -> None:
    first = rules.of_job(an_end("failed"), Standing(), LIMITS)
    again = rules.of_job(an_end("failed", at=NOON + timedelta(hours=12)), first.standing, LIMITS)
    third = rules.of_job(an_end("failed", at=NOON + timedelta(hours=36)), again.standing, LIMITS)
    assert str(third.alerts[0].title) == "shop: the last 3 backups failed"


@pytest.mark.parametrize("kind", ["restore", "verify", "prove", "copy", "later"])
def test_every_kind_of_job_that_fails_or_is_interrupted_is_told(kind: str) -> None:
    assert told(rules.of_job(an_end("failed", kind=kind), Standing(), LIMITS)) == [Event.FAILED]
    assert told(rules.of_job(an_end("interrupted", kind=kind), Standing(), LIMITS)) == [Event.FAILED]


def test_what_a_person_cancelled_is_told_to_nobody() -> None:
    assert told(rules.of_job(an_end("cancelled"), Standing(), LIMITS)) == []


def test_every_failed_restore_is_told_and_every_one_that_is_done() -> None:
    failed = rules.of_job(an_end("failed", kind="restore", target="shop_copy"), Standing(), LIMITS)
    again = rules.of_job(an_end("failed", kind="restore", target="shop_copy"), failed.standing, LIMITS)
    done = rules.of_job(an_end(kind="restore", target="shop_copy"), again.standing, LIMITS)
    assert (told(failed), told(again), told(done)) == ([Event.FAILED], [Event.FAILED], [Event.RESTORED])
    assert str(done.alerts[0].title) == "shop_copy: the restore is done"


def restored(**facts: Any) -> list[str]:
    end = an_end(kind="restore", target="shop_copy", source="hub", backup_at=NOON, by="ana", **facts)
    [alert] = rules.of_job(end, Standing(), LIMITS).alerts
    return [str(line) for line in alert.lines]


def test_what_a_restore_did_is_told_with_whose_backup_and_by_whom() -> None:
    of, who = f"the backup of hub of {to_text(NOON)}.", "Asked for by ana."
    assert restored(mode="new") == [f"A new database was made from {of}", who]
    assert restored(mode="replace") == [f"It was replaced from {of}", who]
    assert restored(mode="merge") == [f"Rows that were missing were added from {of}", who]
    assert restored(mode="tables") == [f"Rows of tables were replaced from {of}", who]
    assert restored(mode="undo") == ["A restore was undone: the database is as it was before.", who]
    assert restored(mode="replace", uploaded=True)[1] == "That archive was uploaded: pghaven did not make it."


def test_copies_to_one_destination_say_nothing_of_another() -> None:
    away = rules.of_job(an_end("failed", kind="copy", destination="s3"), Standing(), LIMITS)
    assert str(away.alerts[0].title) == "shop: a backup could not be copied to s3"
    here = rules.of_job(an_end(kind="copy", destination="folder"), away.standing, LIMITS)
    assert told(here) == []
    other = rules.of_job(an_end("failed", kind="copy", destination="folder"), here.standing, LIMITS)
    assert told(other) == [Event.FAILED]
    back = rules.of_job(an_end(kind="copy", destination="s3"), other.standing, LIMITS)
    assert told(back) == [Event.RECOVERED] and back.alerts[0].lines


def test_an_archive_that_was_brought_back_was_read_back_as_well() -> None:
    damaged = rules.of_job(an_end("failed", kind="verify"), Standing(), LIMITS)
    fetched = rules.of_job(an_end(kind="fetch", destination="s3"), damaged.standing, LIMITS)
    assert [str(alert.title) for alert in fetched.alerts] == ["Fixed: shop, backups can be read back again"]
    assert told(rules.of_job(an_end(kind="verify"), fetched.standing, LIMITS)) == []


def a_taken(bytes: int = 1000, **rows: int) -> Taken:
    return Taken(at=NOON, bytes=bytes, rows=rows)


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        (a_taken(1000), a_taken(501), 0),
        (a_taken(1000), a_taken(500), 1),
        (a_taken(orders=1000, users=90), a_taken(orders=501, users=0), 0),
        (a_taken(orders=1000), a_taken(orders=500), 1),
        (a_taken(orders=1000), a_taken(), 1),
        (a_taken(**{f"t{n}": 1000 for n in range(15)}), a_taken(), 11),
    ],
)
def test_a_backup_or_a_table_that_lost_half_is_told(before: Taken, now: Taken, lines: int) -> None:
    decided = rules.of_job(an_end(taken=now, before=before), Standing(), LIMITS)
    assert told(decided) == ([Event.DROPPED] if lines else [])
    if lines:
        assert len(decided.alerts[0].lines) == 1 + lines


@pytest.mark.parametrize(
    ("wrong", "event"),
    [
        ({"late": True, "newest_good_at": NOON - timedelta(days=3)}, Event.LATE),
        ({"missed_at": NOON - timedelta(hours=1)}, Event.LATE),
        ({"damaged": True}, Event.FAILED),
        ({"proven_at": NOON - timedelta(days=14)}, Event.NOT_PROVEN),
    ],
)
def test_the_minutes_look_tells_once_again_after_a_day_and_when_it_is_well(wrong: dict[str, Any], event: Event) -> None:
    bad = replace(WELL, **wrong)
    first = rules.of_look(a_look(bad), Standing(), LIMITS)
    minute = rules.of_look(a_look(bad, at=NOON + timedelta(minutes=1)), first.standing, LIMITS)
    day = rules.of_look(a_look(bad, at=NOON + timedelta(days=1)), minute.standing, LIMITS)
    well = rules.of_look(a_look(replace(WELL, proven_at=NOON + timedelta(days=1))), day.standing, LIMITS)
    assert (told(first), told(minute), told(day), told(well)) == ([event], [], [event], [Event.RECOVERED])
    assert well.standing.troubles == {}


def test_a_missed_backup_that_was_made_up_for_is_not_told() -> None:
    made_up = replace(WELL, missed_at=NOON - timedelta(hours=12), newest_good_at=NOON - timedelta(hours=10))
    assert told(rules.of_look(a_look(made_up), Standing(), LIMITS)) == []


def test_a_database_without_any_backup_is_not_called_unproven() -> None:
    assert told(rules.of_look(a_look(DatabaseLook(name="new")), Standing(), LIMITS)) == []


def test_a_disk_at_the_limit_is_not_told_to_and_fro() -> None:
    standing, events = Standing(), []
    for minute, free in enumerate((11, 9, 10, 9, 11, 12)):
        decided = rules.of_look(a_look(at=NOON + timedelta(minutes=minute), disk_free=free), standing, LIMITS)
        standing = decided.standing
        events += [(free, event) for event in told(decided)]
    assert events == [(9, Event.DISK), (12, Event.RECOVERED)]


def test_an_audit_log_that_was_changed_is_told_once_for_each_number_of_places() -> None:
    standing, events = Standing(), []
    for day, faults in enumerate((0, 1, 1, 1, 3, 3)):
        decided = rules.of_look(a_look(at=NOON + timedelta(days=day), audit_faults=faults), standing, LIMITS)
        standing = Standing.from_json(decided.standing.to_json())
        events += [(day, event) for event in told(decided) if "audit log" in str(decided.alerts[0].title)]
    assert events == [(1, Event.FAILED), (4, Event.FAILED)]


def test_the_trouble_of_a_database_that_is_removed_is_forgotten_without_a_word() -> None:
    first = rules.of_look(a_look(replace(WELL, late=True)), Standing(), LIMITS)
    gone = rules.of_look(a_look(replace(WELL, name="blog")), first.standing, LIMITS)
    assert told(gone) == []
    assert gone.standing.troubles == {}


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-23T06:59+00:00", "2026-11-16T07:00+00:00"),
        ("2026-11-23T07:00+00:00", "2026-11-23T07:00+00:00"),
        ("2026-11-29T23:59+00:00", "2026-11-23T07:00+00:00"),
        ("2026-07-06T06:00+00:00", "2026-07-06T06:00+00:00"),
    ],
)
def test_the_letter_is_due_on_monday_at_eight_of_the_instance(now: str, due: str) -> None:
    assert letter.last_due(datetime.fromisoformat(now), ZoneInfo("Europe/Berlin")) == datetime.fromisoformat(due)


def test_the_letter_says_all_is_well_or_who_needs_somebody() -> None:
    assert str(letter.write(a_look()).title) == "Weekly letter: all is well"
    bad = letter.write(a_look(WELL, DatabaseLook(name="blog")))
    assert str(bad.title) == "Weekly letter: one database needs you"
    assert "blog: there is no good backup." in [str(line) for line in bad.lines]


def test_the_letter_is_written_once_a_week_also_over_a_restart(open_alerts: Any, clock: StandingClock) -> None:
    """The clock begins on a Sunday. The first Monday brings the first letter."""
    written = []
    for hours in (0, 1, 24, 1, 24, 24 * 6, 1):
        clock.forward(hours=hours)
        alerts: Alerts = open_alerts()
        alerts.look(lambda: a_look(replace(WELL, proven_at=clock()), at=clock()))
        written.append(alerts.unaddressed())
    assert written == [0, 0, 1, 1, 1, 2, 2]
    assert clock().tzinfo is UTC
