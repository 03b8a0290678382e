"""The page on which requests are made up: for admins, in demos alone, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.jobs.model import JobKind
from storage.opening import Storage
from storage.postgres.connection import Connection
from tests.generating import ask
from tests.hub import an_unused_hub
from tests.servers import Server
from tests.webapp.conftest import Browser

pytestmark = pytest.mark.postgres

PAGE = "/databases/made/logs/generator"


@pytest.fixture
def made(storage: Storage, server: Server) -> Iterator[Connection]:
    """A demo in which nobody is yet, known to the pages as `made`."""
    with an_unused_hub(server) as connection:
        storage.databases.add("made", connection, by="tests")
        storage.logs.generator.mark("made")
        yield connection


def test_an_admin_asks_for_requests_and_sees_their_job(admin: Browser, storage: Storage, made: Connection) -> None:
    assert 'action="/databases/made/logs/generator"' in admin.get(PAGE).text
    answer = admin.post(PAGE, data={"rows": "120", "days": "7", "seed": "3"})
    [job] = storage.jobs.active("made", JobKind.GENERATE)
    assert (answer.status_code, answer.location) == (303, f"/jobs/{job.job_id}")
    assert {name: job.parameters[name] for name in ("rows", "days", "seed")} == {"rows": 120, "days": 7, "seed": 3}
    assert "What was made up already stays." in admin.get(f"/jobs/{job.job_id}/cancel").text
    storage.runner.run_here(job)
    page = admin.get(f"/jobs/{job.job_id}").text
    assert "120 requests were made up." in page
    assert 'href="/databases/made/logs"' in page
    assert ask(made, "SELECT count(*) FROM message_request") == [(120,)]
    assert {event.action for event in storage.audit.newest_first()} >= {"demo_rows_requested", "demo_rows_made"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rows": "10001"}, "The number of rows has to be from 1 to 10000."),
        ({"days": "0"}, "The number of days has to be from 1 to 3650."),
        ({"seed": "-1"}, "“-1” is not a whole number."),
        ({"rows": "many"}, "“many” is not a whole number."),
    ],
)
def test_numbers_that_cannot_be_are_said_on_the_page_and_nothing_is_asked_for(
    admin: Browser, storage: Storage, made: Connection, given: dict[str, str], words: str
) -> None:
    answer = admin.post(PAGE, data={"rows": "10", "days": "1", "seed": "1"} | given)
    assert answer.status_code == 422
    assert words in answer.text
    assert storage.jobs.active("made") == []


def test_what_is_no_demo_offers_nothing_and_gets_nothing(admin: Browser, hub: Storage) -> None:
    page = admin.get("/databases/hub/logs/generator")
    assert "hub is not a demo" in page.text
    assert '<form class="form panel"' not in page.text
    assert "Make requests up" not in admin.get("/databases/hub/logs").text
    answer = admin.post("/databases/hub/logs/generator", data={"rows": "10", "days": "1", "seed": "1"})
    assert answer.status_code == 409
    assert hub.jobs.active("hub") == []


def test_a_user_finds_no_such_page(user: Browser, made: Connection) -> None:
    assert user.get(PAGE).status_code == 403
    assert user.post(PAGE, data={"rows": "10", "days": "1", "seed": "1"}).status_code == 403
