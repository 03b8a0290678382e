"""The embedded server on real programs: who runs it, who shares it, and that nothing of it outlives its owner."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from storage.clock import utc_now
from storage.errors import StorageError, Unavailable
from storage.postgres import cluster, places
from storage.postgres.account import server_account
from storage.postgres.cluster import Cluster
from storage.postgres.connection import Connection, connect
from storage.postgres.embedded import EmbeddedServer, choose, open_embedded
from storage.postgres.programs import Installation
from tests.servers import installation_of, newest_installation, open_folder

pytestmark = pytest.mark.postgres

OWNER = """
import sys, time
from pathlib import Path
from storage.clock import utc_now
from storage.postgres.embedded import open_embedded
from storage.postgres.programs import inspect
embedded = open_embedded(inspect(Path(sys.argv[2])), Path(sys.argv[1]), utc_now, others_seconds=5)
embedded.ensure_running()
print(embedded.describe().ours, flush=True)
sys.stdin.readline()
embedded.stop()
print("stopped", flush=True)
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """The data of an embedded server that was started once, for copying."""
    outer = open_folder("pghaven-embedded-")
    embedded = an_embedded(outer / "embedded")
    embedded.ensure_running()
    embedded.stop()
    yield outer / "embedded"
    shutil.rmtree(outer)


@pytest.fixture
def fresh_folder() -> Iterator[Path]:
    """Where an embedded server may be: in a folder that its account can reach, gone afterwards."""
    outer = open_folder("pghaven-embedded-")
    yield outer / "embedded"
    for pid in processes_of(outer):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(outer)


@pytest.fixture
def folder(fresh_folder: Path, made: Path) -> Path:
    """The same, where it has been started before."""
    subprocess.run(["cp", "-a", made, fresh_folder], check=True)
    return fresh_folder


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedServer]:
    embedded = an_embedded(folder)
    yield embedded
    embedded.stop()


def an_embedded(folder: Path, installation: Installation | None = None) -> EmbeddedServer:
    return EmbeddedServer(installation or newest_installation(), folder, utc_now, others_seconds=1)


def another_owner(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), str(newest_installation().folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def processes_of(folder: Path) -> list[int]:
    """Every process that works in `folder` or was started with its name."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            inside = (entry / "cwd").readlink().is_relative_to(folder)
            named = str(folder).encode() in (entry / "cmdline").read_bytes()
            if (inside or named) and (entry / "comm").read_text() == "postgres\n":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_until_gone(folder: Path, seconds: float = 10.0) -> float:
    started = time.monotonic()
    while processes_of(folder):
        assert time.monotonic() - started < seconds, processes_of(folder)
        time.sleep(0.02)
    return time.monotonic() - started


def value(connection: Connection, query: str) -> object:
    with connect(connection, application="tests") as session:
        row = session.execute(query).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None


def test_it_listens_on_no_network_and_asks_for_a_password(embedded: EmbeddedServer) -> None:
    connection = embedded.ensure_running()
    assert value(connection, "SHOW listen_addresses") == ""
    assert value(connection, "SHOW fsync") == "on"
    assert value(connection, "SHOW server_encoding") == "UTF8"
    assert value(connection, "SELECT datcollate FROM pg_database WHERE datname = 'template0'") == "C.UTF-8"
    assert str(value(connection, "SELECT rolpassword FROM pg_authid WHERE rolname = 'pghaven'")).startswith("SCRAM")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(**connection.parameters() | {"password": "wrong"})


def test_its_files_belong_to_its_account_alone(embedded: EmbeddedServer) -> None:
    embedded.ensure_running()
    facts, account = embedded.describe(), server_account()
    for path in (embedded.folder, facts.folder, facts.folder / "data", facts.socket, facts.folder / "password"):
        assert path.stat().st_uid == account.uid
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_as_root_no_process_of_it_is_roots(embedded: EmbeddedServer) -> None:
    embedded.ensure_running()
    pids = processes_of(embedded.folder)
    assert pids
    for pid in pids:
        uids = next(text for text in Path(f"/proc/{pid}/status").read_text().splitlines() if text.startswith("Uid:"))
        groups = next(text for text in Path(f"/proc/{pid}/status").read_text().splitlines() if text[:7] == "Groups:")
        assert "0" not in uids.split()[1:]
        assert "0" not in groups.split()[1:]
    assert embedded.describe().account in ("postgres", "nobody")


def test_stopped_it_is_gone_and_started_again_it_has_its_data(folder: Path) -> None:
    first = an_embedded(folder)
    with connect(first.ensure_running(), application="tests") as session:
        session.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert first.describe().running and first.describe().ours
    first.stop()
    assert processes_of(folder) == [] and not first.describe().running
    second = an_embedded(folder)
    assert value(second.ensure_running(), "SELECT answer FROM kept") == 42
    second.stop()


def test_nothing_outlives_an_owner_that_was_killed_and_the_next_start_works(folder: Path) -> None:
    for _ in range(2):
        owner = another_owner(folder)
        assert line(owner) == "True"
        assert processes_of(folder)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert wait_until_gone(folder) < 5
    embedded = an_embedded(folder)
    assert value(embedded.ensure_running(), "SELECT 1") == 1
    embedded.stop()


def test_a_start_right_after_the_kill_waits_for_the_old_server(folder: Path) -> None:
    owner = another_owner(folder)
    assert line(owner) == "True"
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    embedded = an_embedded(folder)
    assert value(embedded.ensure_running(), "SELECT 1") == 1
    assert embedded.describe().ours
    embedded.stop()


def test_a_postmaster_file_that_a_crash_left_does_not_stop_the_start(folder: Path) -> None:
    first = an_embedded(folder)
    first.ensure_running()
    left = (first.describe().folder / "data" / "postmaster.pid").read_text()
    first.stop()
    # The number now is that of a living process that is no server.
    living = left.replace(left.split("\n", 1)[0], str(os.getpid()), 1)
    pid_file = first.describe().folder / "data" / "postmaster.pid"
    pid_file.write_text(living)
    os.chown(pid_file, server_account().uid, server_account().gid)
    again = an_embedded(folder)
    assert value(again.ensure_running(), "SELECT 1") == 1
    again.stop()


def test_a_server_that_was_killed_is_started_again_when_it_is_needed(embedded: EmbeddedServer) -> None:
    embedded.ensure_running()
    for pid in processes_of(embedded.folder):
        os.kill(pid, signal.SIGKILL)
    wait_until_gone(embedded.folder)
    assert value(embedded.ensure_running(), "SELECT 1") == 1


def test_a_second_process_uses_the_server_that_runs(folder: Path, embedded: EmbeddedServer) -> None:
    embedded.ensure_running()
    other = another_owner(folder)
    assert line(other) == "False"
    other.communicate("\n")
    assert other.returncode == 0
    assert value(embedded.connection(), "SELECT 1") == 1


def test_whoever_started_it_waits_for_those_who_use_it(folder: Path) -> None:
    owner = another_owner(folder)
    assert line(owner) == "True"
    user = an_embedded(folder)
    user.ensure_running()
    assert not user.describe().ours and user.describe().running
    assert owner.stdin is not None
    owner.stdin.write("\n")
    owner.stdin.flush()
    time.sleep(0.7)
    assert value(user.connection(), "SELECT 1") == 1
    user.stop()
    assert line(owner) == "stopped"
    assert processes_of(folder) == []
    owner.wait()


def test_after_its_owner_has_ended_a_user_takes_over(folder: Path) -> None:
    owner = another_owner(folder)
    assert line(owner) == "True"
    user = an_embedded(folder)
    user.ensure_running()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert value(user.ensure_running(), "SELECT 1") == 1
    assert user.describe().ours
    user.stop()


def test_two_processes_that_start_at_once_have_one_server(fresh_folder: Path) -> None:
    owners = [another_owner(fresh_folder) for _ in range(3)]
    assert sorted(line(owner) for owner in owners) == ["False", "False", "True"]
    for owner in owners:
        owner.communicate("\n")
        assert owner.returncode == 0
    assert processes_of(fresh_folder) == []


def test_a_database_is_provided_once_and_not_again_after_it_was_dropped(embedded: EmbeddedServer) -> None:
    embedded.ensure_running()
    script = "CREATE TABLE t AS SELECT generate_series(1, 10) AS n; CREATE VIEW \"100%\" AS SELECT '%s' AS text"
    assert embedded.provide("demo", lambda: script)
    assert value(embedded.connection("demo"), "SELECT count(*) FROM t") == 10
    assert not embedded.provide("demo", lambda: script)
    with connect(embedded.connection(), application="tests") as session:
        session.execute("DROP DATABASE demo")
    assert not embedded.provide("demo", lambda: script)
    assert value(embedded.connection(), "SELECT count(*) FROM pg_database WHERE datname LIKE 'demo%'") == 0


def test_a_script_that_fails_leaves_no_database_of_its_name(embedded: EmbeddedServer) -> None:
    embedded.ensure_running()
    with pytest.raises(StorageError, match="demo could not be made") as refusal:
        embedded.provide("demo", lambda: "CREATE TABLE t (n int); SELECT 1/0")
    assert "division by zero" in refusal.value.words
    assert value(embedded.connection(), "SELECT count(*) FROM pg_database WHERE datname = 'demo'") == 0
    assert embedded.provide("demo", lambda: "CREATE TABLE t (n int)")
    assert value(embedded.connection("demo"), "SELECT count(*) FROM t") == 0


def test_a_database_of_that_name_is_left_as_it_is(embedded: EmbeddedServer) -> None:
    with connect(embedded.ensure_running(), application="tests") as session:
        session.execute("CREATE DATABASE demo")
    assert not embedded.provide("demo", lambda: "CREATE TABLE t (n int)")
    assert value(embedded.connection("demo"), "SELECT count(*) FROM pg_class WHERE relname = 't'") == 0


def test_the_socket_goes_to_a_short_folder_of_the_accounts_own_when_the_path_is_long() -> None:
    outer = open_folder("pghaven-embedded-")
    deep = outer / ("a folder with a long name and spaces " * 3).strip() / "embedded"
    places.make_passable_folder(deep.parent)
    embedded = an_embedded(deep)
    socket_folder = embedded.describe().socket
    try:
        assert value(embedded.ensure_running(), "SELECT 1") == 1
        assert socket_folder.parent == Path("/tmp")
        assert socket_folder.stat().st_uid == server_account().uid
        assert socket_folder.stat().st_mode & 0o077 == 0
    finally:
        embedded.stop()
        shutil.rmtree(outer)
        shutil.rmtree(socket_folder, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of somebody else's")
def test_a_socket_folder_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o777)
    os.chown(theirs, 12345, 12345)
    with pytest.raises(Unavailable, match="does not belong to"):
        cluster.own_folder(theirs, server_account())
    link = tmp_path / "link"
    link.symlink_to("/etc")
    with pytest.raises(Unavailable, match="does not belong to"):
        cluster.own_folder(link, server_account())


@pytest.mark.skipif(os.geteuid() != 0, reason="our own account reaches its own folders")
def test_a_folder_that_the_account_cannot_reach_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    embedded = an_embedded(closed / "embedded")
    with pytest.raises(Unavailable, match="PGHAVEN_PRIVATE_FOLDER"):
        embedded.ensure_running()


def test_a_server_that_does_not_start_says_its_last_words(folder: Path) -> None:
    embedded = an_embedded(folder)
    embedded.ensure_running()
    embedded.stop()
    configuration = embedded.describe().folder / "data" / "postgresql.conf"
    configuration.write_text("no_such_setting = 1\n")
    with pytest.raises(Unavailable, match="ended while it was starting") as refusal:
        an_embedded(folder).ensure_running()
    assert "no_such_setting" in refusal.value.words


def test_half_an_initdb_is_made_anew(fresh_folder: Path) -> None:
    account, installation = server_account(), newest_installation()
    half = Cluster(folder=fresh_folder / str(installation.major), installation=installation, account=account)
    places.make_passable_folder(fresh_folder.parent)
    for part in (fresh_folder, half.folder, half.folder / "data.being-made"):
        cluster.own_folder(part, account)
    (half.folder / "data.being-made" / "PG_VERSION").write_text("18\n")
    embedded = an_embedded(fresh_folder)
    assert value(embedded.ensure_running(), "SELECT 1") == 1
    embedded.stop()


def an_installation(major: int, *, has_server: bool = True) -> Installation:
    return Installation(
        folder=Path(f"/pg/{major}"), major=major, version=f"{major}.1", has_server=has_server, zstd=major > 15
    )


@pytest.mark.parametrize(
    ("majors", "with_data", "chosen", "remark"),
    [
        ([15, 18], [], 18, ""),
        ([15, 18], [18], 18, ""),
        ([15, 18], [15], 15, "although there are programs of 18"),
        ([15, 18], [15, 18], 18, ""),
        ([16, 18], [15], 18, "PostgreSQL 15 stays where it is"),
    ],
)
def test_the_newest_programs_run_it_unless_its_data_is_of_others(
    majors: list[int], with_data: list[int], chosen: int, remark: str
) -> None:
    choice = choose([an_installation(major) for major in majors], with_data)
    assert choice is not None and choice.installation.major == chosen
    assert remark in choice.remark and bool(remark) == bool(choice.remark)


def test_without_a_server_program_there_is_none(fresh_folder: Path) -> None:
    assert choose([an_installation(18, has_server=False)], []) is None
    assert open_embedded([], fresh_folder, utc_now) is None


@pytest.mark.slow
def test_data_of_an_older_major_is_used_with_its_own_programs(fresh_folder: Path) -> None:
    older, newer = installation_of(15), installation_of(18)
    first = an_embedded(fresh_folder, older)
    with connect(first.ensure_running(), application="tests") as session:
        session.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    first.stop()
    second = open_embedded([older, newer], fresh_folder, utc_now)
    assert second is not None
    assert value(second.ensure_running(), "SELECT answer FROM kept") == 42
    second.stop()
