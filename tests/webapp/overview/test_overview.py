"""The overview: the sentence, what needs a person, the board; and its parts that ask again."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from storage.alerts.drafts import Draft
from storage.alerts.targets import TargetKind
from storage.backups.copies import Copy, CopyState
from storage.backups.record import BackupState
from storage.destinations.destination import parse_url
from storage.jobs.model import JobState
from storage.opening import Storage
from storage.secret import Secret
from tests.builders import a_backup, a_job
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep, keep_job, register

HTMX = {"HX-Request": "true"}


def title(page: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", found[1])).strip()


@pytest.fixture
def hub(storage: Storage) -> str:
    """The one database that is registered from the environment."""
    return storage.databases.all()[0].name


def hours_ago(clock: StandingClock, hours: float, database: str, state: BackupState = BackupState.COMPLETE):  # type: ignore[no-untyped-def]
    return a_backup(database, at=clock() - timedelta(hours=hours), state=state)


def test_when_all_is_well_it_says_so_with_the_oldest_good_backup(
    admin: Browser, storage: Storage, hub: str, clock: StandingClock
) -> None:
    register(storage, "wiki", "shop")
    for name, hours in ((hub, 2), ("wiki", 7), ("shop", 5)):
        keep(storage, hours_ago(clock, hours, name))
    page = admin.get("/").text
    assert title(page) == "All 3 databases are protected."
    assert "Oldest good backup 7\u00a0h old." in page
    assert "Nothing needs you" in page
    assert "Back up all now" in page


def test_what_needs_a_person_is_named_with_its_cause_and_one_thing_to_do(
    admin: Browser, storage: Storage, hub: str, clock: StandingClock
) -> None:
    register(storage, "shop")
    keep(storage, hours_ago(clock, 7, hub))
    keep(storage, hours_ago(clock, 59, "shop"))
    keep(storage, hours_ago(clock, 11, "shop", BackupState.FAILED))
    page = admin.get("/").text
    assert title(page) == "1 of 2 databases are protected. shop needs you."
    assert "<title>1 database needs you · pghaven</title>" in page
    assert "shop: the last backup failed" in page
    assert "PostgreSQL refused the password of pghaven." in page
    assert "FATAL:  password authentication failed" in page
    assert "Try again" in page


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (BackupState.DAMAGED, "the newest backup is damaged"),
        (BackupState.MISSING, "the file of the newest backup is missing"),
    ],
)
def test_a_damaged_newest_backup_names_the_newest_good_one(
    admin: Browser, storage: Storage, hub: str, clock: StandingClock, state: BackupState, words: str
) -> None:
    keep(storage, hours_ago(clock, 31, hub))
    keep(storage, hours_ago(clock, 7, hub, state))
    page = admin.get("/").text
    assert title(page) == f"{hub} is not protected and needs you."
    assert words in page
    assert "The newest good one is from" in page


def test_the_first_backups_are_not_a_trouble_while_they_run(admin: Browser, storage: Storage, hub: str) -> None:
    register(storage, "wiki")
    for name in (hub, "wiki"):
        keep_job(storage, a_job(database=name, state=JobState.WAITING, at=storage.clock()))
    page = admin.get("/").text
    assert title(page) == "The first backups are running."
    assert "Nothing needs you" in page
    assert 'http-equiv="refresh"' in page


def test_late_and_never_backed_up_databases_need_a_person(
    admin: Browser, storage: Storage, hub: str, clock: StandingClock
) -> None:
    register(storage, "shop")
    keep(storage, hours_ago(clock, 60, hub))
    page = admin.get("/").text
    assert title(page) == "0 of 2 databases are protected. 2 need you."
    assert f"{hub}: no backup for" in page
    assert "shop was never backed up" in page


def test_every_cell_of_the_strip_is_a_link_with_its_words(
    admin: Browser, storage: Storage, hub: str, clock: StandingClock
) -> None:
    record = keep(storage, a_backup(hub, at=clock() - timedelta(hours=7), seconds=133))
    keep(storage, a_backup(hub, at=clock() - timedelta(days=3), state=BackupState.FAILED))
    page = admin.get("/").text
    cells = re.findall(r'<a class="day s-(\w+)" href="([^"]+)" aria-label="([^"]+)"', page)
    assert len(cells) == 30
    assert cells[-1][0] == "complete"
    assert cells[-1][1] == f"/backups/{record.backup_id}"
    assert cells[-1][2].replace("\u00a0", " ") == "Sun 22 Nov: 1 complete, 10 kB, 2 min 13 s"
    assert [cell[0] for cell in cells[-4:-1]] == ["failed", "nothing", "nothing"]
    assert cells[0][0] == "before"
    assert cells[0][2] == "Sat 24 Oct: before the first backup"


def test_the_size_trend_is_a_line_without_javascript_and_numbers_for_uplot(
    admin: Browser, storage: Storage, hub: str, clock: StandingClock
) -> None:
    for days in (2, 1, 0):
        keep(storage, a_backup(hub, at=clock() - timedelta(days=days, hours=1)), b"x" * (5000 - 1000 * days))
    page = admin.get("/").text
    assert "<polyline points=" in page
    assert "[3000, 4000, 5000]" in page
    assert "uPlot" in page


def test_the_board_answers_204_until_something_on_it_changes(
    admin: Browser, storage: Storage, hub: str, clock: StandingClock
) -> None:
    keep(storage, hours_ago(clock, 7, hub))
    page = admin.get("/").text
    for part in ("board", "sentence"):
        [address] = re.findall(rf'hx-get="(/overview/{part}[^"]+)"', page)
        assert admin.get(address, headers=HTMX).status_code == 204
        clock.forward(minutes=5)
        assert admin.get(address, headers=HTMX).status_code == 204
    keep(storage, hours_ago(clock, 0, hub, BackupState.FAILED))
    assert admin.get(address, headers=HTMX).status_code == 200


def test_the_running_box_stops_asking_when_nothing_runs_and_wakes_the_others(
    admin: Browser, storage: Storage, hub: str
) -> None:
    job = keep_job(storage, a_job(database=hub, at=storage.clock()))
    [address] = re.findall(r'hx-get="(/overview/running[^"]+)"', admin.get("/").text)
    running = admin.get(address, headers=HTMX)
    assert 'hx-trigger="every 2s"' in running.text
    assert "43 %" in running.text
    assert "HX-Trigger" not in running.headers
    storage.jobs.save(job.with_(state=JobState.COMPLETED, ended_at=storage.clock()))
    ended = admin.get(address, headers=HTMX)
    assert "hx-trigger" not in ended.text
    assert ended.headers["HX-Trigger"] == "job-ended"


def test_an_account_that_may_not_take_backups_sees_no_button_for_it(user: Browser, admin: Browser) -> None:
    assert "Back up now" in admin.get("/").text
    may = user.post("/backups", data={"database": "nothing-like-it"}).status_code != 403
    assert ("Back up now" in user.get("/").text) == may


def test_the_overview_speaks_chinese(admin: Browser, storage: Storage, hub: str, clock: StandingClock) -> None:
    keep(storage, hours_ago(clock, 7, hub))
    page = admin.get("/", headers={"Accept-Language": "zh-CN"}).text
    assert '<html lang="zh-Hans"' in page
    assert "11月22日" in page


def test_a_job_that_follows_another_at_once_wakes_the_other_parts(admin: Browser, storage: Storage, hub: str) -> None:
    job = keep_job(storage, a_job(database=hub, at=storage.clock()))
    [address] = re.findall(r'hx-get="(/overview/running[^"]+)"', admin.get("/").text)
    assert "HX-Trigger" not in admin.get(address, headers=HTMX).headers
    storage.jobs.save(job.with_(state=JobState.COMPLETED, ended_at=storage.clock()))
    keep_job(storage, a_job(database="wiki", at=storage.clock() + timedelta(seconds=1)))
    assert admin.get(address, headers=HTMX).headers["HX-Trigger"] == "job-ended"


def test_a_page_left_open_bears_that_the_last_database_goes(
    admin: Browser, storage: Storage, hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = re.findall(r'hx-get="(/overview/[^"]+)"', admin.get("/").text)
    assert len(asked) == 2
    monkeypatch.setattr(storage.databases, "all", list)
    for address in asked:
        assert admin.get(address, headers=HTMX).status_code == 200, address


def test_nothing_that_can_be_focused_is_lost_when_a_part_asks_again(admin: Browser, storage: Storage, hub: str) -> None:
    """htmx gives the focus back to what has an id."""
    keep_job(storage, a_job(database=hub, at=storage.clock()))
    for path in ("/overview/running", "/jobs"):
        part = admin.get(path, headers=HTMX).text
        focusable = re.findall(r"<(?:a|button|summary|input)\b[^>]*>", part)
        assert focusable
        assert [one for one in focusable if " id=" not in one] == [], path


def test_copies_and_alerts_that_do_not_arrive_need_a_person(
    admin: Browser, user: Browser, storage: Storage, hub: str, clock: StandingClock, tmp_path: Path
) -> None:
    storage.destinations.add(parse_url("away", str(tmp_path)), by="ana")
    failed = Copy(destination="away", state=CopyState.FAILED, at=clock(), tries=2)
    older = keep(storage, hours_ago(clock, 9, hub).with_copy(failed))
    newest = keep(storage, hours_ago(clock, 2, hub).with_copy(failed))
    page = admin.get("/").text
    assert f"The newest backup has no good copy there: {hub}." in page and "Nothing needs you" not in page
    assert "is protected." in title(page), "the backup itself is as good as it was"
    assert "Look at the destinations" in page and "Look at the destinations" not in user.get("/").text
    shown = admin.get(f"/backups/{newest.backup_id}").text
    assert "2 tries so far." in shown and "by itself" in shown
    storage.backups.catalog.save(newest.with_copy(failed.with_(state=CopyState.COMPLETE)))
    assert older.copies and "Nothing needs you" in admin.get("/").text, "of the newest alone"
    hook = Draft(kind=TargetKind.WEBHOOK, name="hook", url=Secret("http://127.0.0.1:1/in"))
    storage.alerts.send_test(storage.alerts.add(hook, {}, by="ana").target_id)
    page = admin.get("/").text
    assert "The last one did not reach hook." in page and "Nothing needs you" not in page


def test_an_admin_is_told_that_nobody_is_told_until_somebody_is(
    admin: Browser, user: Browser, storage: Storage, hub: str, clock: StandingClock
) -> None:
    keep(storage, hours_ago(clock, 2, hub))
    hint = "Nobody is told about failures yet."
    assert hint in admin.get("/").text
    assert 'href="/alerts"' in admin.get("/").text
    assert hint not in user.get("/").text
    draft = Draft(kind=TargetKind.WEBHOOK, name="hook", url=Secret("https://alerts.example/in"))
    storage.alerts.add(draft, {}, by="ana")
    assert hint not in admin.get("/").text
