"""What a clean-up deletes: what the preview counted, in short batches, whatever happens beside it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from storage.clock import utc_now
from storage.jobs.model import Job, JobState
from storage.logs.cleanup import batches, deleting
from storage.logs.cleanup.request import CleanupRequest, older_than
from storage.postgres.connection import connect
from tests.storage.logs.cleanup.conftest import Hub, refusal_of

pytestmark = pytest.mark.postgres


@pytest.fixture(params=["by time", "by blocks"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways through a table, whichever share of it goes."""
    monkeypatch.setattr(batches, "MANY", 0.0 if request.param == "by blocks" else 2.0)


def days_ago(days: int) -> datetime:
    return older_than(days, now=utc_now())


@pytest.mark.usefixtures("way")
def test_a_run_deletes_what_the_preview_counted_and_nothing_else(small: Hub) -> None:
    small.fill(12_000)
    preview = small.cleanup.preview("hub", CleanupRequest(before=days_ago(7)))
    stay = small.ids(f"created_at IS NULL OR created_at > '{preview.request.before}'")
    soft = small.ask("SELECT count(*) FROM message_request WHERE deleted_at IS NOT NULL AND created_at <= %(b)s",
                     b=preview.request.before)  # fmt: skip
    assert 0 < preview.rows < 12_000 and sum(day.rows for day in preview.days) == preview.rows
    assert preview.soft_deleted == soft > 0
    job = small.cleaned(preview.request)
    assert small.ids() == stay
    assert job.result["rows"] == preview.rows and job.result["soft_deleted"] == soft
    assert job.result["batches"] > 1 and job.result["vacuumed"] and job.result["left"] == 0
    assert job.result["freed"] + job.result["reusable"] > 0
    assert small.cleanup.preview("hub", preview.request).rows == 0


@pytest.mark.usefixtures("way")
def test_rows_that_come_while_it_runs_are_neither_counted_nor_deleted(small: Hub) -> None:
    """Also those of a transaction that was open already: its rows are as old as the transaction."""
    small.fill(9000)
    with connect(small.connection, application="writer", autocommit=False) as writer:
        writer.execute("SELECT 1")
        preview = small.cleanup.preview("hub", CleanupRequest(statuses=(500,)))
        writer.execute(
            "INSERT INTO message_request (user_id, key, provider_id, status_code) SELECT 1, 'late', 1, 500"
            " FROM generate_series(1, 50)"
        )
        writer.commit()
        job, _ = small.cleanup.start("hub", preview.request, by="ana", background=False)
        stop = threading.Event()

        def write() -> None:
            with connect(small.connection, application="writer") as session:
                while not stop.is_set():
                    session.execute(
                        "INSERT INTO message_request (user_id, key, provider_id, status_code)"
                        " VALUES (1, 'late', 1, 500)"
                    )

        thread = threading.Thread(target=write)
        thread.start()
        try:
            job = small.storage.runner.run_here(job)
        finally:
            stop.set()
            thread.join()
    assert job.result["rows"] == preview.rows > 0
    assert small.ask("SELECT count(*) FROM message_request WHERE key = 'late'") >= 50
    assert small.ids("status_code = 500 AND key <> 'late' AND created_at IS NOT NULL") == []


@pytest.mark.usefixtures("way")
def test_many_rows_of_one_moment_are_deleted_in_several_batches(small: Hub) -> None:
    small.fill(3000)
    small.rows(
        "INSERT INTO message_request (user_id, key, provider_id, model, created_at) SELECT 1, 'bunch', 1, 'm',"
        " now() - interval '3 days' FROM generate_series(1, 40000)"
    )
    before = small.sums()
    job = small.cleaned(CleanupRequest(before=days_ago(2)))
    assert small.ids("key = 'bunch'") == []
    assert job.result["batches"] >= 5
    assert small.sums() == before


@pytest.mark.parametrize("index", ["", "CREATE INDEX ON message_request (created_at) WHERE user_id > 1"])
def test_a_table_without_an_index_on_its_time_is_cleaned_up_block_by_block(small: Hub, index: str) -> None:
    small.fill(9000)
    small.rows("DROP INDEX idx_message_request_created_at")
    small.rows("DROP INDEX idx_message_request_cursor")
    if index:
        small.rows(index)
    preview = small.cleanup.preview("hub", CleanupRequest(before=days_ago(20)))
    job = small.cleaned(preview.request)
    assert job.result["rows"] == preview.rows > 3000
    assert job.result["batches"] > 1
    assert small.ids(f"created_at <= '{preview.request.before}'") == []


@pytest.mark.usefixtures("way")
def test_rows_in_somebodys_hands_hold_nobody_up_and_are_deleted_at_the_end_or_left(small: Hub) -> None:
    """The writer's own patience is 30 ms: the clean-up never waits for it while it holds what the writer wants."""
    small.fill(6000)
    held, wanted = small.ids("created_at < now() - interval '10 days'")[:2]
    with connect(small.connection, application="writer", autocommit=False) as writer:
        writer.execute("UPDATE message_request SET model = 'held' WHERE id = %s", [held])
        job = small.run(CleanupRequest(before=days_ago(5)))
        writer.execute("SET lock_timeout = '30ms'")
        writer.execute("INSERT INTO message_request (user_id, key, provider_id) VALUES (1, 'new', 1)")
        writer.execute("SELECT 1 FROM message_request WHERE id = %s FOR UPDATE", [wanted])
    assert job.state is JobState.COMPLETED
    assert job.result["left"] == 1
    assert small.ids("created_at < now() - interval '5 days'") == [held]
    assert small.cleaned(CleanupRequest(before=days_ago(5))).result["rows"] == 1


@pytest.mark.usefixtures("way")
def test_a_writer_is_never_kept_waiting(small: Hub) -> None:
    """Every update of a row that is about to go either is done at once or finds the row gone."""
    small.fill(20_000)
    ids = small.ids("created_at < now() - interval '10 days' AND id % 50 = 0")
    refused: list[str] = []
    done = threading.Event()

    def write() -> None:
        with connect(small.connection, application="writer", options="-c lock_timeout=200ms") as session:
            while not done.is_set():
                for number in ids:
                    try:
                        session.execute("UPDATE message_request SET duration_ms = 1 WHERE id = %s", [number])
                    except psycopg.errors.LockNotAvailable as error:
                        refused.append(str(error))
                    if done.is_set():
                        return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        job = small.cleaned(CleanupRequest(before=days_ago(10)))
    finally:
        done.set()
        thread.join()
    assert refused == []
    assert job.result["left"] == 0 and small.ids("created_at < now() - interval '10 days'") == []


SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.15); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER DELETE ON message_request FOR EACH STATEMENT EXECUTE FUNCTION slow();
"""
"""Each batch takes longer than a job takes to look whether somebody asked for its end."""


def test_a_cancelled_run_says_what_is_gone_and_the_next_goes_on(small: Hub) -> None:
    small.fill(20_000)
    small.rows(SLOW)
    before = small.sums()
    preview = small.cleanup.preview("hub", CleanupRequest(before=days_ago(3)))
    job, _ = small.cleanup.start("hub", preview.request, by="ana", background=False)

    def stop_once_some_are_gone(now: Job) -> None:
        if now.progress.rows and small.storage.jobs.asked_to_stop(job.job_id) is None:
            small.storage.jobs.ask_to_stop(job.job_id, by="lin")

    ended = small.storage.runner.run_here(job, on_progress=stop_once_some_are_gone)
    assert ended.state is JobState.CANCELLED
    gone = preview.rows - small.cleanup.preview("hub", preview.request).rows
    assert 0 < gone < preview.rows
    assert refusal_of(ended) == f"{gone} rows were deleted and stay deleted. Cancelled by lin."
    assert small.sums() == before
    assert small.cleaned(preview.request).result["rows"] == preview.rows - gone
    assert small.sums() == before


def test_after_a_cancelled_run_its_archive_and_its_job_say_how_many_rows_are_gone(small: Hub) -> None:
    small.fill(20_000)
    small.rows(SLOW)
    request = small.cleanup.preview("hub", CleanupRequest(before=days_ago(3))).request
    before = small.ask("SELECT count(*) FROM message_request")
    job, _ = small.cleanup.start("hub", request, by="ana", background=False, archive="")

    def stop_once_some_are_gone(now: Job) -> None:
        if small.ask("SELECT count(*) FROM message_request") < before:
            small.storage.jobs.ask_to_stop(job.job_id, by="lin")

    ended = small.storage.runner.run_here(job, on_progress=stop_once_some_are_gone)
    assert ended.state is JobState.CANCELLED
    gone = before - small.ask("SELECT count(*) FROM message_request")
    [archive] = small.cleanup.archives.of("hub")
    assert 0 < gone < archive.rows
    assert (archive.deleted, ended.result["rows"]) == (gone, gone)


def test_rows_that_lie_alone_among_newer_ones_go_as_well(small: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample overlooks them; what is left after the first way through the table is looked for."""
    monkeypatch.setattr(batches, "STRETCH", 16)
    monkeypatch.setattr(batches, "SAMPLE", 2)
    found: list[int] = []
    find_left = batches.find_left

    def noted(*arguments: Any) -> list[batches.Left]:
        places = find_left(*arguments)
        found.append(sum(place.rows for place in places))
        return places

    monkeypatch.setattr(batches, "find_left", noted)
    small.fill(10_000)
    small.rows(
        "INSERT INTO message_request (created_at, user_id, key, provider_id, model, cost_usd)"
        " SELECT now() - CASE WHEN n % 499 = 0 THEN interval '20 days' ELSE interval '1 minute' END,"
        " 1, 'sk-ana', 1, 'alone', 1 FROM generate_series(1, 20000) n"
    )
    small.rows("VACUUM ANALYZE message_request")
    before = small.sums()
    preview = small.cleanup.preview("hub", CleanupRequest(before=days_ago(10)))
    job = small.cleaned(preview.request)
    assert job.result["rows"] == preview.rows and job.result["left"] == 0
    assert small.cleanup.preview("hub", preview.request).rows == 0
    assert found and 0 < found[0] <= 40, "the sample overlooked none, or too much"
    assert small.sums() == before


@pytest.mark.parametrize(
    ("first", "end", "blocks"),
    [
        (0, 1, [0]),
        (0, 8, list(range(8))),
        (5, 14, [5, 6, 7, 8, 9, 10, 11, 13]),
        (0, 512, [0, 73, 146, 219, 292, 365, 438, 511]),
    ],
)
def test_a_sample_has_the_first_block_and_the_last(first: int, end: int, blocks: list[int]) -> None:
    assert batches.sampled(first, end) == blocks


def test_nothing_is_deleted_where_rows_of_another_table_would_go_with_them(small: Hub) -> None:
    small.rows("CREATE TABLE notes (request_id int REFERENCES message_request ON DELETE CASCADE)")
    job = small.run(CleanupRequest(before=datetime(2026, 11, 21, tzinfo=UTC)))
    assert refusal_of(job).startswith("Nothing was deleted. Rows of notes belong to rows of public.message_request")
    assert len(small.ids()) == 14


def test_a_role_that_may_not_delete_is_told_so_and_nothing_is_gone(small: Hub) -> None:
    small.rows("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not from here'; END $$")
    small.rows("CREATE TRIGGER no BEFORE DELETE ON message_request FOR EACH ROW EXECUTE FUNCTION refuse()")
    job = small.run(CleanupRequest(before=datetime(2026, 11, 21, tzinfo=UTC)))
    assert job.state is JobState.FAILED
    assert refusal_of(job).startswith("Nothing was deleted.")
    assert job.error is not None and "not from here" in job.error["words"]


def test_a_batch_begins_when_the_log_of_the_server_has_room(small: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    small.rows("CREATE SEQUENCE looks")
    monkeypatch.setattr(deleting, "_LOG_IS_BEHIND", "SELECT nextval('looks') < 4")
    job = small.cleaned(CleanupRequest(before=datetime(2026, 11, 21, tzinfo=UTC)))
    # Three times it was behind, then once before each batch it was not.
    assert small.ask("SELECT last_value FROM looks") == 3 + job.result["batches"]


def test_a_server_that_does_not_say_how_far_its_log_is_holds_no_batch_up(small: Hub) -> None:
    small.rows("CREATE ROLE asks_in_vain")
    small.rows("REVOKE EXECUTE ON FUNCTION pg_current_wal_insert_lsn() FROM PUBLIC")
    try:
        with connect(small.connection, application="tests") as session:
            session.execute("SET ROLE asks_in_vain")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("SELECT pg_current_wal_insert_lsn()")
            deleting.let_the_log_be_written(session)
    finally:
        small.rows("DROP ROLE asks_in_vain")


def test_probe_logs_are_cleaned_up_by_their_age(small: Hub) -> None:
    request = CleanupRequest(table="provider_endpoint_probe_logs", before=datetime(2026, 11, 22, 12, 1, tzinfo=UTC))
    assert small.cleanup.preview("hub", request).rows == 3
    assert small.cleaned(request).result["rows"] == 3
    assert small.ask("SELECT count(*) FROM provider_endpoint_probe_logs") == 1


def test_any_table_is_cleaned_up_by_a_time_column(small: Hub) -> None:
    small.rows('CREATE SCHEMA other; CREATE TABLE other."odd name" ("at" timestamp, n int)')
    small.rows("INSERT INTO other.\"odd name\" SELECT timestamp '2026-11-01' + n * interval '1 day', n"
               " FROM generate_series(0, 9) n")  # fmt: skip
    request = CleanupRequest(table="other.odd name", time_column="at", before=datetime(2026, 11, 3, tzinfo=UTC))
    assert small.cleanup.preview("hub", request).rows == 3
    assert small.cleaned(request).result["rows"] == 3
    assert small.rows('SELECT min(n), count(*) FROM other."odd name"') == [(3, 7)]


def test_the_per_day_picture_is_of_the_zone_of_the_instance(small: Hub) -> None:
    request = CleanupRequest(before=datetime(2026, 11, 22, tzinfo=UTC), after=datetime(2026, 11, 21, tzinfo=UTC))
    preview = small.cleanup.preview("hub", request)
    assert [(str(day.day), day.rows) for day in preview.days] == [("2026-11-21", 5), ("2026-11-22", 1)]
    assert preview.first == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert preview.last == datetime(2026, 11, 22, tzinfo=UTC)
    assert preview.bytes > 0


def test_what_a_partitioned_table_holds_is_deleted_from_all_of_its_parts(small: Hub) -> None:
    small.rows("CREATE TABLE parted (at timestamptz, n int) PARTITION BY RANGE (at)")
    for month in (1, 2, 3):
        small.rows(
            f"CREATE TABLE parted_{month} PARTITION OF parted"
            f" FOR VALUES FROM ('2026-0{month}-01') TO ('2026-0{month + 1}-01')"
        )
    small.rows(
        "INSERT INTO parted SELECT timestamptz '2026-01-01' + n * interval '10 minutes', n"
        " FROM generate_series(1, 11000) n"
    )
    request = CleanupRequest(table="parted", time_column="at", before=datetime(2026, 2, 15, tzinfo=UTC))
    preview = small.cleanup.preview("hub", request)
    job = small.cleaned(preview.request, archive="")
    assert job.result["rows"] == preview.rows == 6480
    assert small.ask("SELECT min(at) FROM parted") > datetime(2026, 2, 15, tzinfo=UTC)
    small.put_back(job.result["archive_id"])
    assert small.ask("SELECT count(*) FROM parted") == 11000
