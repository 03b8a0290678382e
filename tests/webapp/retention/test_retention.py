"""The pages of what is kept: the plan before it is done, the policy, a run by hand."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from storage.backups.record import BackupState
from storage.jobs.model import JobKind, JobState
from storage.opening import Storage
from tests.builders import a_backup
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep, register
from tests.webapp.test_language import CHINESE, _english

USUAL = {"days": "30", "minimum": "3", "snapshot_days": "14"}


@pytest.fixture
def shop(storage: Storage) -> list[str]:
    """Backups of shop, newest first: four that stay, two that have expired."""
    register(storage, "shop")
    days = (1, 2, 3, 29, 31, 40)
    return [keep(storage, a_backup(at=storage.clock() - timedelta(days=day))).backup_id for day in days]


def audited(storage: Storage, action: str) -> list[tuple[str, str]]:
    return [(event.subject, event.actor) for event in storage.audit.newest_first() if event.action == action]


def rows(page: str) -> list[tuple[str, str]]:
    """(what is decided, why) of each line."""
    found = re.findall(r'<td class="nowrap">(.*?)</td>\s*<td class="wide">(.*?)</td>', page, re.DOTALL)
    return [(re.sub(r"<.*?>", "", decision).strip(), why.strip()) for decision, why in found]


def test_the_page_says_what_the_next_run_will_do_before_it_does_it(
    user: Browser, storage: Storage, shop: list[str]
) -> None:
    page = user.get("/databases/shop/retention").text
    assert "2 backups go in the next run" in page
    decisions = rows(page)
    assert [decision for decision, _ in decisions] == ["Expires"] * 2 + ["Kept"] * 4
    assert decisions[1][1] == "Older than 30 days."
    assert "One of the 3 that always stay." in decisions[2][1]
    assert storage.trash.all() == []


def test_the_page_of_a_database_says_it_in_short(user: Browser, shop: list[str]) -> None:
    page = user.get("/databases/shop").text
    assert "/databases/shop/retention" in page
    assert "2 backups, to the trash for 7 days" in page


def test_while_backups_are_failing_the_page_says_that_nothing_goes(
    user: Browser, storage: Storage, shop: list[str]
) -> None:
    for hours in (1, 2):
        keep(storage, a_backup(at=storage.clock() - timedelta(hours=hours), state=BackupState.FAILED))
    page = user.get("/databases/shop/retention").text
    assert "Backups of shop are failing. Nothing goes before one succeeds." in page
    assert "Nothing goes in the next run" in page
    assert "all while backups are failing" in user.get("/databases/shop").text


def test_a_policy_is_changed_and_the_page_shows_what_it_will_do(
    admin: Browser, storage: Storage, shop: list[str]
) -> None:
    changed = {**USUAL, "days": "1", "keep_last": "5", "most_gb": "0.5"}
    response = admin.post("/databases/shop/retention", data=changed, follow_redirects=True)
    assert response.status_code == 200 and "1 backup goes in the next run" in response.text
    policy = storage.retention.policies.of("shop")
    assert (policy.days, policy.keep_last, policy.most_bytes, policy.changed_by) == (1, 5, 500_000_000, "ana")
    assert audited(storage, "retention_changed") == [("shop", "ana")]
    assert 'value="0.5"' in response.text


def test_an_empty_number_of_days_is_for_ever(admin: Browser, storage: Storage, shop: list[str]) -> None:
    page = admin.post("/databases/shop/retention", data={**USUAL, "days": ""}, follow_redirects=True).text
    assert storage.retention.policies.of("shop").days is None
    assert "Nothing goes in the next run" in page


@pytest.mark.parametrize(
    ("field", "value"),
    [("days", "0"), ("days", "-3"), ("days", "many"), ("minimum", "0"), ("minimum", ""), ("daily", "1e3"),
     ("snapshot_days", "99999999"), ("most_gb", "nan"), ("most_gb", "-1"), ("most_gb", "much"), ("days", "٣")],
)  # fmt: skip
def test_a_number_that_cannot_be_is_refused_at_its_field_and_changes_nothing(
    admin: Browser, storage: Storage, shop: list[str], field: str, value: str
) -> None:
    response = admin.post("/databases/shop/retention", data={**USUAL, field: value})
    assert response.status_code == 422
    assert f'id="{field}-why"' in response.text and "Nothing was changed." in response.text
    assert storage.retention.policies.of("shop").changed_at is None


def test_a_run_by_hand_shows_what_goes_and_takes_that_alone(admin: Browser, storage: Storage, shop: list[str]) -> None:
    page = admin.get("/databases/shop/retention/run").text
    assert "Move 2 backups of shop to the trash?" in page
    shown = re.findall(r'name="backup" value="([^"]+)"', page)
    assert shown == shop[4:]
    later = keep(storage, a_backup(at=storage.clock() - timedelta(days=50)))
    response = admin.post("/databases/shop/retention/run", data={"backup": shown})
    assert response.status_code == 303 and "/jobs/" in response.location
    [job] = storage.jobs.active("shop", JobKind.PRUNE)
    assert storage.runner.run_here(job).state is JobState.COMPLETED
    assert {record.backup_id for record in storage.trash.all()} == set(shown)
    assert storage.backups.catalog.get(later.backup_id).good
    page = admin.get(response.location).text
    assert "2 backups were moved to the trash." in page and 'href="/trash"' in page


def test_a_run_by_hand_that_has_nothing_to_do_asks_nothing(admin: Browser, storage: Storage) -> None:
    register(storage, "shop")
    keep(storage, a_backup(at=storage.clock()))
    page = admin.get("/databases/shop/retention/run").text
    assert "Nothing has expired now" in page and 'method="post" action="/databases' not in page


def test_without_any_backup_the_page_says_so(user: Browser, storage: Storage) -> None:
    register(storage, "shop")
    assert "There is nothing to keep yet" in user.get("/databases/shop/retention").text


def test_a_user_reads_and_changes_nothing(user: Browser, shop: list[str]) -> None:
    page = user.get("/databases/shop/retention").text
    assert "readonly" in page and "/retention/run" not in page
    for path in ("/databases/shop/retention", "/databases/shop/retention/run", f"/backups/{shop[0]}/trash"):
        assert user.post(path).status_code == 403


def test_a_database_that_there_is_not_has_no_page(admin: Browser) -> None:
    assert admin.get("/databases/none/retention").status_code == 404
    assert admin.post("/databases/none/retention", data=USUAL).status_code == 404
    assert admin.post("/databases/none/retention/run").status_code == 404


def test_the_pages_have_no_english_sentence_in_chinese(admin: Browser, storage: Storage, shop: list[str]) -> None:
    storage.trash.discard(shop[5], by="ana")
    storage.trash.discard(shop[4], by="")
    for path in (
        "/databases/shop/retention", "/databases/shop/retention/run", "/databases/shop", "/trash", "/trash/empty",
        f"/trash/{shop[5]}/erase", f"/backups/{shop[5]}", f"/backups/{shop[0]}",
    ):  # fmt: skip
        assert _english(admin.get(path, headers=CHINESE).text) == [], path
