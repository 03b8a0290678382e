"""The pages of schedules: what they say of the next and the last runs, and what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from storage.backups.record import BackupKind
from storage.jobs.model import JobKind, JobState
from storage.opening import Storage
from tests.builders import a_backup
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep, register

HTMX = {"HX-Request": "true"}
TWO = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
"""02:00 in Berlin, the night after the clock's day."""


@pytest.fixture
def shop(storage: Storage) -> Storage:
    register(storage, "shop")
    storage.schedules.make_missing()
    return storage


def typed(**changes: str) -> dict[str, str]:
    return {"preset": "daily", "time": "02:00", "cron": "", "zone": "Europe/Berlin"} | changes


def test_a_database_says_when_it_is_backed_up_next(shop: Storage, admin: Browser) -> None:
    page = admin.get("/databases/shop/schedule").text
    assert "shop: Every day at 02:00" in page and "Europe/Berlin" in page
    assert "Mon 23 Nov, 02:00" in page and "UTC+01:00" in page
    for address in ("/databases/shop", "/schedules", "/"):
        assert "Mon 23 Nov, 02:00" in admin.get(address).text


def test_it_says_so_in_chinese(shop: Storage, admin: Browser) -> None:
    admin.set_cookie("language", "zh_Hans")
    page = admin.get("/databases/shop/schedule").text
    assert "shop：每天 02:00" in page and "备份计划" in page and "11月23日" in page


@pytest.mark.parametrize(
    ("form", "expression"),
    [
        (typed(preset="weekdays", time="01:30"), "30 1 * * 1-5"),
        (typed(preset="hourly", time="00:15"), "15 * * * *"),
        (typed(preset="monthly", time="23:05"), "5 23 1 * *"),
        (typed(preset="custom", cron=" 0  3 * * 6 "), "0 3 * * 6"),
    ],
)
def test_a_schedule_is_changed(shop: Storage, admin: Browser, form: dict[str, str], expression: str) -> None:
    answer = admin.post("/databases/shop/schedule", data=form | {"zone": "Asia/Shanghai"})
    assert answer.status_code == 303
    changed = shop.schedules.of("shop")
    assert (changed.expression, changed.zone, changed.changed_by) == (expression, "Asia/Shanghai", "ana")
    page = admin.get("/databases/shop/schedule").text
    assert "Asia/Shanghai" in page
    assert f'<option value="{form["preset"]}" selected' in page


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (typed(preset="custom", cron="0 2 * *"), "is not a schedule of five fields"),
        (typed(preset="custom", cron="0 2 31 2 *"), "is not a schedule"),
        (typed(time="25:00"), "is not a time of day"),
        (typed(zone="Mars/Olympus"), "is not a time zone"),
        (typed(preset="sometimes"), "Choose how often"),
        ({}, "Choose how often"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused_beside_its_field(
    shop: Storage, admin: Browser, form: dict[str, str], why: str
) -> None:
    answer = admin.post("/databases/shop/schedule", data=form)
    assert answer.status_code == 422 and why in answer.text and "Nothing was changed." in answer.text
    assert shop.schedules.of("shop").expression == "0 2 * * *"


def test_the_preview_shows_the_next_runs_and_what_the_clocks_do(
    shop: Storage, admin: Browser, clock: StandingClock
) -> None:
    clock.moment = datetime(2027, 3, 26, 12, 0, tzinfo=UTC)
    admin.sign_in("ana")
    form = typed(time="02:30")
    part = admin.post("/databases/shop/schedule/preview", data=form, headers=HTMX).text
    assert part.count("<li") == 5 and "<html" not in part
    assert "Sun 28 Mar, 03:00" in part and "The clocks go forward over its time" in part
    page = admin.post("/databases/shop/schedule/preview", data=form).text
    assert "<html" in page and "Sun 28 Mar, 03:00" in page
    assert shop.schedules.of("shop").expression == "0 2 * * *"


def test_a_schedule_is_paused_and_goes_on(shop: Storage, admin: Browser) -> None:
    assert admin.post("/databases/shop/schedule/pause", data={"until": "2026-12-01"}).status_code == 303
    page = admin.get("/databases/shop/schedule").text
    assert "shop is paused until" in page and "Tue 1 Dec, 00:00</time>" in page and "Tue 1 Dec, 02:00" in page
    assert admin.post("/databases/shop/schedule/resume").status_code == 303
    assert "shop: Every day at 02:00" in admin.get("/databases/shop/schedule").text


@pytest.mark.parametrize("until", ["", "2026-11-01", "soon"])
def test_a_pause_until_no_later_day_is_refused(shop: Storage, admin: Browser, until: str) -> None:
    answer = admin.post("/databases/shop/schedule/pause", data={"until": until})
    assert answer.status_code == 422 and "Nothing was changed." in answer.text


def test_what_is_changed_is_in_the_audit_log(shop: Storage, admin: Browser) -> None:
    admin.post("/databases/shop/schedule", data=typed(time="03:00"))
    admin.post("/databases/shop/schedule/pause", data={"until": "2026-12-01"})
    admin.post("/databases/shop/schedule/resume")
    text = "".join(path.read_text() for path in (shop.settings.data_folder / "metadata" / "audit").glob("*.jsonl"))
    for action in ("schedule_changed", "schedule_paused", "schedule_resumed"):
        assert f'"{action}"' in text


def test_a_user_sees_schedules_and_changes_none(shop: Storage, user: Browser) -> None:
    page = user.get("/databases/shop/schedule").text
    assert "Mon 23 Nov, 02:00" in page and 'name="preset"' not in page
    assert user.post("/databases/shop/schedule", data=typed()).status_code == 403


def test_there_is_no_schedule_of_no_database(shop: Storage, admin: Browser) -> None:
    assert admin.get("/databases/elsewhere/schedule").status_code == 404


def test_a_slot_brings_a_job_that_is_the_schedules(shop: Storage, admin: Browser, clock: StandingClock) -> None:
    clock.moment = TWO + timedelta(seconds=3)
    shop.scheduler.look()
    shop.scheduler.look()
    admin.sign_in("ana")
    (job,) = shop.jobs.active("shop", JobKind.TAKE)
    assert (job.requested_by, job.parameters["slot"]) == ("schedule", "2026-11-23T01:00:00.000Z")
    assert job.parameters["kind"] == BackupKind.SCHEDULED
    page = admin.get("/databases/shop/schedule").text
    assert f"/jobs/{job.job_id}" in page and "Waiting" in page
    assert "Waiting, place 1 in the queue." in admin.get("/jobs").text
    assert "the schedule" in admin.get(f"/jobs/{job.job_id}").text


def test_a_slot_of_a_crash_finds_the_job_that_was_asked_for(shop: Storage, clock: StandingClock) -> None:
    clock.moment = TWO
    first, again = shop._ask_for_slot("shop", TWO), shop._ask_for_slot("shop", TWO)
    assert first == again and first.busy_since is None
    (job,) = shop.jobs.active("shop")
    shop.jobs.save(job.with_(state=JobState.INTERRUPTED, ended_at=TWO))
    assert shop._ask_for_slot("shop", TWO) == first


def test_a_backup_by_hand_that_runs_already_fills_the_slot(shop: Storage, clock: StandingClock) -> None:
    by_hand, _new = shop.backups.take("shop", by="ana")
    clock.moment = TWO
    shop.scheduler.look()
    (slot,) = shop.schedules.slots("shop").newest(5, now=TWO)
    assert slot.job_id == by_hand.job_id and len(shop.jobs.active("shop")) == 1


def test_one_without_logs_does_not_fill_it(shop: Storage, clock: StandingClock) -> None:
    shop.backups.take("shop", no_logs=True, by="ana")
    clock.moment = TWO
    shop.scheduler.look()
    assert len(shop.jobs.active("shop")) == 2


def test_who_asks_by_hand_while_the_scheduled_one_waits_gets_that_one(shop: Storage, clock: StandingClock) -> None:
    clock.moment = TWO
    shop.scheduler.look()
    (scheduled,) = shop.jobs.active("shop")
    assert shop.backups.take("shop", by="ana") == (scheduled, False)


def test_a_night_at_which_the_one_before_still_runs_is_skipped_and_says_so(
    shop: Storage, admin: Browser, clock: StandingClock
) -> None:
    keep(shop, a_backup("shop", at=clock()))
    clock.moment = TWO
    shop.scheduler.look()
    clock.forward(days=1)
    shop.scheduler.look()
    admin.sign_in("ana")
    page = admin.get("/databases/shop/schedule").text
    assert "Skipped" in page and "The backup before was still running, for 24\N{NO-BREAK SPACE}h." in page
    assert "1 skipped" in admin.get("/").text and "1 skipped" in admin.get("/history").text


def test_nights_without_pghaven_are_drawn_as_missed(shop: Storage, admin: Browser, clock: StandingClock) -> None:
    keep(shop, a_backup("shop", at=clock()))
    clock.moment = TWO + timedelta(days=3, hours=7)
    shop.scheduler.look()
    admin.sign_in("ana")
    page = admin.get("/databases/shop/schedule").text
    assert page.count("pghaven did not run then.") == 3 and "Made up for at" in page
    board = admin.get("/databases/shop").text
    assert board.count('class="day s-missed" href') == 3 and "1 missed" in board
    assert admin.get("/history?database=shop").text.count("1 missed</span>") == 3
