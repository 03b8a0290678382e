"""Exports in the browser: sent at once or made by a job, kept for an hour, and never more than the account may see."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import openpyxl
import pytest
from werkzeug.test import TestResponse

from storage.accounts.permissions import Role
from storage.jobs.model import Job, JobKind, JobState
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from tests.builders import a_job
from tests.conftest import StandingClock
from tests.hub import ANA, LIN, OF_LIN
from tests.storage.logs.test_exports import CSV
from tests.webapp.conftest import PASSWORD, Browser
from tests.webapp.seeding import keep_job

pytestmark = pytest.mark.postgres

EXPORT = "/databases/hub/logs/export"
EXPORTS = "/databases/hub/logs/exports"
FORMATS = ("csv", "ndjson", "xlsx")


def asked(storage: Storage, browser: Browser, form: str = "xlsx", **wanted: str) -> Job:
    """The job that the browser's account asks for, carried out."""
    answer = browser.post(EXPORTS, data={"format": form, **wanted})
    assert answer.status_code == 303, answer.text
    [job] = storage.jobs.active("hub", JobKind.EXPORT)
    assert answer.location == f"/jobs/{job.job_id}"
    return storage.runner.run_here(job)


def file_of(job: Job) -> str:
    return f"/exports/{job.job_id}/download"


def users_in(form: str, body: bytes) -> list[Any]:
    """Whose the rows of a file are."""
    match form:
        case "csv":
            return [row[1] for row in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""))][1:]
        case "ndjson":
            return [json.loads(line)["user"] for line in body.splitlines()]
        case _:
            sheet = openpyxl.load_workbook(io.BytesIO(body))["Usage logs"]
            return [row[1].value for row in list(sheet.iter_rows())[1:]]


# At once


def test_the_export_is_what_the_filter_shows_under_a_name_with_the_time(hub: Storage, admin: Browser) -> None:
    answer = admin.get(EXPORT)
    assert answer.status_code == 200 and answer.data.decode() == CSV
    assert answer.headers["Content-Disposition"] == "attachment; filename=usage-logs-2026-11-22-131405.csv"
    assert answer.content_type == "text/csv; charset=utf-8"
    assert "no-transform" in answer.headers["Cache-Control"]
    one = admin.get(EXPORT, query_string={"status": "not-200", "user": LIN, "from": "2026-11-21T00:00:00Z"})
    assert one.data.count(b"\n") == 2 and b"2026-11-21T23:59:59.999999Z" in one.data
    lines = admin.get(EXPORT, query_string={"format": "ndjson"})
    assert lines.content_type.startswith("application/x-ndjson") and lines.data.count(b"\n") == 13
    entries = [entry for entry in hub.audit.newest_first() if entry.action == "rows_exported"]
    assert [entry.facts["format"] for entry in entries] == ["ndjson", "csv", "csv"]


def test_the_menu_of_the_page_exports_what_the_page_shows(hub: Storage, admin: Browser) -> None:
    page = admin.get("/databases/hub/logs", query_string={"model": "gpt-5"}).text
    for form in ("csv", "ndjson"):
        assert f'href="{EXPORT}?format={form}&amp;model=gpt-5"' in page
    assert page.count(f'action="{EXPORTS}"') == 2
    assert page.count('<input type="hidden" name="model" value="gpt-5">') == 2


def test_what_begins_nothing_is_not_recorded_as_an_export(
    hub: Storage, hub_database: Connection, admin: Browser
) -> None:
    answer = admin.head(EXPORT)
    assert answer.status_code == 200 and "usage-logs-" in answer.headers["Content-Disposition"]
    assert answer.data == b""
    with connect(hub_database, application="tests") as session:
        session.execute("ALTER TABLE message_request DROP COLUMN cost_usd")
    assert admin.get(EXPORT).status_code >= 400
    assert admin.post("/api/v1/usage-logs/exports?database=hub", json={}).status_code >= 400
    assert "rows_exported" not in [entry.action for entry in hub.audit.newest_first()]


@pytest.mark.parametrize(("form", "why"), [("xlsx", "made by a job"), ("pdf", "is not a format"), ("", "not a format")])
def test_a_format_that_cannot_be_streamed_is_refused(hub: Storage, admin: Browser, form: str, why: str) -> None:
    answer = admin.get(EXPORT, query_string={"format": form})
    assert answer.status_code == 422 and why in answer.text


def test_a_database_without_a_usage_log_is_refused_before_a_byte_is_sent(storage: Storage, admin: Browser) -> None:
    assert admin.get("/databases/gone/logs/export").status_code == 404
    assert admin.post("/databases/gone/logs/exports", data={"format": "csv"}).status_code == 404


# By a job


@pytest.mark.parametrize("form", FORMATS)
def test_a_job_makes_a_file_that_its_page_offers(hub: Storage, admin: Browser, form: str) -> None:
    job = asked(hub, admin, form)
    page = admin.get(f"/jobs/{job.job_id}").text
    assert "13 rows are in the file." in page and "It is kept for you until" in page
    assert f'href="{file_of(job)}"' in page
    answer = admin.get(file_of(job))
    assert answer.status_code == 200 and len(users_in(form, answer.data)) == 13
    assert f"usage-logs-2026-11-22-131405.{form}" in answer.headers["Content-Disposition"]
    assert int(answer.headers["Content-Length"]) == len(answer.data) == job.result["bytes"]
    if form == "csv":
        assert answer.data.decode() == CSV


def test_a_download_that_broke_off_goes_on_where_it_was(hub: Storage, admin: Browser) -> None:
    job = asked(hub, admin, "csv")
    whole = admin.get(file_of(job))
    tag = whole.headers["ETag"]
    part = admin.get(file_of(job), headers={"Range": "bytes=100-", "If-Range": tag})
    assert part.status_code == 206 and part.data == whole.data[100:]
    assert part.headers["Content-Range"] == f"bytes 100-{len(whole.data) - 1}/{len(whole.data)}"
    other = admin.get(file_of(job), headers={"Range": "bytes=100-", "If-Range": '"another"'})
    assert other.status_code == 200 and other.data == whole.data
    assert admin.get(file_of(job), headers={"Range": "bytes=9999999-"}).status_code == 416


def test_a_file_is_kept_for_an_hour_and_then_swept_away(hub: Storage, admin: Browser, clock: StandingClock) -> None:
    job = asked(hub, admin, "csv")
    folder = hub.settings.data_folder / "exports" / job.job_id
    clock.forward(minutes=59)
    hub.logs.exports.sweep()
    assert admin.get(file_of(job)).status_code == 200
    clock.forward(minutes=1)
    assert admin.get(file_of(job)).status_code == 404, "also before anybody swept"
    assert "It was kept for an hour, which is over." in admin.get(f"/jobs/{job.job_id}").text
    assert folder.is_dir()
    hub.logs.exports.sweep()
    assert not folder.exists()


def test_what_a_job_left_that_nobody_knows_is_swept_away(hub: Storage) -> None:
    folder = hub.settings.data_folder / "exports" / "20261122T131405Z-abcdef"
    folder.mkdir(parents=True)
    (folder / "usage-logs.csv").write_bytes(b"half")
    hub.logs.exports.sweep()
    assert not folder.exists()


def test_two_requests_have_one_job(hub: Storage, admin: Browser) -> None:
    first, second = (admin.post(EXPORTS, data={"format": "xlsx"}) for _ in range(2))
    assert first.location == second.location
    assert len(list(hub.jobs.active("hub", JobKind.EXPORT))) == 1
    assert "You had asked for this export already." in admin.get(second.location).text
    assert admin.post(EXPORTS, data={"format": "xlsx", "status": "429"}).location != first.location


def test_who_asked_ends_the_export_and_nothing_is_left(linked: Storage, user: Browser, admin: Browser) -> None:
    user.post(EXPORTS, data={"format": "xlsx"})
    [job] = linked.jobs.active("hub", JobKind.EXPORT)
    address = f"/exports/{job.job_id}/cancel"
    assert f'action="{address}"' in user.get(f"/jobs/{job.job_id}").text
    assert admin.post(address).status_code == 404, "an admin has the page of jobs for that"
    assert linked.jobs.asked_to_stop(job.job_id) is None
    assert user.post(address).status_code == 303
    assert linked.runner.run_here(job).state is JobState.CANCELLED
    assert user.get(file_of(job)).status_code == 409
    assert not (linked.settings.data_folder / "exports").exists()


# Whose rows


@pytest.mark.parametrize("form", FORMATS)
def test_a_user_exports_their_own_requests_alone(linked: Storage, user: Browser, form: str) -> None:
    if form != "xlsx":
        answer = user.get(EXPORT, query_string={"format": form})
        assert users_in(form, answer.data) == ["Lin, Wei"] * len(OF_LIN)
    job = asked(linked, user, form)
    assert users_in(form, user.get(file_of(job)).data) == ["Lin, Wei"] * len(OF_LIN)


@pytest.mark.parametrize("query", [{"key": "1"}, {"session": "s-ana"}, {"model": " =1+1"}, {"provider": "3"}])
def test_no_filter_exports_anothers_requests(linked: Storage, user: Browser, query: dict[str, str]) -> None:
    assert user.get(EXPORT, query_string={"format": "ndjson", **query}).data == b""
    assert users_in("xlsx", user.get(file_of(asked(linked, user, "xlsx", **query))).data) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_user_who_asks_for_anothers_requests_is_refused(linked: Storage, user: Browser, form: str) -> None:
    refused(linked, user.get(EXPORT, query_string={"format": form, "user": ANA}))
    refused(linked, user.post(EXPORTS, data={"format": form, "user": ANA}))
    refused(linked, user.post(f"{EXPORTS}?user={ANA}", data={"format": form}))


@pytest.mark.parametrize("form", FORMATS)
def test_a_user_who_is_not_linked_exports_nothing(hub: Storage, user: Browser, form: str) -> None:
    hub.accounts.link("ben", "wiki", LIN)
    refused(hub, user.get(EXPORT, query_string={"format": form}))
    refused(hub, user.post(EXPORTS, data={"format": form, "user": LIN}))


def refused(storage: Storage, answer: TestResponse) -> None:
    assert answer.status_code == 403
    assert not list(storage.jobs.active("hub", JobKind.EXPORT))


def test_nobody_is_given_or_told_what_another_exports(linked: Storage, admin: Browser, user: Browser) -> None:
    job = asked(linked, admin, "csv", session="s-ana")
    assert user.get(file_of(job)).status_code == 404
    of_it = (f"/jobs/{job.job_id}", f"/jobs/{job.job_id}/log", f"/jobs/{job.job_id}/log.txt", f"/api/jobs/{job.job_id}")
    for address in of_it:
        assert user.get(address).status_code == 404, address
        assert admin.get(address).status_code == 200, address
    for address in ("/jobs", "/api/jobs", "/"):
        assert job.job_id not in user.get(address).text, address
    assert job.job_id in admin.get("/jobs").text and "s-ana" in admin.get("/api/jobs").text
    his = asked(linked, user, "csv")
    assert user.get(f"/jobs/{his.job_id}").status_code == 200 and his.job_id in user.get("/api/jobs").text
    assert admin.get(file_of(his)).status_code == 404


@pytest.mark.parametrize("kind", [JobKind.CLEAN_UP, JobKind.PUT_BACK, JobKind.GENERATE])
def test_what_is_done_with_everybodys_rows_is_not_told_to_a_user(
    linked: Storage, admin: Browser, user: Browser, kind: JobKind
) -> None:
    job = keep_job(linked, a_job(kind, "hub", requested_by="ana"))
    for address in ("/jobs", "/api/jobs", "/"):
        assert job.job_id in admin.get(address).text, address
        assert job.job_id not in user.get(address).text, address
    assert user.get(f"/api/jobs/{job.job_id}").status_code == 404


def test_a_file_with_more_than_its_owner_may_see_by_now_is_not_given(
    linked: Storage, admin: Browser, user: Browser
) -> None:
    everything, own = asked(linked, admin, "csv"), asked(linked, user, "csv")
    linked.accounts.add("eve", Role.ADMIN, Secret(PASSWORD))
    linked.accounts.change_role("ana", Role.USER)
    assert admin.get(file_of(everything)).status_code == 403
    linked.accounts.link("ana", "hub", ANA)
    assert admin.get(file_of(everything)).status_code == 403
    assert user.get(file_of(own)).status_code == 200
    linked.accounts.link("ben", "hub", ANA)
    assert user.get(file_of(own)).status_code == 403
