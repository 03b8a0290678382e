"""Requests, cost and failures by day: a fragment that delays no page, and a page for whoever has no script."""

from __future__ import annotations

import html
import json
import re

import pytest

from storage.opening import Storage
from tests.webapp.conftest import Browser

pytestmark = pytest.mark.postgres

PICTURES = "/databases/hub/logs/pictures"
FRAGMENT = {"HX-Request": "true"}


def values(text: str) -> list[list[float]]:
    return [json.loads(html.unescape(found))[1] for found in re.findall(r'data-days="([^"]+)"', text)]


def table(text: str) -> dict[str, list[str]]:
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", text, re.DOTALL)
    plain = [[re.sub(r"<[^>]+>", "", cell).strip() for cell in re.split(r"<td[^>]*>", row)] for row in rows]
    return {row[0]: row[1:] for row in plain}


def test_pages_do_not_ask_for_them_and_the_fragment_does(hub: Storage, admin: Browser) -> None:
    log = admin.get("/databases/hub/logs?user=2").text
    assert f'hx-get="{PICTURES}?user=2"' in log
    assert "data-days" not in log
    overview = admin.get("/databases/hub").text
    assert f'hx-get="{PICTURES}?overview=1"' in overview
    assert "data-days" not in overview
    fragment = admin.get(f"{PICTURES}?overview=1", headers=FRAGMENT).text
    assert "<html" not in fragment
    requests, costs, failures = values(fragment)
    # Of the instance's zone, in which the last microsecond of the 21st is on the 22nd.
    assert (len(requests), requests[-3:], failures[-3:]) == (30, [5, 4, 2], [3, 0, 1])
    assert len(costs) == 30


def test_the_table_says_the_same_without_a_script(hub: Storage, admin: Browser) -> None:
    page = admin.get(f"{PICTURES}?user=2").text
    assert "<details open>" in page
    rows = table(page)
    assert rows["Fri 20 Nov"] == ["2", "&lt;$0.01", "1"]
    assert rows["Sat 21 Nov"] == ["0", "$0.00", "0"]
    link = html.unescape(re.findall(r'href="([^"]+)">Fri 20 Nov</a>', page)[0])
    assert link == "/databases/hub/logs?user=2&from=2026-11-19T23:00:00Z&to=2026-11-20T23:00:00Z"
    assert "Lin, Wei" in admin.get(link + "&wait=1").text


def test_a_user_sees_the_days_of_its_own_requests_alone(linked: Storage, user: Browser, admin: Browser) -> None:
    own = values(user.get(PICTURES, headers=FRAGMENT).text)
    assert own == values(admin.get(f"{PICTURES}?user=2", headers=FRAGMENT).text)
    assert own != values(admin.get(PICTURES, headers=FRAGMENT).text)
    assert user.get(f"{PICTURES}?user=1").status_code == 403
    assert values(user.get(f"{PICTURES}?user=1", headers=FRAGMENT).text) == []


def test_the_overview_has_no_place_for_what_is_not_there(
    hub: Storage, admin: Browser, user: Browser, empty_database: object
) -> None:
    hub.databases.add("shop", empty_database, by="tests")  # type: ignore[arg-type]
    assert admin.get("/databases/shop/logs/pictures?overview=1", headers=FRAGMENT).data == b""
    assert user.get(f"{PICTURES}?overview=1", headers=FRAGMENT).data == b""
    assert admin.get("/databases/shop/logs/pictures").status_code == 404


def test_a_database_that_is_down_is_said_plainly(storage: Storage, admin: Browser) -> None:
    (profile,) = storage.databases.all()
    address = f"/databases/{profile.name}/logs/pictures"
    assert admin.get(f"/databases/{profile.name}").status_code == 200
    assert admin.get(f"{address}?overview=1", headers=FRAGMENT).data == b""  # nobody knows whether it has a usage log
    fragment = admin.get(address, headers=FRAGMENT)
    assert fragment.status_code == 200
    assert "Requests by day cannot be shown." in fragment.text
    page = admin.get(address)
    assert page.status_code == 503
    assert "Requests by day cannot be shown." in page.text


def test_a_filter_that_cannot_be_read_is_said_in_its_place(hub: Storage, admin: Browser) -> None:
    fragment = admin.get(f"{PICTURES}?from=whenever", headers=FRAGMENT)
    assert "“whenever” is not a time." in fragment.text
    assert admin.get(f"{PICTURES}?from=whenever").status_code == 422
    assert "The filter ends before it begins." in admin.get(f"{PICTURES}?from=2026-11-20&to=2026-11-01").text
