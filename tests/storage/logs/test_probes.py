"""The probe log: every filter, the zone, what is new, and the whole of it as text, one line each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from psycopg import sql

from storage.errors import Invalid, NotFound, StorageError
from storage.logs import probe_query
from storage.logs.probe_query import ProbeFilter
from storage.logs.probes import AT_ONCE, file_name
from storage.logs.stream import RowStream
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.hub import a_hub
from tests.servers import MAJORS, Server

pytestmark = pytest.mark.postgres

NOON, A_MINUTE_LATER = datetime(2026, 11, 22, 12, tzinfo=UTC), datetime(2026, 11, 22, 12, 1, tzinfo=UTC)


def probed(database: Connection, *lines: str) -> list[int]:
    """Write probes of endpoint 1: "ok, status_code, latency_ms, error_type, error_message, created_at, source"."""
    with connect(database, application="tests") as session:
        rows = session.execute(
            "INSERT INTO provider_endpoint_probe_logs"
            " (endpoint_id, ok, status_code, latency_ms, error_type, error_message, created_at, source) VALUES "
            + ", ".join(f"(1, {line})" for line in lines)
            + " RETURNING id"
        )
        return [row[0] for row in rows]


def read(stream: RowStream) -> str:
    with closing(stream):
        pieces = [stream.first]
        while piece := stream.read():
            pieces.append(piece)
    return b"".join(pieces).decode()


def shown(hub: Storage, wanted: ProbeFilter) -> list[str]:
    return [line.text for line in hub.logs.probes.page("hub", "1", wanted).lines]


def test_the_endpoints_are_named_and_those_that_were_deleted_come_last_while_they_have_a_log(
    hub: Storage, hub_database: Connection
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO provider_endpoints (id, vendor_id, url, label, deleted_at)"
            " VALUES (3, 1, 'https://a.example', 'gone', now())"
        )
        session.execute("UPDATE provider_endpoints SET deleted_at = now() WHERE id = 1")
    assert [(one.id, one.title, one.kept) for one in hub.logs.probes.endpoints("hub")] == [
        ("2", "https://relay.example/v1", True),
        ("1", "main · https://claude.example/v1", False),
    ]


def test_a_line_says_whether_the_code_the_time_and_the_error_oldest_first(hub: Storage) -> None:
    page = hub.logs.probes.page("hub", "1", ProbeFilter())
    assert [line.text for line in page.lines] == [
        "OK 200 132ms",
        "FAIL 503 41ms no upstream",
        "FAIL - - first line second line",
    ]
    assert (page.newest, page.before) == (3, None)


def test_an_error_that_says_nothing_is_told_by_its_kind(hub: Storage, hub_database: Connection) -> None:
    probed(hub_database, "false, 504, 9, 'timeout', '', '2026-11-22 12:30+00', 'scheduled'")
    assert shown(hub, ProbeFilter(text="504")) == ["FAIL 504 9ms timeout"]


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        (ProbeFilter(ok=True), ["OK 200 132ms"]),
        (ProbeFilter(ok=False), ["FAIL 503 41ms no upstream", "FAIL - - first line second line"]),
        (ProbeFilter(text="NO UP"), ["FAIL 503 41ms no upstream"]),
        (ProbeFilter(text="timeout"), ["FAIL - - first line second line"]),
        (ProbeFilter(text="50"), ["FAIL 503 41ms no upstream"]),
        (ProbeFilter(text="%"), []),
        (ProbeFilter(source="manual"), ["FAIL 429 7ms Slow Down"]),
        (ProbeFilter(since=A_MINUTE_LATER), ["FAIL 503 41ms no upstream", "FAIL - - first line second line"]),
        (ProbeFilter(since=NOON, until=A_MINUTE_LATER), ["OK 200 132ms"]),
        (ProbeFilter(ok=False, source="manual", text="slow", until=NOON), ["FAIL 429 7ms Slow Down"]),
    ],
)
def test_a_filter_lets_through_what_it_says_on_the_page_and_in_the_export(
    hub: Storage, hub_database: Connection, wanted: ProbeFilter, texts: list[str]
) -> None:
    probed(hub_database, "false, 429, 7, 'http', 'Slow Down', '2026-11-20 09:00+00', 'manual'")
    expected = texts
    if wanted.ok is False and not wanted.source:
        expected = ["FAIL 429 7ms Slow Down", *texts]
    assert shown(hub, wanted) == expected
    exported = read(hub.logs.probes.text("hub", "1", wanted, zone="UTC"))
    assert [line.partition("] ")[2] for line in exported.splitlines()] == expected


def test_the_times_of_an_export_are_those_of_the_zone(hub: Storage) -> None:
    first = read(hub.logs.probes.text("hub", "1", ProbeFilter(ok=True), zone="Asia/Shanghai"))
    assert first == "[20:00:00] OK 200 132ms\n"
    with_day = read(hub.logs.probes.text("hub", "1", ProbeFilter(ok=True), zone="Pacific/Auckland", days=True))
    assert with_day == "[2026-11-23 01:00:00] OK 200 132ms\n"


def test_what_an_error_says_stays_one_line_and_does_nothing_to_a_terminal(
    hub: Storage, hub_database: Connection
) -> None:
    nasty = "E'a\\r\\nb\\tc \\x1b[2Jd \\u0085 \\u202e evil \\u2028 \\\\ \"q\" \\x01\\x02 end'"
    probed(hub_database, f"false, 500, 1, 'x', {nasty}, '2026-11-22 12:30+00', 'scheduled'")
    text = r'FAIL 500 1ms a b c  [2Jd     evil   \ "q"   end'
    [line] = [line for line in shown(hub, ProbeFilter()) if line.startswith("FAIL 500")]
    assert line == text
    assert read(hub.logs.probes.text("hub", "1", ProbeFilter(text="evil"), zone="UTC")) == f"[12:30:00] {text}\n"


def test_a_database_that_cannot_hold_every_letter_has_its_log_read_all_the_same(hub: Storage, server: Server) -> None:
    with connect(server.connection, application="tests") as session:
        session.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    connection = server.connection.to("latin")
    try:
        with connect(connection, application="tests") as session:
            for table in ("users", "keys", "providers", "message_request", "model_prices"):
                session.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(table)))
            session.execute(
                "CREATE TABLE provider_endpoints (id int, vendor_id int, url text, label text, deleted_at timestamptz)"
            )
            session.execute("INSERT INTO provider_endpoints VALUES (1, 1, 'https://a', 'é')")
            session.execute(
                "CREATE TABLE provider_endpoint_probe_logs (id int, endpoint_id int, source text, ok boolean,"
                " status_code int, latency_ms int, error_type text, error_message text, created_at timestamptz)"
            )
            session.execute(
                "INSERT INTO provider_endpoint_probe_logs VALUES (1, 1, 'manual', false, 500, 2, 'x',"
                " E'caf\\u00e9\\nclosed', '2026-11-22 12:00+00')"
            )
        hub.databases.add("latin", connection, by="tests")
        assert read(hub.logs.probes.text("latin", "1", ProbeFilter(), zone="UTC")) == (
            "[12:00:00] FAIL 500 2ms café closed\n"
        )
        assert [one.title for one in hub.logs.probes.endpoints("latin")] == ["é · https://a"]
    finally:
        server.drop_database("latin")


def test_only_what_is_new_follows_and_nothing_twice(hub: Storage, hub_database: Connection) -> None:
    page = hub.logs.probes.page("hub", "1", ProbeFilter())
    known = page.newest
    assert hub.logs.probes.since("hub", "1", ProbeFilter(), newest=known).lines == []
    [first] = probed(hub_database, "true, 200, 5, NULL, NULL, '2026-11-22 12:03+00', 'scheduled'")
    [second] = probed(hub_database, "false, 502, 6, 'http', 'bad gateway', '2026-11-22 12:04+00', 'runtime'")
    new = hub.logs.probes.since("hub", "1", ProbeFilter(), newest=known)
    assert [line.id for line in new.lines] == [first, second]
    assert new.newest == second
    assert hub.logs.probes.since("hub", "1", ProbeFilter(), newest=new.newest).lines == []
    failed = hub.logs.probes.since("hub", "1", ProbeFilter(ok=False), newest=known)
    assert [line.text for line in failed.lines] == ["FAIL 502 6ms bad gateway"]


def test_what_the_filter_leaves_out_is_not_asked_for_again(hub: Storage, hub_database: Connection) -> None:
    [left_out] = probed(hub_database, "true, 200, 5, NULL, NULL, '2026-11-22 12:03+00', 'scheduled'")
    assert hub.logs.probes.since("hub", "1", ProbeFilter(ok=False), newest=3).newest == left_out


def test_more_new_lines_than_come_at_once_come_one_after_the_other(hub: Storage, hub_database: Connection) -> None:
    line = "true, 200, {}, NULL, NULL, '2026-11-22 12:03+00', 'scheduled'"
    made = probed(hub_database, *(line.format(n) for n in range(AT_ONCE + 7)))
    first = hub.logs.probes.since("hub", "1", ProbeFilter(), newest=3)
    rest = hub.logs.probes.since("hub", "1", ProbeFilter(), newest=first.newest)
    assert [one.id for one in [*first.lines, *rest.lines]] == made
    assert (len(first.lines), len(rest.lines)) == (AT_ONCE, 7)


def test_pages_of_older_lines_hold_each_once_also_those_of_one_moment_and_without_a_time(
    hub: Storage, hub_database: Connection
) -> None:
    probed(hub_database, *(["true, 200, 1, NULL, NULL, '2026-11-22 11:00+00', 'scheduled'"] * 3))
    probed(hub_database, *(["true, 200, 2, NULL, NULL, NULL, 'scheduled'"] * 3))
    found, before = [], None
    while True:
        page = hub.logs.probes.page("hub", "1", ProbeFilter(), before=before, size=2)
        found = [line.id for line in page.lines] + found
        before = page.before
        if before is None:
            break
    whole = [line.id for line in hub.logs.probes.page("hub", "1", ProbeFilter()).lines]
    assert found == whole and len(found) == 9
    exported = read(hub.logs.probes.text("hub", "1", ProbeFilter(), zone="UTC")).splitlines()
    assert exported[:3] == ["[--:--:--] OK 200 2ms"] * 3


def test_an_export_has_every_line_not_the_last_hundred(hub: Storage, hub_database: Connection) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO provider_endpoint_probe_logs (endpoint_id, ok, status_code, latency_ms, created_at)"
            " SELECT 2, true, 200, n, '2026-11-01 00:00+00'::timestamptz + n * interval '7 seconds'"
            " FROM generate_series(1, 25000) AS n"
        )
    lines = read(hub.logs.probes.text("hub", "2", ProbeFilter(), zone="UTC", days=True)).splitlines()
    assert len(lines) == 25_001
    assert lines == sorted(lines)
    assert lines[0] == "[2026-11-01 00:00:07] OK 200 1ms" and lines[-1] == "[2026-11-22 12:00:30] OK 200 301ms"


def test_an_export_whose_server_goes_away_ends_with_an_exception(
    hub: Storage, hub_database: Connection, server: Server
) -> None:
    with connect(hub_database, application="tests") as session:
        session.execute(
            "INSERT INTO provider_endpoint_probe_logs (endpoint_id, ok, error_message)"
            " SELECT 2, false, repeat(md5(n::text), 40) FROM generate_series(1, 40000) AS n"
        )
    with closing(hub.logs.probes.text("hub", "2", ProbeFilter(), zone="UTC")) as stream:
        with connect(server.connection, application="tests") as session:
            session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [hub_database.dbname]
            )
        with pytest.raises(StorageError):
            while stream.read():
                pass


@pytest.mark.parametrize("endpoint", ["7", "-1"])
def test_an_endpoint_that_is_not_there_is_not_found(hub: Storage, endpoint: str) -> None:
    for ask in (
        lambda: hub.logs.probes.page("hub", endpoint, ProbeFilter()),
        lambda: hub.logs.probes.text("hub", endpoint, ProbeFilter(), zone="UTC"),
        lambda: hub.logs.probes.documents("hub", endpoint, limit=1, offset=0),
    ):
        with pytest.raises(NotFound, match="no such endpoint"):
            ask()


def test_what_is_no_id_of_an_endpoint_is_refused(hub: Storage) -> None:
    with pytest.raises(Invalid, match="does not have the form"):
        hub.logs.probes.page("hub", "1 OR 1=1", ProbeFilter())


def test_a_filter_is_read_from_an_address_and_written_back() -> None:
    address = {"result": "fail", "text": "up", "source": "manual", "from": "2026-11-22", "to": "2026-11-22T13:00"}
    wanted = probe_query.read(address, zone=ZoneInfo("Europe/Berlin"))
    assert wanted == ProbeFilter(
        ok=False, text="up", source="manual",
        since=datetime(2026, 11, 21, 23, tzinfo=UTC), until=datetime(2026, 11, 22, 12, tzinfo=UTC),
    )  # fmt: skip
    assert probe_query.read(wanted.to_query(), zone=ZoneInfo("Asia/Tokyo")) == wanted


@pytest.mark.parametrize("address", [{"result": "maybe"}, {"from": "soon"}, {"text": "\0"}, {"text": "x" * 201}])
def test_a_filter_that_cannot_be_read_is_refused(address: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        probe_query.read(address, zone=ZoneInfo("UTC"))


def test_the_file_is_named_by_the_day_of_utc() -> None:
    assert file_name(datetime(2026, 11, 22, 23, 59, tzinfo=UTC)) == "probe-logs-2026-11-22.txt"


@pytest.mark.parametrize("major", MAJORS)
def test_every_major_writes_the_same_lines(hub: Storage, server_of: Callable[[int], Server], major: int) -> None:
    with a_hub(server_of(major)) as connection:
        hub.databases.add(f"hub{major}", connection, by="tests")
        assert read(hub.logs.probes.text(f"hub{major}", "1", ProbeFilter(), zone="UTC")) == (
            "[12:00:00] OK 200 132ms\n[12:01:00] FAIL 503 41ms no upstream\n"
            "[12:02:00] FAIL - - first line second line\n"
        )
        hub.databases.remove(f"hub{major}")
