"""Rows that go by themselves: once a night, by the rule of their table, and counted on the page before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from storage.errors import Invalid
from storage.jobs.model import Job, JobKind
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection
from storage.settings import Settings
from tests.conftest import StandingClock
from tests.servers import Server
from tests.storage.logs.cleanup.conftest import Hub
from tests.storage.logs.conftest import NOWHERE

pytestmark = pytest.mark.postgres
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def standing(
    server: Server, storage_folder: Path, tmp_path: Path, hub_database: Connection, clock: StandingClock
) -> Iterator[Hub]:
    """The small hub in Berlin, at 14:14 of 22 November 2026 until the test says otherwise."""
    settings = Settings(
        data_folder=storage_folder,
        private_folder=tmp_path / "private",
        database_url=NOWHERE,
        database_variable="DATABASE_URL",
        time_zone="Europe/Berlin",
    )
    storage = open_storage(settings, clock=clock)
    storage.databases.add("hub", hub_database, by="tests")
    yield Hub(storage, hub_database)
    storage.stop()


def asked(storage: Storage) -> list[Job]:
    return [job for job in storage.jobs.newest_first() if job.kind is JobKind.CLEAN_UP]


def test_once_a_night_each_table_with_a_rule_is_cleaned_up_and_no_other(standing: Hub, clock: StandingClock) -> None:
    retention = standing.cleanup.retentions
    retention.change("hub", {"message_request": 2}, archive=None, by="ana")
    standing.cleanup.nightly()
    assert asked(standing.storage) == [], "the first look only begins to count"
    clock.moment = datetime(2026, 11, 23, 4, 29, 59, tzinfo=BERLIN)
    standing.cleanup.nightly()
    assert asked(standing.storage) == []
    [tonight] = standing.cleanup.tonight("hub")
    clock.moment = standing.cleanup.next_night()
    assert clock.moment == datetime(2026, 11, 23, 4, 30, tzinfo=BERLIN)
    standing.cleanup.nightly()
    standing.cleanup.nightly()
    [job] = asked(standing.storage)
    assert job.requested_by == "log retention"
    ended = standing.storage.runner.run_here(job)
    assert tonight.preview is not None
    assert ended.result["rows"] == tonight.preview.rows == 6
    assert standing.ids("created_at <= '2026-11-21 04:30+01'") == []
    assert standing.ask("SELECT count(*) FROM provider_endpoint_probe_logs") == 4
    clock.forward(days=1)
    standing.cleanup.nightly()
    assert len(asked(standing.storage)) == 2


@pytest.mark.parametrize("day", [datetime(2027, 3, 28, tzinfo=BERLIN), datetime(2027, 10, 31, tzinfo=BERLIN)])
def test_a_night_with_a_change_of_the_clocks_brings_one_run(standing: Hub, clock: StandingClock, day: datetime) -> None:
    standing.cleanup.retentions.change("hub", {"message_request": 365}, archive=None, by="ana")
    clock.moment = (day - timedelta(hours=2)).astimezone(UTC)
    standing.cleanup.nightly()
    for _twenty_minutes in range(36):
        clock.forward(minutes=20)
        standing.cleanup.nightly()
    assert len(asked(standing.storage)) == 1


def test_a_rule_may_have_rows_archived_first(standing: Hub, clock: StandingClock) -> None:
    standing.cleanup.retentions.change("hub", {"provider_endpoint_probe_logs": 1}, archive="", by="ana")
    standing.cleanup.nightly()
    clock.forward(days=30)
    standing.cleanup.nightly()
    [job] = asked(standing.storage)
    standing.storage.runner.run_here(job)
    [archive] = standing.cleanup.archives.of("hub")
    assert (archive.rows, archive.table) == (4, "public.provider_endpoint_probe_logs")


def test_a_rule_of_a_database_that_cannot_be_reached_hinders_no_other(standing: Hub, clock: StandingClock) -> None:
    standing.cleanup.retentions.change("hub", {"gone_table": 5, "message_request": 5}, archive=None, by="ana")
    nights = {one.table: one for one in standing.cleanup.tonight("hub")}
    assert nights["gone_table"].error is not None and nights["message_request"].preview is not None


@pytest.mark.parametrize("days", [0, -1, 40_000])
def test_days_that_cannot_be_are_refused(standing: Hub, days: int) -> None:
    with pytest.raises(Invalid, match="from 1 to"):
        standing.cleanup.retentions.change("hub", {"message_request": days}, archive=None, by="ana")
    assert standing.cleanup.retentions.of("hub").days == {}
