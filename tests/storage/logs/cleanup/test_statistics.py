"""The sums by day, user and model are the same before and after rows were deleted, and after they were put back."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from storage.clock import utc_now
from storage.errors import say
from storage.jobs.model import JobKind, JobState, Progress, Step
from storage.jobs.store import interrupted
from storage.logs.cleanup.request import CleanupRequest, older_than
from tests.builders import NOON, a_job
from tests.storage.logs.cleanup.conftest import Hub, refusal_of

pytestmark = pytest.mark.postgres
ALL = CleanupRequest(before=datetime(2026, 11, 22, 12, tzinfo=UTC), moment=datetime(2027, 1, 1, tzinfo=UTC))


def test_what_is_kept_of_deleted_rows_is_by_utc_day_user_and_model(small: Hub) -> None:
    small.cleaned(ALL)
    kept = small.rows(
        "SELECT day::text, user_id, model, requests, failed, blocked, input_tokens, output_tokens, cache_write_5m,"
        " cache_write_1h, cache_read, total_tokens, cost FROM usage_daily ORDER BY 1, 2, 3"
    )
    assert len(kept) == 9
    assert kept[0] == ("2026-11-20", "1", "claude-haiku-4-5", 1, 1, 1, 0, 0, 0, 0, 0, 0, Decimal(0))
    assert kept[1] == (
        "2026-11-20", "1", "claude-sonnet-4-5", 2, 1, 0, 11, 22, 33, 44, 55, 165, Decimal("0.123456789012345"),
    )  # fmt: skip
    assert kept[2][:6] == ("2026-11-20", "2", "claude-haiku-4-5", 2, 1, 0) and kept[2][11] == 507
    assert {row[0] for row in kept} == {"2026-11-20", "2026-11-21", "2026-11-22"}
    assert all(row[2] != "deleted-model" for row in kept), "what the application has deleted counts nowhere"


def test_sums_add_up_over_several_runs_and_come_off_again_when_rows_are_put_back(small: Hub) -> None:
    small.fill(6000)
    before = small.sums()
    first = small.cleaned(CleanupRequest(before=older_than(20, now=utc_now())), archive="")
    second = small.cleaned(CleanupRequest(before=older_than(10, now=utc_now())), archive="")
    small.cleaned(CleanupRequest(users=("2",)))
    assert small.sums() == before
    assert small.ask("SELECT sum(requests) FROM usage_daily") > 1000
    for job in (first, second, first):
        small.put_back(job.result["archive_id"])
        assert small.sums() == before
    assert small.ask("SELECT count(*) FROM usage_daily WHERE requests = 0") == 0


def test_sums_are_kept_of_a_usage_log_by_whichever_column_it_is_cleaned_up(small: Hub) -> None:
    before = small.sums()
    small.rows("UPDATE message_request SET updated_at = '2026-11-01' WHERE id IN (1, 3)")
    by_change = CleanupRequest(
        table="public.message_request", time_column="updated_at", before=datetime(2026, 11, 2, tzinfo=UTC)
    )
    assert small.cleaned(by_change).result["rows"] == 2
    assert small.sums() == before
    assert {str(day) for (day,) in small.rows("SELECT day FROM usage_daily")} == {"2026-11-20"}


def test_a_table_of_that_name_that_is_not_ours_is_left_alone_and_nothing_is_deleted(small: Hub) -> None:
    small.rows("CREATE TABLE usage_daily (day date, hits int)")
    job = small.run(ALL)
    assert job.state is JobState.FAILED
    assert refusal_of(job).startswith("Nothing was deleted. The database has a table public.usage_daily")
    assert len(small.ids()) == 14


def test_nothing_is_deleted_where_the_sums_cannot_be_kept(small: Hub) -> None:
    small.rows("CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no tables'; END $$")
    small.rows("CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION no()")
    job = small.run(ALL)
    assert refusal_of(job).startswith("Nothing was deleted.")
    assert len(small.ids()) == 14


def test_a_row_that_a_trigger_keeps_is_in_no_sum(small: Hub) -> None:
    before = small.sums()
    small.rows("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    small.rows(
        "CREATE TRIGGER keep BEFORE DELETE ON message_request FOR EACH ROW WHEN (OLD.id IN (1, 3))"
        " EXECUTE FUNCTION keep()"
    )
    job = small.cleaned(ALL)
    assert {1, 3} <= set(small.ids())
    assert job.result["rows"] == 14 - len(small.ids())
    assert small.sums() == before
    assert small.ask("SELECT sum(requests) FROM usage_daily") > 0


def test_a_row_that_the_application_changes_while_it_is_deleted_is_summed_up_as_it_went(small: Hub) -> None:
    before = small.sums()
    small.rows(
        "CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN OLD; END $$"
    )
    small.rows(
        "CREATE TRIGGER rest BEFORE DELETE ON message_request FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION rest()"
    )
    job, _ = small.cleanup.start("hub", ALL, by="ana", background=False)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(small.storage.runner.run_here, job)
        while not small.ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            assert not running.done()
        small.rows("UPDATE message_request SET cost_usd = cost_usd + 1000, input_tokens = 5 WHERE id = 3")
        assert running.result().state is JobState.COMPLETED
    assert 3 not in small.ids()
    assert small.sums()[6] == before[6] + 1000


@pytest.mark.slow
@pytest.mark.parametrize("at", ["cleanup:batch", "cleanup:archived"])
def test_a_kill_between_batches_counts_no_row_twice_and_loses_none(small: Hub, at: str) -> None:
    small.fill(9000)
    before, everything = small.sums(), small.ids()
    preview = small.cleanup.preview("hub", CleanupRequest(before=older_than(5, now=utc_now())))
    job, _ = small.cleanup.start("hub", preview.request, by="ana", background=False, archive="")
    small.storage.runner._held.pop(job.job_id).release()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(small.storage.settings.data_folder), job.job_id],
        env={**os.environ, "PGHAVEN_CRASH_AT": at, "PYTHONPATH": str(Path.cwd())},
        timeout=120,
    )
    assert child.returncode == -9
    gone = len(everything) - len(small.ids())
    assert gone < preview.rows and (gone > 0) == (at == "cleanup:batch")
    assert small.sums() == before
    small.storage.upkeep.settle()
    ended = small.storage.jobs.get(job.job_id)
    assert ended.state is JobState.INTERRUPTED
    if at == "cleanup:batch":
        assert "may have been deleted; they stay deleted" in refusal_of(ended)
    else:
        assert "Nothing was" in refusal_of(ended)
    again = small.cleaned(preview.request)
    assert again.result["rows"] == preview.rows - gone
    assert small.sums() == before
    [archive] = small.cleanup.archives.of("hub")
    small.put_back(archive.archive_id)
    assert small.ids() == everything and small.sums() == before


CHILD = """
import sys
from pathlib import Path
from storage.opening import open_storage
from storage.settings import Settings
from storage.secret import Secret
storage = open_storage(Settings(data_folder=Path(sys.argv[1]), private_folder=Path(sys.argv[1]) / "private",
                                database_url=Secret("postgresql://nobody@127.0.0.1:1/nothing"),
                                database_variable="DATABASE_URL"))
job = storage.jobs.get(sys.argv[2])
storage.runner._held[job.job_id] = storage.locks.take(storage.jobs.lock_name(job.job_id), holder="other")
storage.runner.run_here(job)
"""


def test_a_clean_up_whose_process_ended_says_how_many_rows_are_gone() -> None:
    steps = (Step(code="delete", title=say("Delete"), started_at=NOON),)
    job = a_job(JobKind.CLEAN_UP, steps=steps, progress=Progress(step="delete", rows=4812))
    assert str(interrupted(job).effect) == "At least 4812 rows were deleted and stay deleted."
