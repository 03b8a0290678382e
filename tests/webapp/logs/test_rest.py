"""/api/v1/usage-logs, as claude-code-hub's own clients use it: pages, exports, and refusals as problems."""

from __future__ import annotations

import base64
import csv
import io
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from storage.jobs.model import Job, JobKind
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.conftest import StandingClock
from tests.hub import ANA, LIN, NEWEST_FIRST, OF_LIN
from tests.storage.logs.test_exports import CSV
from tests.webapp.conftest import NO_JSON, Browser
from webapp.streams import Streams

pytestmark = pytest.mark.postgres

ADDRESS = "/api/v1/usage-logs"
EXPORTS = "/api/v1/usage-logs/exports?database=hub"
LATER = {"Prefer": "respond-async"}
"""claude-code-hub's word for a job."""


def problem(answer: TestResponse, status: int, code: str, path: str = "") -> None:
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), answer.text
    facts = answer.json
    assert facts
    assert facts["type"] == f"urn:claude-code-hub:problem:{code}"
    assert (facts["errorCode"], facts["status"]) == (code, status)
    assert facts["title"] and facts["detail"] and facts["instance"].startswith("/api/v1/usage-logs")
    assert [one["path"] for one in facts.get("invalidParams", [])] == ([[path]] if path else [])


def ids(browser: Browser, **query: Any) -> list[int]:
    answer = browser.get(ADDRESS, query_string={"database": "hub", **query})
    assert answer.status_code == 200 and answer.json, answer.text
    return [int(item["id"]) for item in answer.json["items"]]


def queued(storage: Storage, browser: Browser, **body: Any) -> tuple[Job, TestResponse]:
    answer = browser.post(EXPORTS, json=body, headers=LATER)
    assert answer.status_code == 202, answer.text
    [job] = storage.jobs.active("hub", JobKind.EXPORT)
    return job, answer


@pytest.mark.parametrize("sent", NO_JSON)
def test_a_body_that_cannot_be_kept_is_refused(hub: Storage, admin: Browser, sent: bytes) -> None:
    for headers in ({}, LATER):
        answer = admin.post(EXPORTS, data=sent, content_type="application/json", headers=headers)
        problem(answer, 400, "request.validation_failed")
    assert hub.jobs.active() == []


# Pages


@pytest.mark.parametrize("limit", [1, 4, 13, 100])
def test_a_cursor_leads_over_every_row_once(hub: Storage, admin: Browser, limit: int) -> None:
    found: list[int] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        answer = admin.get(ADDRESS, query_string={"database": "hub", **query})
        assert answer.json
        found += [int(item["id"]) for item in answer.json["items"]]
        info = answer.json["pageInfo"]
        assert info["limit"] == limit and info["hasMore"] is (info["nextCursor"] is not None)
        if not info["hasMore"]:
            break
        assert len(answer.json["items"]) == limit
        query["cursor"] = info["nextCursor"]
    assert found == NEWEST_FIRST


def test_the_cursors_own_parts_lead_on_too(hub: Storage, admin: Browser) -> None:
    page = admin.get(ADDRESS, query_string={"database": "hub", "limit": 6}).json
    assert page
    cursor = page["pageInfo"]["nextCursor"]
    place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    assert set(place) == {"createdAt", "id"}
    assert ids(admin, cursorCreatedAt=place["createdAt"], cursorId=place["id"]) == NEWEST_FIRST[6:]
    assert ids(admin, cursorCreatedAt="2026-11-21T09:00:00.000Z", cursorId=9) == NEWEST_FIRST[8:]


def test_pages_by_number_know_their_total(hub: Storage, admin: Browser) -> None:
    answer = admin.get(ADDRESS, query_string={"database": "hub", "page": 2, "pageSize": 5})
    assert answer.json
    assert answer.json["pageInfo"] == {"page": 2, "pageSize": 5, "total": 13, "totalPages": 3}
    assert [int(item["id"]) for item in answer.json["items"]] == NEWEST_FIRST[5:10]
    assert ids(admin, page=4, pageSize=5) == []


def test_an_item_has_claude_code_hubs_names_and_exact_prices(hub: Storage, admin: Browser) -> None:
    answer = admin.get(ADDRESS, query_string={"database": "hub", "sessionId": "s-ana"})
    assert answer.json
    item = answer.json["items"][1]
    expected = {
        "id": "1", "createdAt": "2026-11-20T10:00:00.123456+00:00", "userName": "Ana", "keyName": "laptop",
        "providerName": "anthropic-eu", "model": "claude-sonnet-4-5", "originalModel": "claude-opus-4-1",
        "endpoint": "/v1/messages", "statusCode": 200, "inputTokens": 11, "outputTokens": 22,
        "cacheCreation5mInputTokens": 33, "cacheCreation1hInputTokens": 44, "cacheReadInputTokens": 55,
        "totalTokens": 165, "costUsd": "0.123456789012345", "durationMs": 6200, "sessionId": "s-ana", "retryCount": 0,
    }  # fmt: skip
    assert {name: item[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"userId": LIN}, OF_LIN),
        ({"keyId": 6}, [9, 4]),
        ({"providerId": 3}, [10]),
        ({"sessionId": " s-ana "}, [2, 1]),
        ({"startTime": 1795305600000}, [14]),
        ({"endTime": 1795168800124}, [2, 1]),
        ({"endTime": 1795168800123}, []),
        ({"statusCode": 429}, [2]),
        ({"excludeStatusCode200": "true"}, [8, 13, 5, 4, 2]),
        ({"excludeStatusCode200": "false", "userId": LIN}, OF_LIN),
        ({"statusCode": 200, "excludeStatusCode200": "true", "userId": LIN}, [14, 3]),
        ({"model": "gpt-5"}, [8, 7, 9]),
        ({"endpoint": "@cmd"}, [12]),
        ({"minRetryCount": 2}, [13, 2]),
    ],
)
def test_every_filter_finds_its_rows_on_pages_and_in_exports(
    hub: Storage, admin: Browser, query: dict[str, Any], expected: list[int]
) -> None:
    assert ids(admin, **query) == expected
    exported = admin.post(EXPORTS, json=query)
    assert exported.json
    assert len(list(csv.DictReader(io.StringIO(exported.json["csv"], newline="")))) == len(expected)
    total = admin.get(ADDRESS, query_string={"database": "hub", "page": 1, **query}).json
    assert total and total["pageInfo"]["total"] == len(expected)


# Refusals


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"nonsense": "1"}, "nonsense"),
        ({"userId": "x"}, "userId"),
        ({"userId": "-1"}, "userId"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"page": "0"}, "page"),
        ({"startTime": "yesterday"}, "startTime"),
        ({"excludeStatusCode200": "perhaps"}, "excludeStatusCode200"),
        ({"cursor": "!"}, "cursor"),
        ({"cursor": "e30"}, "cursor"),
        ({"cursorId": "1"}, "cursorId"),
        ({"cursorCreatedAt": "then", "cursorId": "1"}, "cursorCreatedAt"),
        ({"sessionId": "a\0b"}, "sessionId"),
    ],
)
def test_a_field_that_cannot_be_read_is_a_problem_that_names_it(
    hub: Storage, admin: Browser, query: dict[str, str], path: str
) -> None:
    answer = admin.get(ADDRESS, query_string={"database": "hub", **query})
    problem(answer, 400, "request.validation_failed", path)


@pytest.mark.parametrize(
    ("body", "path"),
    [({"nonsense": 1}, "nonsense"), ({"page": 1}, "page"), ({"format": "pdf"}, "format"), ({"format": []}, "format"),
     ({"userId": {}}, "userId"), ({"userId": True}, "userId"), ({"model": 5}, "model"), ([], ""), ("csv", "")],
)  # fmt: skip
@pytest.mark.parametrize("headers", [{}, LATER])
def test_an_export_is_ordered_with_known_fields_alone(
    hub: Storage, admin: Browser, body: Any, path: str, headers: dict[str, str]
) -> None:
    problem(admin.post(EXPORTS, json=body, headers=headers), 400, "request.validation_failed", path)
    assert not list(hub.jobs.active("hub", JobKind.EXPORT))


def test_what_is_not_there_or_does_not_answer_is_a_problem(hub: Storage, admin: Browser) -> None:
    problem(admin.get("/api/v1/usage-logs?database=gone"), 404, "resource.not_found")
    problem(admin.get("/api/v1/usage-logs/exports/20261122T131405Z-abcdef"), 404, "resource.not_found")
    problem(admin.get("/api/v1/usage-logs?database=nothing"), 503, "dependency.unavailable")


def test_more_exports_than_there_is_room_for_are_told_when_to_come_again(
    hub: Storage, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(admin.application.extensions, "streams", Streams(0))
    answer = admin.post(EXPORTS, json={})
    problem(answer, 429, "rate_limit.exceeded")
    assert answer.headers["Retry-After"] == "30"
    page = admin.get("/databases/hub/logs/export")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "30")


def test_a_write_with_a_cookie_alone_is_a_problem(hub: Storage, admin: Browser) -> None:
    problem(admin.post(EXPORTS, json={}, headers=LATER, csrf=False), 403, "auth.csrf_invalid")
    assert not list(hub.jobs.active("hub", JobKind.EXPORT))


# Exports


def test_an_export_at_once_is_the_csv_as_one_string(hub: Storage, admin: Browser) -> None:
    answer = admin.post(EXPORTS, json={})
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert "Content-Disposition" not in answer.headers
    assert answer.json == {"csv": CSV}


@pytest.mark.parametrize("form", ["xlsx", "ndjson"])
def test_other_formats_are_made_by_jobs_alone(hub: Storage, admin: Browser, form: str) -> None:
    problem(admin.post(EXPORTS, json={"format": form}), 400, f"usage_logs.{form}_requires_async")


@pytest.mark.parametrize("form", ["csv", "ndjson", "xlsx"])
def test_an_export_by_a_job_is_asked_after_and_fetched(hub: Storage, admin: Browser, form: str) -> None:
    job, answer = queued(hub, admin, format=form)
    address = f"/api/v1/usage-logs/exports/{job.job_id}"
    assert answer.json == {"jobId": job.job_id, "status": "queued", "statusUrl": address}
    assert answer.headers["Location"] == address
    waiting = admin.get(address).json
    assert waiting == {
        "jobId": job.job_id, "status": "queued", "processedRows": 0, "totalRows": 0, "progressPercent": 0,
        "format": form,
    }  # fmt: skip
    problem(admin.get(f"{address}/download"), 400, "request.invalid")
    hub.runner.run_here(job)
    assert admin.get(address).json == {
        "jobId": job.job_id, "status": "completed", "processedRows": 13, "totalRows": 13, "progressPercent": 100,
        "format": form,
    }  # fmt: skip
    file = admin.get(f"{address}/download")
    assert file.status_code == 200
    assert file.headers["Content-Disposition"] == f"attachment; filename=usage-logs-{job.job_id}.{form}"
    if form == "csv":
        assert file.data.decode() == CSV
    assert admin.get(f"{address}/download", headers={"Range": "bytes=0-9"}).data == file.data[:10]


def test_a_job_that_fails_says_so(hub: Storage, admin: Browser, hub_database: Connection) -> None:
    job, answer = queued(hub, admin)
    with connect(hub_database, application="tests") as session:
        session.execute("ALTER TABLE message_request DROP COLUMN cost_usd")
    hub.runner.run_here(job)
    status = admin.get(answer.headers["Location"]).json
    assert status and status["status"] == "failed"
    assert status["error"].startswith("Nothing was changed. The application map does not fit this database.")
    assert "applications of the data folder" in status["error"]
    problem(admin.get(f"{answer.headers['Location']}/download"), 400, "request.invalid")


def test_a_job_that_is_ended_says_so(hub: Storage, admin: Browser) -> None:
    job, answer = queued(hub, admin)
    hub.jobs.ask_to_stop(job.job_id, by="ana")
    hub.runner.run_here(job)
    status = admin.get(answer.headers["Location"]).json
    assert status and (status["status"], status["error"]) == ("failed", "Nothing was changed. Cancelled by ana.")


def test_an_export_that_is_kept_no_longer_and_anothers_are_not_there(
    linked: Storage, admin: Browser, user: Browser, clock: StandingClock
) -> None:
    job, answer = queued(linked, admin)
    linked.runner.run_here(job)
    address = answer.headers["Location"]
    for part in ("", "/download"):
        problem(user.get(address + part), 404, "resource.not_found")
    clock.forward(minutes=61)
    problem(admin.get(f"{address}/download"), 404, "resource.not_found")


# Whose rows


def test_a_user_sees_their_own_requests_alone(linked: Storage, user: Browser) -> None:
    assert ids(user) == OF_LIN
    assert ids(user, page=1) == OF_LIN
    assert ids(user, userId=LIN) == OF_LIN
    assert ids(user, keyId=1) == ids(user, sessionId="s-ana") == ids(user, model="claude-sonnet-4-5") == []
    once = user.post(EXPORTS, json={}).json
    assert once and once["csv"].count('"Lin, Wei"') == len(OF_LIN) == once["csv"].count("\n") - 1
    job, answer = queued(linked, user, format="ndjson", minRetryCount=0)
    linked.runner.run_here(job)
    lines = user.get(f"{answer.headers['Location']}/download").data.splitlines()
    assert [json.loads(line)["user"] for line in lines] == ["Lin, Wei"] * len(OF_LIN)


@pytest.mark.parametrize("link", [None, LIN])
@pytest.mark.parametrize("headers", [{}, LATER])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_user_who_asks_for_anothers_or_is_not_linked_is_refused(
    hub: Storage, user: Browser, link: str | None, headers: dict[str, str], form: str
) -> None:
    hub.accounts.link("ben", "hub", link or "")
    for wanted in (ANA,) if link else (ANA, LIN):
        problem(user.get(ADDRESS, query_string={"database": "hub", "userId": wanted}), 403, "auth.forbidden")
        answer = user.post(EXPORTS, json={"userId": int(wanted), "format": form}, headers=headers)
        problem(answer, 403, "auth.forbidden")
    assert not list(hub.jobs.active("hub", JobKind.EXPORT))
