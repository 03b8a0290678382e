"""The page of a probe log: for admins alone, in a zone, following, and exported whole or broken off."""

from __future__ import annotations

import re

import pytest

from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.webapp.conftest import Browser

pytestmark = pytest.mark.postgres

PAGE = "/databases/hub/logs/probes?id=1"
LINES = "/databases/hub/logs/probes/lines?id=1"
TEXT = "/databases/hub/logs/probes.txt?id=1"
API = "/api/availability/endpoints/probe-logs?database=hub&endpointId=1"
HTMX = {"HX-Request": "true"}


def lines(page: str) -> list[str]:
    found = re.findall(r'<li[^>]*data-id="\d+"[^>]*><time[^>]*>(.*?)</time><span[^>]*>(.*?)</span>', page)
    return [" ".join(parts) for parts in found]


def probe(database: Connection, text: str, *, at: str = "2026-11-22 12:05+00") -> int:
    with connect(database, application="tests") as session:
        row = session.execute(
            "INSERT INTO provider_endpoint_probe_logs"
            " (endpoint_id, ok, status_code, latency_ms, error_message, created_at)"
            " VALUES (1, false, 502, 9, %s, %s) RETURNING id",
            [text, at],
        ).fetchone()
    assert row
    return int(row[0])


def test_probe_logs_are_for_admins(linked: Storage, client: Browser, user: Browser, admin: Browser) -> None:
    for address in (PAGE, f"{LINES}&newest=0", TEXT):
        assert admin.get(address).status_code == 200, address
        assert user.get(address).status_code == 403, address
        assert client.get(address).status_code == 303, address
    assert user.get(API).status_code == 403 and client.get(API).status_code == 401


def test_lines_stand_in_the_zone_of_this_instance_or_in_the_one_that_is_chosen(hub: Storage, admin: Browser) -> None:
    assert lines(admin.get(PAGE).text)[0] == "[13:00:00] OK 200 132ms"
    assert "Times of Europe/Berlin." in admin.get(PAGE).text
    assert lines(admin.get(f"{PAGE}&zone=Asia/Shanghai").text)[0] == "[20:00:00] OK 200 132ms"
    assert admin.get(f"{TEXT}&zone=Asia/Shanghai").text.startswith("[20:00:00] OK 200 132ms\n")
    for zone in ("Mars/Olympus", "../etc/passwd"):
        assert admin.get(f"{PAGE}&zone={zone}").status_code == 422


def test_what_an_error_says_is_text_and_no_part_of_the_page(
    hub: Storage, hub_database: Connection, admin: Browser
) -> None:
    probe(hub_database, "<script>alert(1)</script>\n\x1b[31mred")
    assert lines(admin.get(PAGE).text)[-1] == ("[13:05:00] FAIL 502 9ms &lt;script&gt;alert(1)&lt;/script&gt; [31mred")


def test_the_filter_is_in_the_address_of_the_page_its_lines_and_its_export(hub: Storage, admin: Browser) -> None:
    asked = "&result=fail&text=upstream&source=scheduled&from=2026-11-22T13:00&to=2026-11-22T13:02&follow=no"
    page = admin.get(PAGE + asked)
    assert lines(page.text) == ["[13:01:00] FAIL 503 41ms no upstream"]
    assert 'value="upstream"' in page.text and 'value="2026-11-22T13:00:00"' in page.text
    exported = re.search(r'href="([^"]*probes\.txt[^"]*)"', page.text)
    assert exported
    assert admin.get(exported[1].replace("&amp;", "&")).text == "[13:01:00] FAIL 503 41ms no upstream\n"
    fragment = admin.get(PAGE + asked, headers=HTMX)
    assert fragment.text.lstrip().startswith("<div") and "result=fail" in fragment.headers["HX-Push-Url"]


def test_the_page_asks_for_what_is_new_until_it_is_told_to_stop(
    hub: Storage, hub_database: Connection, admin: Browser
) -> None:
    page = admin.get(PAGE).text
    more = re.search(r'id="probes-more" hx-get="([^"]+)"', page)
    assert more and "every 2s" in page
    asking = more[1].replace("&amp;", "&")
    assert lines(admin.get(asking, headers=HTMX).text) == []
    probe(hub_database, "gone again")
    new = admin.get(asking, headers=HTMX).text
    assert lines(new) == ["[13:05:00] FAIL 502 9ms gone again"]
    again = re.search(r'id="probes-more" hx-get="([^"]+)"', new)
    assert again and lines(admin.get(again[1].replace("&amp;", "&"), headers=HTMX).text) == []
    for still in ("&follow=no", "&to=2026-11-22T13:30"):
        assert "probes-more" not in admin.get(PAGE + still).text


def test_a_day_is_said_where_it_begins(hub: Storage, hub_database: Connection, admin: Browser) -> None:
    probe(hub_database, "next day", at="2026-11-23 00:00:01+00")
    page = admin.get(PAGE).text
    assert page.count("Sun 22 Nov") == 1 and page.count("Mon 23 Nov") == 1


def test_a_page_that_was_followed_for_long_begins_anew(hub: Storage, hub_database: Connection, admin: Browser) -> None:
    probe(hub_database, "one more")
    answer = admin.get(f"{LINES}&newest=3&shown=2000", headers=HTMX)
    assert answer.headers["HX-Refresh"] == "true" and not answer.text


def test_an_export_is_a_text_file_of_today_and_recorded(hub: Storage, admin: Browser) -> None:
    answer = admin.get(f"{TEXT}&result=fail&days=yes")
    assert answer.headers["Content-Disposition"] == "attachment; filename=probe-logs-2026-11-22.txt"
    assert answer.mimetype == "text/plain"
    assert answer.text == (
        "[2026-11-22 13:01:00] FAIL 503 41ms no upstream\n[2026-11-22 13:02:00] FAIL - - first line second line\n"
    )
    [event] = [event for event in hub.audit.newest_first() if event.action == "probes_exported"]
    assert event.facts == {"endpoint": "1", "filter": {"result": "fail"}} and event.subject == "hub"


def test_without_an_endpoint_the_first_is_shown_and_none_that_is_not_there(hub: Storage, admin: Browser) -> None:
    assert "https://relay.example/v1" in admin.get("/databases/hub/logs/probes").text
    assert admin.get("/databases/hub/logs/probes?id=99").status_code == 404
    assert admin.get("/databases/hub/logs/probes.txt?id=99").status_code == 404
    assert admin.get("/databases/hub/logs/probes.txt").status_code in (404, 422)


def test_a_hub_without_endpoints_says_so(hub: Storage, hub_database: Connection, admin: Browser) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute("TRUNCATE provider_endpoints CASCADE")
    assert "No endpoints yet." in admin.get("/databases/hub/logs/probes").text


def test_the_api_answers_in_claude_code_hubs_shape(hub: Storage, admin: Browser) -> None:
    document = admin.get(f"{API}&limit=2&offset=1").json
    assert document is not None and list(document) == ["endpoint", "logs"]
    assert document["endpoint"]["url"] == "https://claude.example/v1" and document["endpoint"]["vendorId"] == 1
    assert [one["id"] for one in document["logs"]] == [2, 1]
    assert document["logs"][0] == {
        "id": 2, "endpointId": 1, "source": "scheduled", "ok": False, "statusCode": 503, "latencyMs": 41,
        "errorType": "http", "errorMessage": "no upstream", "createdAt": "2026-11-22T12:01:00.000Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("endpointId=x", 400),
        ("", 400),
        ("endpointId=1&limit=1001", 400),
        ("endpointId=1&limit=0", 400),
        ("endpointId=1&offset=-1", 400),
        ("endpointId=99", 404),
    ],
)
def test_the_api_refuses_as_claude_code_hub_does(hub: Storage, admin: Browser, address: str, status: int) -> None:
    answer = admin.get(f"/api/availability/endpoints/probe-logs?database=hub&{address}")
    assert answer.status_code == status
    assert answer.json is not None and isinstance(answer.json["error"], str)
