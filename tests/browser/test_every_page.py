"""Every page at the width of a phone and of a desk, in both languages, light and dark: nothing sticks out sideways,
everything has a name and can be told from its background, the keyboard keeps its place, and the browser has nothing to
complain about."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import DATABASE, Pghaven, Visit

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

STICKS_OUT = """() => [...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .filter(one => !one.closest('.unseen, .log, pre, code, .skip') && one.checkVisibility())
    .map(one => one.outerHTML.slice(0, 120))"""


RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
"""Contrast, names of fields, buttons and pictures, order of headings, room to hit: what axe can find by itself."""


def addresses(pghaven: Pghaven, page: Page) -> list[str]:
    backup, *_ = pghaven.cli("backups", "list", DATABASE)
    if not backup["proof"]:
        pghaven.cli("backups", "prove", backup["id"])
    job, *_ = pghaven.cli("jobs", "list")
    page.goto(f"{pghaven.url}databases/hub/logs/sessions")
    session = (page.locator("main tbody th a").first.get_attribute("href") or "").lstrip("/")
    return [
        "",
        "databases",
        "databases/new",
        f"databases/{DATABASE}",
        f"databases/{DATABASE}/status",
        f"databases/{DATABASE}/tables",
        f"databases/{DATABASE}/tables/public.incremental_update_histories",
        f"backups/{backup['id']}",
        f"backups/{backup['id']}?all=1",
        f"backups/{backup['id']}/proof",
        f"restores/new?backup={backup['id']}",
        f"restores/new?backup={backup['id']}&mode=replace",
        f"restores/new?backup={backup['id']}&mode=merge",
        f"restores/confirm?backup={backup['id']}&mode=replace",
        "restores",
        f"databases/{DATABASE}/retention",
        f"databases/{DATABASE}/retention/run",
        f"databases/{DATABASE}/schedule",
        "schedules",
        "trash",
        "trash/empty",
        "history",
        "history?days=7",
        "history?days=365",
        "jobs",
        f"jobs/{job['id']}",
        "account",
        "accounts",
        "accounts/ana",
        "accounts/ana/link?database=hub",
        "databases/hub",
        "databases/hub/logs",
        "databases/hub/logs?session=none",
        "databases/hub/logs/pictures",
        "databases/hub/logs/sessions",
        session,
        f"{session}&sequence=1",
        "databases/hub/logs/probes",
        "databases/hub/logs/cleanup",
        "databases/hub/logs/cleanup?days=30",
        "databases/hub/logs/generator",
        f"databases/{DATABASE}/logs/generator",
        "databases/hub/tables/public.message_request?where=status_code&op=eq&value=429",
        "destinations",
        "alerts",
        "alerts/new?kind=mail",
        "alerts/new?kind=webhook",
        "alerts/new?kind=service",
        "alerts/migration",
        "backups/upload",
        "audit",
        "audit/verify",
        "system",
        "system/databases/hub",
    ]


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_no_page_sticks_out_sideways(pghaven: Pghaven, visit: Visit, signed_in: Any, width: int, locale: str) -> None:
    page = visit(locale=locale, state=signed_in).page
    page.set_viewport_size({"width": width, "height": 800})
    found = addresses(pghaven, page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for address in found:
            page.goto(pghaven.url + address)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (address, wide, page.evaluate(STICKS_OUT))


def test_the_longest_name_sticks_out_nowhere(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    page = visit(state=signed_in).page
    page.set_viewport_size({"width": 320, "height": 800})
    name = "a" + "_very" * 10 + "_long_name"
    pghaven.cli("databases", "add", name, "postgresql://nobody@127.0.0.1:1/nothing", "--no-test")
    try:
        page.goto(f"{pghaven.url}databases/{name}")
        page.get_by_role("button", name="Back up now").first.click()
        expect(page.get_by_role("heading", name="Failed, after")).to_be_visible()
        job = page.url.removeprefix(pghaven.url)
        of_it = ("", "/status", "/schedule", "/retention")
        for address in ("", "history", "jobs", job, "system", *(f"databases/{name}{one}" for one in of_it)):
            page.goto(pghaven.url + address)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 320, (address, wide, page.evaluate(STICKS_OUT))
    finally:
        pghaven.cli("databases", "remove", name, "--yes")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_heard_and_hit(pghaven: Pghaven, visit: Visit, signed_in: Any, scheme: Any) -> None:
    page = visit(state=signed_in).page
    page.set_viewport_size({"width": 320, "height": 800})
    page.emulate_media(color_scheme=scheme)
    axe = Axe()
    for address in addresses(pghaven, page):
        page.goto(pghaven.url + address)
        found = axe.run(page, options=RULES)
        assert found.violations_count == 0, f"{address}: {found.generate_report()}"


def test_what_the_server_sets_off_does_not_count_as_a_person(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    """A page left open must be signed out in the end, however many jobs end meanwhile."""
    page = visit(state=signed_in).page
    page.goto(pghaven.url)
    with page.expect_request("**/overview/sentence*") as asked:
        page.evaluate("htmx.trigger(document.body, 'job-ended')")
    assert asked.value.header_value("X-Poll") == "1"


def test_the_keyboard_keeps_its_place_when_a_filter_changes_the_page(
    pghaven: Pghaven, visit: Visit, signed_in: Any
) -> None:
    page = visit(state=signed_in).page
    page.goto(f"{pghaven.url}history")
    page.focus("#filter-result")
    page.select_option("#filter-result", "complete")
    page.wait_for_url("**/history?*result=complete*")
    expect(page.locator("#filter-result")).to_be_focused()
