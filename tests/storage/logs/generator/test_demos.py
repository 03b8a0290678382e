"""Rows are made up in demos alone, and whatever ends it early leaves whole batches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storage.applications import demo, maps
from storage.errors import Conflict, Invalid, NotFound, say
from storage.jobs.model import Job, JobKind, JobState, Progress, Step
from storage.jobs.store import INTERRUPTED, interrupted
from storage.logs.generator.run import Maker
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.builders import NOON, a_job
from tests.generating import ASKED, ask, make
from tests.hub import a_hub
from tests.servers import Server

pytestmark = pytest.mark.postgres


CONTENT = "SELECT md5(string_agg(r::text, '' ORDER BY id)) FROM message_request r"


def test_a_database_that_is_not_marked_gets_no_row(an_open_storage: Storage, server: Server) -> None:
    with a_hub(server) as connection:
        an_open_storage.databases.add("made", connection, by="tests")
        before = ask(connection, CONTENT)
        with pytest.raises(Conflict, match="is not marked as a demo"):
            an_open_storage.logs.generator.start("made", ASKED, by="ana")
        assert an_open_storage.logs.generator.is_demo("made") is False
        assert ask(connection, CONTENT) == before


def test_a_name_that_leads_elsewhere_meanwhile_writes_nothing_there(marked: Storage, server: Server) -> None:
    job, _ = marked.logs.generator.start("made", ASKED, by="ana", background=False)
    with a_hub(server) as production:
        before = ask(production, CONTENT)
        marked.runner.register(
            JobKind.GENERATE,
            Maker(
                profile_of=lambda name: marked.profile(name).with_(connection=production),
                applications=maps.load_maps(),
                locks=marked.locks,
            ).run,
        )
        ended = marked.runner.run_here(job)
        assert ended.state is JobState.FAILED
        assert ended.error is not None
        assert ended.error["effect"]["template"] == "No rows were made."
        assert ask(production, CONTENT) == before


def test_a_mark_that_goes_in_the_middle_ends_the_work_at_the_next_batch(marked: Storage, unused: Connection) -> None:
    job, _ = marked.logs.generator.start("made", replace(ASKED, rows=50_000), by="ana", background=False)
    gone: list[bool] = []

    def look(now: Job) -> None:
        if now.progress.rows and not gone:
            gone.append(True)
            with connect(unused, application="tests") as session:
                session.execute("COMMENT ON TABLE message_request IS 'requests'")

    ended = marked.runner.run_here(job, on_progress=look)
    assert ended.state is JobState.FAILED
    assert ended.result["rows"] == 10_000
    assert ask(unused, "SELECT count(*) FROM message_request") == [(10_000,)]


def test_what_is_cancelled_leaves_whole_batches(marked: Storage, unused: Connection) -> None:
    job = make(marked, replace(ASKED, rows=60_000), stop_at=20_000)
    assert job.state is JobState.CANCELLED
    assert job.error is not None
    assert job.error["effect"]["facts"] == {"count": job.result["rows"]}
    [(rows,)] = ask(unused, "SELECT count(*) FROM message_request")
    assert rows == job.result["rows"]
    assert rows in (20_000, 30_000)


def test_the_same_that_waits_already_is_not_asked_for_twice(marked: Storage) -> None:
    first, new = marked.logs.generator.start("made", ASKED, by="ana", background=False)
    later = replace(ASKED, until=datetime(2026, 11, 22, 13, 1, tzinfo=UTC))
    second, again = marked.logs.generator.start("made", later, by="ben", background=False)
    assert (new, again, first.job_id == second.job_id) == (True, False, True)
    other, new = marked.logs.generator.start("made", replace(ASKED, seed=8), by="ben", background=False)
    assert new and other.job_id != first.job_id
    for job in (first, other):
        marked.jobs.ask_to_stop(job.job_id, by="ana")
        marked.runner.run_here(job)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"rows": 0}, "rows"), ({"rows": 10_000_001}, "rows"), ({"days": 0}, "days"), ({"seed": -1}, "seed")],
)
def test_numbers_out_of_bounds_are_refused(change: dict[str, int], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        replace(ASKED, **change).checked()


def test_requests_that_nobody_could_have_made_are_none(marked: Storage, unused: Connection) -> None:
    make(marked, replace(ASKED, rows=100))
    with connect(unused, application="tests") as session:
        session.execute("UPDATE providers SET is_enabled = false")
    job = make(marked)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["cause"]["facts"] == {"made": 0, "wanted": 10_000}
    assert ask(unused, "SELECT count(*) FROM message_request") == [(100,)]


def test_the_demo_that_pghaven_makes_itself_is_one(an_open_storage: Storage, server: Server) -> None:
    with server.a_database() as connection:
        with connect(connection, application="tests") as session, session.transaction():
            session.execute(demo.script("hub").encode())
        an_open_storage.databases.add("made", connection, by="tests")
        assert an_open_storage.logs.generator.is_demo("made") is True
        assert make(an_open_storage, replace(ASKED, rows=10)).result["rows"] == 10
        assert ask(connection, "SELECT count(*) FROM message_request") == [(50_010,)]


def test_a_database_in_use_cannot_be_marked(an_open_storage: Storage, server: Server, unused: Connection) -> None:
    generator = an_open_storage.logs.generator
    an_open_storage.databases.add("unused", unused, by="tests")
    with connect(unused, application="tests") as session:
        session.execute("INSERT INTO users (name) VALUES ('Ana')")
    with pytest.raises(Conflict, match="The table users is not empty: somebody uses this database"):
        generator.mark("unused")
    assert generator.is_demo("unused") is False
    with pytest.raises(NotFound):
        generator.mark("shop")


def test_a_mark_keeps_what_the_comment_says_and_is_put_once(marked: Storage, unused: Connection) -> None:
    assert marked.logs.generator.mark("made") is False
    assert ask(unused, "SELECT obj_description('message_request'::regclass)") == [("requests\npghaven: made-up data",)]


def test_a_job_whose_process_is_gone_says_what_stays() -> None:
    begun = (Step(code="make", title=say("Make rows up"), started_at=NOON),)
    job = a_job(JobKind.GENERATE, steps=begun, progress=Progress(rows=20_000))
    assert str(interrupted(job).effect) == "Rows that were made up stay: 20000 or more."
    assert interrupted(a_job(JobKind.GENERATE, steps=())) is INTERRUPTED
