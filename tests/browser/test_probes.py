"""The probe log of the demo, followed in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from storage.postgres.connection import connect
from tests.browser.conftest import Pghaven, Visit

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

AT_END = """() => {
    const log = document.querySelector("#probe-lines");
    return log.scrollTop > 0 && log.scrollHeight - log.scrollTop - log.clientHeight < 24;
}"""


def probe(pghaven: Pghaven, text: str) -> None:
    with connect(pghaven.demo("hub"), application="tests") as session:
        session.execute(
            "INSERT INTO provider_endpoint_probe_logs (endpoint_id, ok, status_code, latency_ms, error_message)"
            " VALUES (1, false, 502, 9, %s)",
            [text],
        )


def test_new_lines_follow_once_each_until_it_is_told_to_stop(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    watched = visit(state=signed_in)
    page = watched.page
    page.goto(f"{pghaven.url}databases/hub/logs/probes?id=1")
    log = page.locator("#probe-lines")
    expect(log.locator("li[data-id]")).to_have_count(200)
    page.wait_for_function(AT_END)
    first = log.locator("li[data-id]").first
    probe(pghaven, "the first that follows")
    expect(log.get_by_text("the first that follows")).to_have_count(1)
    probe(pghaven, "the second that follows")
    expect(log.get_by_text("the second that follows")).to_have_count(1)
    expect(log.locator("li[data-id]")).to_have_count(202)
    expect(first).to_be_attached()
    page.wait_for_function(AT_END)
    page.click("#probe-follow")
    expect(page.get_by_role("link", name="Follow", exact=True)).to_be_visible()
    assert "follow=no" in page.url
    expect(page.locator("#probes-more")).to_have_count(0)
    asked = len([url for url in watched.asked if "/probes/lines" in url])
    page.select_option("#probe-result", "fail")
    page.wait_for_url("**result=fail**")
    expect(log.get_by_text("the second that follows")).to_be_visible()
    assert len([url for url in watched.asked if "/probes/lines" in url]) == asked


def test_this_browsers_time_zone_can_be_chosen(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    page = visit(state=signed_in).page
    page.goto(f"{pghaven.url}databases/hub/logs/probes?id=1")
    own = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    expect(page.locator(f"#probe-zone option[value='{own}']")).to_have_count(1)


def test_the_demo_has_sessions_without_a_redis(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    page = visit(state=signed_in).page
    page.goto(f"{pghaven.url}databases/hub/logs/sessions")
    expect(page.get_by_text("This is a demo, which has no Redis.")).to_be_visible()
    page.locator("main tbody th a").first.click()
    expect(page.get_by_role("heading", name="Requests in sequence")).to_be_visible()
    page.locator("main tbody th a").first.click()
    expect(page.locator("#request")).to_be_visible()
