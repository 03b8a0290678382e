"""Cleaning up logs in a real browser: counted, confirmed with the typed name, deleted, and put back again."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Pghaven, Visit
from tests.browser.test_every_page import STICKS_OUT

pytestmark = [pytest.mark.browser, pytest.mark.postgres]


@pytest.mark.parametrize(("scripts", "width"), [(True, 1280), (False, 320)])
def test_old_rows_are_counted_archived_deleted_and_put_back(
    pghaven: Pghaven, visit: Visit, signed_in: Any, scripts: bool, width: int
) -> None:
    watched = visit(state=signed_in, scripts=scripts)
    page = watched.page
    page.set_viewport_size({"width": width, "height": 800})
    count = page.get_by_role("button", name="Count", exact=True)
    page.goto(f"{pghaven.url}databases/hub/logs")
    page.click("nav.tabs >> text=Clean-up")
    page.select_option("select[name=table]", "provider_endpoint_probe_logs")
    count.click()
    expect(page.locator("h1")).to_contain_text("This cannot be used")  # nothing was asked for
    # Chromium reports every answer that is a refusal; this one is meant.
    watched.complaints = [complaint for complaint in watched.complaints if "422" not in complaint]
    page.go_back()
    page.select_option("select[name=table]", "provider_endpoint_probe_logs")
    page.fill("input[name=days]", "30")
    count.click()
    expect(page.locator("h1")).to_contain_text("rows would be deleted")
    expect(page.locator("svg.chart rect").first).to_be_visible()
    assert page.evaluate(STICKS_OUT) == []
    counted = page.locator("h1").inner_text().split()[0]
    page.select_option("#archive", "here")
    page.fill("input[name=typed]", "hub")
    page.click("form.panel button[type=submit]")
    page.wait_for_url("**/jobs/*")
    expect(page.locator("h1")).to_contain_text("The logs of hub are cleaned up", timeout=60_000)
    expect(page.locator("main")).to_contain_text(f"{counted} rows of public.provider_endpoint_probe_logs were deleted.")
    assert page.evaluate(STICKS_OUT) == []
    page.click("text=Back to the clean-up")
    expect(page.locator("#archives-title")).to_be_visible()
    assert page.evaluate(STICKS_OUT) == []
    page.click("text=Put back… >> nth=0")
    expect(page.locator("h1")).to_contain_text(f"Put {counted} rows back into public.provider_endpoint_probe_logs?")
    assert page.evaluate(STICKS_OUT) == []
    page.click("main button[type=submit]")
    expect(page.locator("main")).to_contain_text(f"{counted} rows are back", timeout=60_000)
