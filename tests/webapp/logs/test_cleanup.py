"""The page of clean-ups: a dry run in the address, the typed name, then a job; rules for the night; the way back."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl

import pytest
from flask import Flask

from storage.jobs.model import Job, JobKind, JobState
from storage.logs.cleanup.request import CleanupRequest, older_than
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.builders import a_backup
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep

pytestmark = pytest.mark.postgres
PATH = "/databases/hub/logs/cleanup"
OLD = "before=2026-11-21T10:00Z"


def text(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the confirmation."""
    form = page[page.index('aria-labelledby="confirm-title"') :]
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[: form.index("</form>")]))


def ids(connection: Connection) -> list[int]:
    with connect(connection, application="tests") as session:
        return [row[0] for row in session.execute("SELECT id FROM message_request ORDER BY id")]


def carry_out(storage: Storage) -> Job:
    [job] = storage.jobs.active("hub")
    return storage.runner.run_here(job)


def test_what_is_counted_is_what_is_deleted_after_the_name_is_typed(
    hub: Storage, admin: Browser, hub_database: Connection
) -> None:
    page = admin.get(f"{PATH}?{OLD}").text
    assert "8 rows would be deleted" in text(page) and "1 of these" in text(page)
    assert "by day, user and model are kept in public.usage_daily" in text(page)
    asked = fields(page)
    assert asked["before"] == "2026-11-21T10:00:00Z" and asked["moment"]
    wrong = admin.post(PATH, data={**asked, "typed": "hbu"})
    assert wrong.status_code == 422 and "Nothing was deleted. That is not hub." in text(wrong.text)
    again = {**fields(wrong.text), "csrf_token": asked["csrf_token"]}
    assert again == asked, "what was looked at stays what is confirmed"
    assert hub.jobs.active() == [] and len(ids(hub_database)) == 14
    sent = admin.post(PATH, data={**asked, "typed": "hub"})
    assert sent.status_code == 303
    job = carry_out(hub)
    assert sent.location.endswith(f"/jobs/{job.job_id}")
    assert ids(hub_database) == [7, 8, 11, 12, 13, 14]
    shown = text(admin.get(f"/jobs/{job.job_id}").text)
    assert "The logs of hub are cleaned up" in shown
    assert "8 rows of public.message_request were deleted." in shown and "1 of these" in shown
    [event] = [one for one in hub.audit.newest_first() if one.action == "logs_cleanup_requested"]
    assert event.actor == "ana" and event.facts["request"]["before"] == "2026-11-21T10:00:00Z"


@pytest.mark.parametrize(
    "query", ["preview=1", "preview=1&days=&before=&user=&status=", "preview=1&table=message_request"]
)
def test_nothing_without_a_condition_on_the_page(
    hub: Storage, admin: Browser, hub_database: Connection, query: str
) -> None:
    refused = admin.get(f"{PATH}?{query}")
    assert refused.status_code == 422 and "No condition was given" in text(refused.text)
    data = dict(part.split("=") for part in query.split("&"))
    refused = admin.post(PATH, data={**data, "typed": "hub", "moment": "2026-11-22T00:00:00Z"})
    assert refused.status_code == 422
    assert hub.jobs.active() == [] and len(ids(hub_database)) == 14


@pytest.mark.parametrize("query", ["days=3&usr=5", "days=3&user=%00", "days=3&statuses=429&preview=1"])
def test_a_condition_that_there_is_not_is_refused_and_never_left_out(
    hub: Storage, admin: Browser, hub_database: Connection, query: str
) -> None:
    assert admin.get(f"{PATH}?{query}").status_code == 422
    data = {name: value for name, value in parse_qsl(query) if name != "preview"}
    refused = admin.post(PATH, data={**data, "typed": "hub"})
    assert refused.status_code == 422 and "Nothing was deleted." in refused.text
    assert hub.jobs.active() == [] and len(ids(hub_database)) == 14


def test_a_condition_that_everything_fulfils_is_called_that(
    hub: Storage, admin: Browser, hub_database: Connection
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute("DELETE FROM message_request WHERE created_at IS NULL")
        session.execute("ANALYZE message_request")
    assert "Those are about all that there are." in admin.get(f"{PATH}?before=9999-12-31").text
    assert "Those are about all that there are." not in admin.get(f"{PATH}?user=2").text


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("user=2", 4), ("provider=0", 1), ("status=429,403", 2), ("status_range=429-529", 2), ("blocked=on", 1),
        ("after=2026-11-22T00:00Z", 1), ("before=2026-11-20T10:00:00.123456Z", 2), ("user=2&status=200", 2),
        ("table=provider_endpoint_probe_logs&before=2026-11-22T12:00:30Z", 2),
        ("table=provider_endpoint_probe_logs&time_column=created_at&before=2026-11-22T12:00:30Z", 2),
    ],
)  # fmt: skip
def test_every_field_is_in_the_address_and_in_the_form(hub: Storage, admin: Browser, query: str, rows: int) -> None:
    page = admin.get(f"{PATH}?{query}").text
    assert f"{rows} row{'s' if rows > 1 else ''} would be deleted" in text(page)
    name, value = query.split("&")[-1].split("=")
    assert f'name="{name}" value="{value}"' in page or f'name="{name}" checked' in page


def test_the_ages_of_the_seed_are_one_press_away_in_both_languages(hub: Storage, admin: Browser) -> None:
    page = admin.get(PATH).text
    for days in (7, 30, 90, 180):
        assert f"?days={days}" in page and f"Older than {days} days" in page
    chinese = admin.get(PATH, headers={"Accept-Language": "zh-CN"}).text
    assert "30 天前" in chinese and "Older than" not in chinese
    assert "would be deleted" in admin.get(f"{PATH}?days=7").text


def test_a_backup_that_is_younger_than_the_rows_is_linked_and_one_that_has_not_is_warned_of(
    hub: Storage, admin: Browser, clock: StandingClock
) -> None:
    assert "No backup has these rows." in text(admin.get(f"{PATH}?{OLD}").text)
    keep(hub, a_backup("hub", at=clock() - timedelta(days=3)))
    keep(hub, a_backup("hub", at=clock(), no_logs=True))
    assert "older than some of these" in text(admin.get(f"{PATH}?{OLD}").text)
    good = keep(hub, a_backup("hub", at=clock()))
    page = admin.get(f"{PATH}?{OLD}").text
    assert "The newest backup with log rows is younger than all of these" in text(page)
    assert "written after it with an older time is not in it" in text(page) and f"/backups/{good.backup_id}" in page


def test_rows_are_archived_first_and_put_back_from_the_page(
    hub: Storage, admin: Browser, hub_database: Connection
) -> None:
    asked = fields(admin.get(f"{PATH}?{OLD}").text)
    for wrong in ({"archive": "at:nowhere"}, {"archive": "elsewhere"}, {"archive": "here", "form": "xml"}):
        assert admin.post(PATH, data={**asked, **wrong, "typed": "hub"}).status_code in (404, 422)
    admin.post(PATH, data={**asked, "typed": "hub", "archive": "here", "form": "ndjson"})
    job = carry_out(hub)
    assert "Archived first" in text(admin.get(f"/jobs/{job.job_id}").text)
    [archive] = hub.logs.cleanup.archives.of("hub")
    address = f"/databases/hub/logs/archives/{archive.archive_id}/put-back"
    assert address in admin.get(PATH).text
    question = admin.get(address).text
    assert (
        "Put 8 rows back into public.message_request?" in text(question.replace("<wbr>", ""))
        and archive.sha256 in question
    )
    assert admin.get(f"/databases/other/logs/archives/{archive.archive_id}/put-back").status_code == 404
    assert admin.post(address).status_code == 303
    job = carry_out(hub)
    assert job.state is JobState.COMPLETED and len(ids(hub_database)) == 14
    assert "8 rows are back in public.message_request." in text(admin.get(f"/jobs/{job.job_id}").text)


def test_a_rule_for_every_night_says_what_tonight_will_delete(hub: Storage, admin: Browser) -> None:
    assert "Nothing is deleted by itself" in text(admin.get(PATH).text)
    address = f"{PATH}/retention"
    assert admin.post(address, data={"days_message_request": "0"}).status_code == 422
    saved = admin.post(address, data={"days_message_request": "2", "archive": "here"})
    assert saved.status_code == 303
    rule = hub.logs.cleanup.retentions.of("hub")
    assert (dict(rule.days), rule.archive, rule.changed_by) == ({"message_request": 2}, "", "ana")
    page = text(admin.get(PATH).text)
    # The clock of these tests stands at 14:14 of 22 November in Berlin; the next night is that of the 23rd.
    assert "message_request 2 days 6 rows" in page and "04:30" in page
    admin.post(address, data={"days_message_request": "", "archive": "none"})
    assert dict(hub.logs.cleanup.retentions.of("hub").days) == {}


def test_a_database_without_a_map_is_cleaned_up_by_a_time_column(
    hub: Storage, admin: Browser, empty_database: Connection
) -> None:
    hub.databases.add("shop", empty_database, by="tests")
    with connect(empty_database, application="tests") as session:
        session.execute("CREATE TABLE visits AS SELECT timestamptz '2026-01-01' + n * interval '1 day' AS at"
                        " FROM generate_series(0, 9) n")  # fmt: skip
    path = "/databases/shop/logs/cleanup"
    assert 'name="time_column"' in admin.get(path).text
    assert admin.get(f"{path}?table=visits&before=2026-01-03").status_code == 404
    page = admin.get(f"{path}?table=visits&time_column=at&before=2026-01-03").text
    assert "2 rows would be deleted" in text(page)  # midnight in Berlin comes before that of UTC
    admin.post(path, data={**fields(page), "typed": "shop"})
    [job] = hub.jobs.active("shop")
    assert hub.runner.run_here(job).result["rows"] == 2


def test_a_running_clean_up_says_what_cancelling_does(hub: Storage, admin: Browser) -> None:
    wanted = CleanupRequest(before=older_than(1, now=hub.clock()))
    job, _ = hub.logs.cleanup.start("hub", wanted, by="ana", background=False)
    question = text(admin.get(f"/jobs/{job.job_id}/cancel").text)
    assert "Rows that are deleted already stay deleted." in question
    hub.jobs.ask_to_stop(job.job_id, by="ana")
    hub.runner.run_here(job)
    page = text(admin.get(f"/jobs/{job.job_id}").text)
    assert "was cancelled" in page and "Count again" in page


def test_only_admins_see_or_do_any_of_it(app: Flask, hub: Storage, user: Browser, hub_database: Connection) -> None:
    for address in (PATH, f"{PATH}?{OLD}", "/databases/hub/logs/archives/x/put-back"):
        assert user.get(address).status_code == 403
    for address in (PATH, f"{PATH}/retention", "/databases/hub/logs/archives/x/put-back"):
        assert user.post(address, data={"before": "2026-11-21", "typed": "hub"}).status_code == 403
    assert user.post("/api/admin/log-cleanup/manual?database=hub", json={"statusCodes": [200]}).status_code == 403
    assert [job for job in hub.jobs.newest_first() if job.kind is JobKind.CLEAN_UP] == []
    assert len(ids(hub_database)) == 14
