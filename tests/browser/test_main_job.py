"""The main job as a person does it: sign in, take a backup, watch it end, restore it; in two languages, and without
JavaScript. Selectors name what a control does and not what it says, so that the same steps go in every language."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DATABASE, NAME, PASSWORD, Pghaven, Visit, Watched

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

TAKE = f"main form:has(input[name=database][value='{DATABASE}']):not(:has(input[name=no_logs])) button[type=submit]"
OPEN_BACKUP = "main .page-head a.button[href*='/backups/']"
OPEN_RESTORE = "main .page-head a.button[href*='/restores/']"
PLAN = "main a[href*='/restores/new']"
CONFIRM = ".action-bar a[data-dialog=confirm]"


def take_a_backup(page: Page, pghaven: Pghaven) -> None:
    page.goto(f"{pghaven.url}databases/{DATABASE}")
    page.locator(TAKE).first.click()
    page.wait_for_url("**/jobs/*")


def watch_to_the_end(page: Page, result: str) -> None:
    expect(page.locator(result)).to_be_visible(timeout=60_000)
    expect(page.locator("main progress")).to_have_count(0)


def asks_for_nothing_more(watched: Watched, *, seconds: float = 5) -> None:
    watched.page.wait_for_timeout(1000)
    before = len(watched.asked)
    watched.page.wait_for_timeout(seconds * 1000)
    assert watched.asked[before:] == []


def reload_to_the_end(page: Page, result: str) -> None:
    deadline = time.monotonic() + 60
    while page.locator(result).count() == 0:
        assert time.monotonic() < deadline, "the job did not end"
        page.wait_for_timeout(700)
        page.goto(page.url)


def open_plan(page: Page) -> None:
    page.locator(OPEN_BACKUP).click()
    page.wait_for_url("**/backups/*")
    page.locator(PLAN).first.click()
    page.wait_for_url("**/restores/new*")


def test_signing_out_and_in_again(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    page = visit().page
    page.goto(f"{pghaven.url}history")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    page.fill("input[name=name]", NAME)
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/history")
    page.goto(pghaven.url)
    expect(page.locator("h1")).to_contain_text("protected")
    page.locator("form[action$='/logout'] button").evaluate("button => button.form.requestSubmit(button)")
    page.wait_for_url("**/login**")
    page.goto(pghaven.url)
    expect(page).to_have_url(re.compile("/login"))


@pytest.mark.parametrize(
    ("locale", "restored", "question"),
    [
        ("en", "Data restored", "Restore the data from the backup of .+ This overwrites the present data."),
        ("zh-CN", "数据恢复成功", "确定要从备份.+恢复数据吗？此操作将覆盖当前数据。"),
    ],
    ids=["English", "Chinese"],
)
def test_a_backup_is_taken_watched_and_restored(
    pghaven: Pghaven, visit: Visit, signed_in: Any, locale: str, restored: str, question: str
) -> None:
    watched = visit(locale=locale, state=signed_in)
    page = watched.page

    take_a_backup(page, pghaven)
    assert (page.get_attribute("html", "lang") or "").split("-")[0] == locale.split("-")[0]
    watch_to_the_end(page, OPEN_BACKUP)
    asks_for_nothing_more(watched)
    newest, *_ = pghaven.cli("backups", "list", DATABASE)
    assert newest["state"] == "complete"

    open_plan(page)
    name = f"copy_{locale[:2]}"
    page.fill("#into", name)
    page.press("#into", "Tab")
    expect(page.locator(CONFIRM)).to_have_attribute("href", re.compile(f"into={name}"))
    page.locator(CONFIRM).click()
    page.locator("dialog#confirm[open] form.form button[type=submit]").click()
    page.wait_for_url("**/jobs/*")
    watch_to_the_end(page, OPEN_RESTORE)
    page.locator(OPEN_RESTORE).click()
    expect(page.locator("h1")).to_have_text(restored)
    expect(page.locator("main")).to_contain_text(name)

    page.goto(f"{pghaven.url}backups/{newest['id']}")
    page.locator(PLAN).first.click()
    page.locator("#mode-replace").check()
    expect(page.locator(CONFIRM)).to_have_attribute("href", re.compile("mode=replace"))
    page.locator(CONFIRM).click()
    dialog = page.locator("dialog#confirm[open]")
    expect(dialog).to_contain_text(re.compile(question))
    dialog.locator("input[name=typed]").fill(DATABASE)
    dialog.locator("form.form button[type=submit]").click()
    page.wait_for_url("**/jobs/*")
    watch_to_the_end(page, OPEN_RESTORE)
    page.locator(OPEN_RESTORE).click()
    expect(page.locator("h1")).to_have_text(restored)
    expect(page.locator("main")).to_contain_text(f"{DATABASE}_before_")

    last, before, *_ = pghaven.cli("restores", "list")
    assert (last["mode"], last["state"], before["mode"], before["target"]) == ("replace", "completed", "new", name)


def test_a_wrong_name_replaces_nothing(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    watched = visit(state=signed_in, scripts=False)
    page = watched.page
    newest, *_ = pghaven.cli("backups", "list", DATABASE)
    known = len(pghaven.cli("restores", "list"))
    page.goto(f"{pghaven.url}backups/{newest['id']}")
    page.locator(PLAN).first.click()
    page.locator("#mode-replace").check()
    page.locator("#choices noscript button, #choices button[type=submit]").first.click()
    page.locator(CONFIRM).click()
    page.locator("main section input[name=typed]").fill("something else")
    page.locator("main section form.form button[type=submit]").click()
    expect(page.locator("main")).to_contain_text("Nothing was changed.")
    # Chromium reports every answer that is a refusal; this one is meant.
    watched.complaints = [complaint for complaint in watched.complaints if "422" not in complaint]
    assert len(pghaven.cli("restores", "list")) == known


def test_without_javascript_a_backup_is_taken_and_restored(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    page = visit(state=signed_in, scripts=False).page
    take_a_backup(page, pghaven)
    reload_to_the_end(page, OPEN_BACKUP)
    open_plan(page)
    page.fill("#into", "copy_plain")
    page.locator("#choices noscript button, #choices button[type=submit]").first.click()
    page.locator(CONFIRM).click()
    page.wait_for_url("**/restores/confirm*")
    page.locator("main section form.form button[type=submit]").click()
    page.wait_for_url("**/jobs/*")
    reload_to_the_end(page, OPEN_RESTORE)
    page.locator(OPEN_RESTORE).click()
    expect(page.locator("h1")).to_have_text("Data restored")
    assert pghaven.cli("restores", "list")[0]["target"] == "copy_plain"
