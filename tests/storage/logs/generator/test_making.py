"""Rows are made up: as many as were asked for, the same ones every time, in the shape of people at work."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storage.applications import maps
from storage.jobs.model import JobKind, JobState
from storage.logs.generator.request import GeneratorRequest
from storage.logs.generator.run import Maker
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.generating import ASKED, UNTIL, ask, make

pytestmark = pytest.mark.postgres

CONTENT = "SELECT md5(string_agg(md5((to_jsonb(r) - 'id')::text), '' ORDER BY id)) FROM message_request r"


def test_as_many_rows_are_made_as_were_asked_for_and_they_fill_the_days(marked: Storage, unused: Connection) -> None:
    job = make(marked)
    assert (job.state, job.result) == (JobState.COMPLETED, {"rows": 12_345, "seed": 7})
    [(rows, first, last, days)] = ask(
        unused,
        "SELECT count(*), min(created_at), max(created_at), count(DISTINCT created_at::date) FROM message_request",
    )
    assert rows == 12_345
    assert datetime(2026, 10, 23, 13, 0, tzinfo=UTC) <= first < datetime(2026, 10, 24, 13, 0, tzinfo=UTC)
    assert datetime(2026, 11, 22, 12, 0, tzinfo=UTC) < last < UNTIL
    assert days == 31


def test_every_row_belongs_to_a_user_a_key_and_a_provider_that_are_there(marked: Storage, unused: Connection) -> None:
    make(marked)
    assert ask(
        unused,
        """SELECT count(*) FROM message_request r JOIN users ON users.id = r.user_id
           JOIN keys ON keys.key = r.key AND keys.user_id = r.user_id AND keys.deleted_at IS NULL
           LEFT JOIN providers ON providers.id = r.provider_id
           WHERE providers.id IS NOT NULL OR (r.provider_id = 0 AND r.blocked_by IS NOT NULL)""",
    ) == [(12_345,)]


def test_the_shape_of_the_rows_is_that_of_people_at_work(marked: Storage, unused: Connection) -> None:
    make(marked)
    [(office, night, failed, blocked, retried, sonnet, haiku, session)] = ask(
        unused,
        """SELECT count(*) FILTER (WHERE hour BETWEEN 9 AND 17) / 9.0, count(*) FILTER (WHERE hour < 6) / 6.0,
                  avg((status_code IS DISTINCT FROM 200 AND blocked_by IS NULL)::int),
                  avg((blocked_by IS NOT NULL)::int),
                  avg(jsonb_path_exists(provider_chain, '$[*] ? (@.attemptNumber > 1)')::int),
                  avg((original_model LIKE '%sonnet%')::int), avg((original_model LIKE '%haiku%')::int),
                  count(*)::float / count(DISTINCT session_id)
           FROM message_request,
                LATERAL (SELECT extract(hour FROM created_at AT TIME ZONE 'Asia/Shanghai') AS hour) AS here""",
    )
    assert office > 10 * night
    assert 0.03 < failed < 0.10
    assert 0.005 < blocked < 0.025
    assert 0.04 < retried < 0.12
    assert sonnet > haiku > 0.1
    assert 6 < session < 7
    assert ask(unused, "SELECT count(*) FROM message_request WHERE request_sequence > 20")[0][0] > 0
    assert ask(
        unused,
        """SELECT count(*) FROM (SELECT created_at < lag(created_at) OVER (
               PARTITION BY session_id ORDER BY request_sequence) AS back FROM message_request) AS s WHERE back""",
    ) == [(0,)]


def test_one_seed_gives_the_same_rows_in_whatever_batches_and_another_gives_others(
    marked: Storage, unused: Connection
) -> None:
    make(marked)
    [(first,)] = ask(unused, CONTENT)

    def again(request: GeneratorRequest, batch_rows: int) -> str:
        with connect(unused, application="tests") as session:
            session.execute("TRUNCATE message_request RESTART IDENTITY")
        maker = Maker(
            profile_of=marked.profile, applications=maps.load_maps(), locks=marked.locks, batch_rows=batch_rows
        )
        marked.runner.register(JobKind.GENERATE, maker.run)
        make(marked, request)
        return str(ask(unused, CONTENT_BY_VALUE)[0][0])

    assert again(ASKED, 10_000) == again(ASKED, 777)
    assert again(replace(ASKED, seed=8), 10_000) != again(ASKED, 10_000)
    assert ask(unused, CONTENT) == [(first,)]


CONTENT_BY_VALUE = """
SELECT md5(string_agg(value, '' ORDER BY value)) FROM (SELECT md5((to_jsonb(r) - 'id')::text) AS value
FROM message_request r) AS rows
"""
