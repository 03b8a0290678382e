"""Usage logs as a person looks through them: by keyboard, with the filter in the address, and without JavaScript."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Pghaven, Visit

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

LOGS = "databases/hub/logs"
ROWS = "#requests tbody tr"


def requests(page: Page) -> int:
    """How many there are, as the totals say."""
    text = page.locator("#totals dd").first.inner_text().split("\n")[0]
    return int(text.replace(",", ""))


def test_a_filter_is_set_by_keyboard_and_stands_in_the_address(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    page = visit(state=signed_in).page
    page.goto(pghaven.url)
    page.get_by_role("link", name="Usage logs").click()
    page.wait_for_url(f"**/{LOGS}")
    expect(page.locator(ROWS)).to_have_count(50)
    expect(page.locator("#totals dd").first).to_be_visible()
    everything = requests(page)

    page.focus("#filter-status")
    page.keyboard.press("A")  # All but 200
    page.wait_for_url("**/logs?status=not-200")
    expect(page.locator("#filter-status")).to_be_focused()
    expect(page.locator(ROWS).filter(has=page.locator(".s-complete"))).to_have_count(0)
    expect(page.locator("#totals dd").first).not_to_contain_text(f"{everything:,}")
    assert 0 < requests(page) < everything

    page.focus("#filter-min-retries")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/logs\?status=not-200&min_retries=1$"))
    expect(page.locator(ROWS).filter(has_text="after")).not_to_have_count(0)
    expect(page.locator(ROWS).filter(has_not_text="after")).to_have_count(0)

    address, found = page.url, requests(page)
    colleague = visit(locale="zh-CN", state=signed_in).page
    colleague.goto(address)
    expect(colleague.locator("#filter-status")).to_have_value("not-200")
    expect(colleague.locator("#totals dd").first).to_be_visible()
    assert requests(colleague) == found

    page.go_back()  # one step: leaving a field with Enter changes it and submits the form
    page.wait_for_url("**/logs?status=not-200")
    expect(page.locator("#filter-min-retries")).to_have_value("")


def test_older_requests_and_the_newest_again_by_keyboard(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    page = visit(state=signed_in).page
    page.goto(pghaven.url + LOGS)
    first = page.locator(ROWS).first.inner_text()
    page.focus("#to-older")
    page.keyboard.press("Enter")
    page.wait_for_url("**/logs?after=*")
    expect(page.locator(ROWS)).to_have_count(50)
    expect(page.locator(ROWS).first).not_to_have_text(first)
    expect(page.locator("#to-older")).to_be_focused()
    page.reload()
    expect(page.locator(ROWS)).to_have_count(50)
    page.focus("#to-newest")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{LOGS}")
    assert page.locator(ROWS).first.inner_text() == first


def test_without_javascript_the_form_and_the_links_do_the_same(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    page = visit(state=signed_in, scripts=False).page
    page.goto(pghaven.url + LOGS)
    page.select_option("#filter-status", "429")
    page.click(".filters button[type=submit]")
    assert "status=429" in page.url
    expect(page.locator(ROWS).filter(has_not_text="429")).to_have_count(0)
    page.goto(pghaven.url + LOGS)
    page.click("#to-older")
    assert "after=" in page.url
    expect(page.locator(ROWS)).to_have_count(50)
