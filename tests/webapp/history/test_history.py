"""The history: which backups it lists, how it is filtered and paged, and its addresses."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from storage.backups.gaps import longest_gap
from storage.backups.record import BackupState
from storage.opening import Storage
from tests.builders import NOON, a_backup
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser
from tests.webapp.history.reading import listed
from tests.webapp.seeding import keep, register
from webapp.history.query import Query


@pytest.fixture
def months(storage: Storage, clock: StandingClock) -> None:
    """One backup a day of two databases for 100 days; the second failed on every tenth."""
    register(storage, "wiki", "shop")
    for days in range(100):
        at = clock() - timedelta(days=days, hours=2)
        keep(storage, a_backup("wiki", at=at))
        keep(
            storage,
            a_backup(
                "shop",
                at=at + timedelta(minutes=30),
                state=BackupState.FAILED if days % 10 == 9 else BackupState.COMPLETE,
            ),
        )


def h1(page: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    assert found
    return found[1].strip()


def test_thirty_days_are_shown_newest_first_and_grouped_by_day(admin: Browser, months: None) -> None:
    page = admin.get("/history").text
    assert h1(page) == "60 backups in 30 days"
    assert "3 failed" in page
    days = re.findall(r'<h3 id="d([\d-]+)"', page)
    assert days[0] == "2026-11-22"
    assert days == sorted(days, reverse=True)
    assert [name for name, _ in listed(page)][:4] == ["shop", "wiki", "shop", "wiki"]


@pytest.mark.parametrize(("days", "total"), [(7, 14), (30, 60), (90, 180), (365, 200)])
def test_the_span_can_be_chosen(admin: Browser, months: None, days: int, total: int) -> None:
    page = admin.get(f"/history?days={days}").text
    assert h1(page) == f"{total} backups in {days} days"
    cells = page.count('<a class="day ')
    assert cells == 3 * (53 if days == 365 else days)  # wiki, shop, and the one of the environment


def test_every_backup_of_a_span_is_on_exactly_one_page(admin: Browser, storage: Storage, months: None) -> None:
    seen: list[str] = []
    for page in (1, 2, 3, 4):
        seen += re.findall(
            r'class="quiet-link" href="/backups/([^"]+)"', admin.get(f"/history?days=90&page={page}").text
        )
    assert len(seen) == len(set(seen)) == 180
    assert seen == sorted(seen, key=lambda found: storage.backups.catalog.get(found).started_at, reverse=True)


def test_a_page_that_is_not_there_is_the_last_one(admin: Browser, months: None) -> None:
    assert "Page 2 of 2" in admin.get("/history?page=99").text


def test_database_and_result_narrow_the_list(admin: Browser, months: None) -> None:
    failed = listed(admin.get("/history?database=shop&result=failed").text)
    assert failed == [("shop", "Failed")] * 3
    assert listed(admin.get("/history?database=wiki&result=failed").text) == []
    assert "No backup matches." in admin.get("/history?database=wiki&result=failed").text


def test_a_cell_leads_to_its_day(admin: Browser, months: None) -> None:
    page = admin.get("/history?from=2026-11-13&database=shop").text
    assert h1(page) == "1 backup on Fri 13 Nov"
    assert listed(page) == [("shop", "Failed")]
    assert "No backup on this day." in admin.get("/history?from=2025-11-13").text


def test_words_that_mean_nothing_in_an_address_are_passed_over(admin: Browser, months: None) -> None:
    page = admin.get("/history?days=31&page=-4&result=lost&from=yesterday&until=2026-02-31")
    assert page.status_code == 200
    assert h1(page.text) == "60 backups in 30 days"


def test_a_database_that_nobody_knows_is_said_to_be_unknown(admin: Browser, months: None) -> None:
    page = admin.get("/history?database=zzz").text
    assert h1(page) == "There is no database zzz."
    assert not listed(page)


def test_hours_without_a_backup_are_no_gap_worth_a_sentence(
    admin: Browser, storage: Storage, clock: StandingClock
) -> None:
    keep(storage, a_backup("shop", at=clock() - timedelta(hours=3)))
    assert "longest time without" not in admin.get("/history").text
    keep(storage, a_backup("wiki", at=clock() - timedelta(hours=30)))
    assert "The longest time without a good backup is" in admin.get("/history").text


def test_a_filter_is_answered_with_the_part_that_changes(admin: Browser, months: None) -> None:
    part = admin.get("/history?database=shop", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert part.lstrip().startswith('<div class="flow" id="history">')


def test_backups_of_a_database_that_was_removed_are_still_listed(admin: Browser, storage: Storage) -> None:
    keep(storage, a_backup("gone", at=storage.clock()))
    page = admin.get("/history").text
    assert listed(page) == [("gone", "Complete")]
    assert "<option>gone</option>" in page
    assert 'href="/databases/gone"' not in page


def test_before_the_first_backup_it_says_where_history_starts(admin: Browser) -> None:
    assert "History starts with the first backup." in admin.get("/history").text


def test_the_csv_holds_the_whole_view_and_no_formula(admin: Browser, storage: Storage, months: None) -> None:
    keep(storage, a_backup("shop", at=storage.clock(), taken_by="=cmd()"))
    answer = admin.get("/history.csv?database=shop&days=90")
    lines = answer.text.splitlines()
    assert len(lines) == 1 + 91
    assert lines[1].endswith(",'=cmd()")
    assert answer.mimetype == "text/csv"


def test_an_address_says_only_what_is_unusual() -> None:
    assert Query().address() == {}
    query = Query.read({"days": "90", "database": "shop", "from": "2026-11-13", "page": "3"})
    assert query.address() == {"days": 90, "database": "shop", "from": date(2026, 11, 13)}
    assert Query.read({key: str(value) for key, value in query.address(page=2).items()}).page == 2


def test_the_longest_gap_reaches_to_now_when_no_good_backup_came_since() -> None:
    records = [a_backup("shop", at=NOON - timedelta(hours=hours)) for hours in (100, 76, 59)]
    records += [a_backup("wiki", at=NOON - timedelta(hours=hours)) for hours in (50, 20, 1)]
    gap = longest_gap(records, since=NOON - timedelta(days=30), now=NOON)
    assert gap is not None
    assert (gap.database, gap.length, gap.still_open) == ("shop", timedelta(hours=59), True)
    closed = longest_gap(records[3:], since=NOON - timedelta(days=30), now=NOON)
    assert closed is not None
    assert (closed.length, closed.still_open) == (timedelta(hours=30), False)
    assert longest_gap([], since=NOON, now=NOON) is None


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2026-11-31", "yesterday"])
@pytest.mark.parametrize("name", ["from", "until"])
def test_a_day_that_cannot_be_is_passed_over(admin: Browser, months: None, name: str, day: str) -> None:
    for path in ("/history", "/history.csv"):
        answer = admin.get(path, query_string={name: day})
        assert answer.status_code == 200, path
    assert h1(admin.get("/history", query_string={name: day}).text) == "60 backups in 30 days"


def test_days_the_wrong_way_round_are_turned(admin: Browser, months: None) -> None:
    page = admin.get("/history?from=2026-11-20&until=2026-11-18").text
    assert h1(page) == "6 backups from Wed 18 Nov to Fri 20 Nov"


def test_a_filter_keeps_the_days_that_were_chosen(admin: Browser, months: None) -> None:
    page = admin.get("/history?from=2026-11-18&until=2026-11-20").text
    [form] = re.findall(r'<form class="filters".*?</form>', page, re.DOTALL)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    assert fields == {"from": "2026-11-18", "until": "2026-11-20"}
    assert h1(admin.get("/history", query_string=fields | {"database": "wiki"}).text).startswith("3 backups from")
