"""Opening a data folder for real: what starts by itself, what a crash leaves, and who may be in at the same time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from storage.backups.record import BackupState
from storage.clock import to_text
from storage.databases.profile import Source
from storage.errors import Conflict, Invalid, InvalidRecord, NotFound, Unavailable
from storage.jobs.model import JobKind, JobState
from storage.locks.bothlocks import BothLocks
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection, connect
from storage.schedules.slots import Slot, SlotState
from storage.secret import Secret
from storage.settings import Settings
from tests.builders import a_backup, a_job
from tests.conftest import StandingClock
from tests.servers import Server, newest_installation, open_folder
from tests.storage.postgres.test_embedded import processes_of, wait_until_gone

pytestmark = pytest.mark.postgres

WEB = """
import json, logging, os, sys
from pathlib import Path
from storage.opening import open_storage
from storage.settings import Settings
storage = open_storage(Settings.from_environment())
storage.start()
print(json.dumps([profile.name for profile in storage.databases.all()]), flush=True)
sys.stdin.readline()
storage.stop()
print("stopped", flush=True)
"""


@pytest.fixture
def box() -> Iterator[Path]:
    """A folder that the server's account can reach, for data and private things; gone afterwards."""
    folder = open_folder("pghaven-opening-")
    yield folder
    for pid in processes_of(folder):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)


@pytest.fixture
def settings(box: Path) -> Settings:
    return Settings(
        data_folder=box / "backups",
        private_folder=box / "private",
        pg_bin_dirs=(newest_installation().folder,),
        stop_grace_seconds=1,
    )


@pytest.fixture(scope="module")
def private_with_demos() -> Iterator[Path]:
    """The private folder of a pghaven that was started before, for copying."""
    box = open_folder("pghaven-opening-")
    storage = open_storage(
        Settings(
            data_folder=box / "backups",
            private_folder=box / "private",
            pg_bin_dirs=(newest_installation().folder,),
        )
    )
    storage.use_embedded()
    storage.stop()
    yield box / "private"
    shutil.rmtree(box)


@pytest.fixture
def with_demos(settings: Settings, private_with_demos: Path) -> Settings:
    """The same, where the embedded server and its demo databases are made already."""
    assert settings.private_folder is not None
    subprocess.run(["cp", "-a", private_with_demos, settings.private_folder], check=True)
    return settings


@pytest.fixture
def with_url(settings: Settings, empty_database: Connection) -> Settings:
    """The same, where DATABASE_URL names a database that is there."""
    return replace(settings, database_url=url_of(empty_database), database_variable="DATABASE_URL")


def url_of(connection: Connection) -> Secret:
    assert connection.password is not None
    return Secret(
        f"postgresql://{connection.user}:{connection.password.reveal}@/{connection.dbname}"
        f"?host={connection.host}&port={connection.port}"
    )


def a_web_process(settings: Settings) -> subprocess.Popen[str]:
    environment = os.environ | {
        "BACKUP_STORAGE_PATH": str(settings.data_folder),
        "PGHAVEN_PRIVATE_FOLDER": str(settings.private_folder),
        "PG_BIN_DIRS": os.pathsep.join(map(str, settings.pg_bin_dirs)),
    }
    if settings.database_url:
        environment["DATABASE_URL"] = settings.database_url.reveal
    return subprocess.Popen(
        [sys.executable, "-c", WEB], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_for_jobs(storage: Storage, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while storage.jobs.active():
        assert time.monotonic() < deadline, storage.jobs.active()
        time.sleep(0.05)


def test_nothing_is_started_by_opening(settings: Settings, box: Path) -> None:
    storage = open_storage(settings)
    assert [profile.name for profile in storage.databases.all()] == ["hub", "wiki", "crearis"]
    assert {profile.source for profile in storage.databases.all()} == {Source.EMBEDDED}
    assert processes_of(box) == [] and storage.jobs.active() == []
    storage.stop()
    storage.stop()


def test_the_data_folder_is_ours_alone_whatever_the_umask(settings: Settings) -> None:
    before = os.umask(0)
    try:
        open_storage(settings).stop()
    finally:
        os.umask(before)
    for path in (settings.data_folder, *settings.data_folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_folder_that_cannot_be_used_is_named_with_its_variable(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Unavailable, match="BACKUP_STORAGE_PATH"):
        open_storage(replace(settings, data_folder=file))


def test_a_url_that_cannot_be_used_keeps_it_from_opening(settings: Settings) -> None:
    with pytest.raises(Invalid, match="PG_DATABASE_URL"):
        open_storage(replace(settings, database_url=Secret("nonsense"), database_variable="PG_DATABASE_URL"))


@pytest.mark.slow
def test_the_first_start_protects_the_demo_databases_and_the_next_keeps_all(settings: Settings, box: Path) -> None:
    storage = open_storage(settings)
    storage.start()
    try:
        wait_for_jobs(storage)
        records = storage.backups.catalog.all()
        assert {record.database for record in records} == {"hub", "wiki", "crearis"}
        assert {record.state for record in records} == {BackupState.COMPLETE}
        assert all(record.verified and record.verified.good for record in records)
        assert {job.requested_by for job in storage.jobs.newest_first()} == {"first backup"}
        statuses = storage.statuses.of_all(storage.databases.all())
        assert all(status.available for status in statuses)
        hub = next(record for record in records if record.database == "hub")
        assert hub.tables["public.message_request"].rows == 50_000
    finally:
        storage.stop()
    assert processes_of(box) == []

    again = open_storage(settings)
    started = time.monotonic()
    again.start()
    try:
        assert time.monotonic() - started < 10
        assert again.jobs.active() == []
        assert len(again.backups.catalog.all()) == 3
        with connect(again.profile("hub").connection, application="tests") as session:
            assert session.execute("SELECT count(*) FROM message_request").fetchone() == (50_000,)
    finally:
        again.stop()


def test_every_part_is_ended_whatever_another_raises(
    with_demos: Settings, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*, grace: float) -> None:
        raise RuntimeError("no end")

    storage = open_storage(with_demos)
    storage.start()
    running = processes_of(box)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="no end"):
        patch.setattr(storage.runner, "stop", fault)
        storage.stop()
    storage.runner.stop(grace=0)
    assert running != [] and processes_of(box) == []
    again = open_storage(with_demos)
    again.start()  # the lock of the instance is free
    again.stop()


def test_with_a_url_no_server_is_started_and_its_database_is_the_default(with_url: Settings, box: Path) -> None:
    storage = open_storage(with_url)
    storage.start()
    try:
        default = storage.databases.default()
        assert default is not None and default.source is Source.ENVIRONMENT
        assert [profile.name for profile in storage.databases.all()] == [default.name]
        wait_for_jobs(storage)
        assert [record.state for record in storage.backups.catalog.all()] == [BackupState.COMPLETE]
        assert processes_of(box) == [] and not (box / "private").exists()
    finally:
        storage.stop()


def test_without_the_variable_another_process_knows_the_same_databases(with_url: Settings) -> None:
    web, beside = open_storage(with_url), replace(with_url, database_url=None, database_variable="")
    web.start()
    try:
        wait_for_jobs(web)
        (given,) = web.databases.all()
        terminal = open_storage(beside)
        assert terminal.databases.all() == [given] and given.source is Source.ENVIRONMENT
        with pytest.raises(Conflict, match="already"):
            terminal.databases.add(given.name, given.connection, by="terminal")
        with pytest.raises(NotFound):
            terminal.backups.take("hub", by="terminal", background=False)
        job, _ = terminal.backups.take(given.name, by="terminal", background=False)
        assert terminal.runner.run_here(job).state is JobState.COMPLETED
        terminal.stop()
    finally:
        web.stop()
    assert open_storage(beside).databases.all() == [given], "also while no web process runs"
    kept = with_url.data_folder / "metadata" / "environment.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert given.connection.password is not None
    assert given.connection.password.reveal not in json.loads(kept.read_text()).values()
    assert json.loads(kept.read_text())["variable"] == "DATABASE_URL"


def test_a_web_process_without_the_variable_has_the_demos_again(with_url: Settings, with_demos: Settings) -> None:
    web = open_storage(with_url)
    web.start()
    web.stop()
    assert open_storage(with_demos).databases.default() == web.databases.default()
    again = open_storage(with_demos)
    again.start()
    again.stop()
    assert [profile.name for profile in open_storage(with_demos).databases.all()] == ["hub", "wiki", "crearis"]


def test_what_works_beside_the_web_process_asks_the_same_redis_until_that_asks_none(with_url: Settings) -> None:
    url = Secret("redis://:CANARY@127.0.0.1:1/0")
    web = open_storage(replace(with_url, redis_url=url))
    web.start()
    web.stop()
    assert "CANARY" not in (with_url.data_folder / "metadata" / "redis.json").read_text()
    terminal = open_storage(with_url, beside=True)
    assert terminal.redis is not None and terminal.locks is not terminal.redis
    assert isinstance(terminal.locks, BothLocks)
    assert open_storage(with_url).redis is None, "a web process goes by its own variables"
    again = open_storage(with_url)
    again.start()
    again.stop()
    assert open_storage(with_url, beside=True).redis is None


def test_a_remembered_database_that_cannot_be_read_is_not_replaced_by_a_guess(settings: Settings) -> None:
    storage = open_storage(settings)
    (settings.data_folder / "metadata" / "environment.json").write_text('{"format": 1}')
    with pytest.raises(InvalidRecord, match=r"environment\.json"):
        storage.databases.all()


def test_a_second_instance_is_refused_by_the_name_of_the_first(with_url: Settings) -> None:
    first, second = open_storage(with_url), open_storage(with_url)
    first.start()
    try:
        with pytest.raises(Conflict, match=f"belongs to another pghaven: process {os.getpid()}"):
            second.start()
        first.tell_where("http://127.0.0.1:8632/")
        with pytest.raises(Conflict, match=r"at http://127\.0\.0\.1:8632/"):
            second.claim()
        second.stop()
        assert first.locks.is_held("instance")
    finally:
        first.stop()
    second.start()
    second.stop()


def test_a_command_at_the_terminal_works_beside_the_web_process(with_url: Settings) -> None:
    web = open_storage(with_url)
    web.start()
    try:
        wait_for_jobs(web)
        terminal = open_storage(with_url)
        (profile,) = terminal.databases.all()
        job, new = terminal.backups.take(profile.name, by="terminal", background=False)
        assert new and terminal.runner.run_here(job).state is JobState.COMPLETED
        terminal.stop()
        assert web.jobs.get(job.job_id).state is JobState.COMPLETED
        assert len(web.backups.catalog.find(states={BackupState.COMPLETE})) == 2
        assert web.locks.is_held("instance")
    finally:
        web.stop()


@pytest.mark.slow
def test_at_the_terminal_the_embedded_server_is_started_on_first_use_and_ended(settings: Settings, box: Path) -> None:
    storage = open_storage(settings)
    assert storage.statuses.of(storage.databases.get("wiki")).available
    job, _ = storage.backups.take("wiki", by="terminal", background=False)
    assert storage.runner.run_here(job).state is JobState.COMPLETED
    assert storage.databases.test(storage.databases.get("hub").connection).good
    storage.stop()
    assert processes_of(box) == []


@pytest.mark.slow
def test_a_killed_web_process_leaves_nothing_running_and_the_next_start_puts_all_in_order(
    with_demos: Settings, box: Path
) -> None:
    web = a_web_process(with_demos)
    assert json.loads(line(web)) == ["hub", "wiki", "crearis"]
    # The first backups are under way, or waiting.
    web.send_signal(signal.SIGKILL)
    web.wait()
    wait_until_gone(box)
    again = open_storage(with_demos)
    again.start()
    try:
        wait_for_jobs(again)
        for record in again.backups.catalog.all():
            assert record.state in (BackupState.COMPLETE, BackupState.INTERRUPTED)
        for job in again.jobs.newest_first():
            assert job.state in (JobState.COMPLETED, JobState.INTERRUPTED)
        assert {r.database for r in again.backups.catalog.find(states={BackupState.COMPLETE})} == {
            "hub", "wiki", "crearis",
        }  # fmt: skip
        assert list(again.staging.folder.iterdir()) == []
        # Ours may be there for a moment: what follows the end of the last job is written after its record.
        left = [draft for draft in with_demos.data_folder.rglob("*.draft") if f".{os.getpid()}." not in draft.name]
        assert left == []
    finally:
        again.stop()


def test_what_a_crash_left_is_put_in_order_at_the_start(with_url: Settings) -> None:
    first = open_storage(with_url)
    (profile,) = first.databases.all()
    dead = subprocess.Popen(["true"])
    dead.wait()
    job = a_job(database=profile.name, state=JobState.RUNNING)
    first.jobs.save(job)
    record = a_backup(profile.name, state=BackupState.TAKING, job_id=job.job_id)
    first.backups.catalog.save(record)
    (first.staging.folder / f"{job.job_id}.half").mkdir()
    draft = with_url.data_folder / "metadata" / "jobs" / f".x.json.{dead.pid}.abc.draft"
    draft.touch()
    first.stop()

    storage = open_storage(with_url)
    storage.start()
    try:
        assert storage.jobs.get(job.job_id).state is JobState.INTERRUPTED
        assert storage.backups.catalog.get(record.backup_id).state is BackupState.INTERRUPTED
        assert not draft.exists()
        wait_for_jobs(storage)
        assert list(storage.staging.folder.iterdir()) == []
    finally:
        storage.stop()


def test_a_job_of_a_terminal_that_runs_on_is_left_alone_by_the_start(with_url: Settings) -> None:
    terminal = open_storage(with_url)
    (profile,) = terminal.databases.all()
    job, _ = terminal.runner.request(
        JobKind.VERIFY, database=profile.name, parameters={"backup_id": "b"}, by="terminal", background=False
    )
    (terminal.staging.folder / f"{job.job_id}.half").mkdir()
    web = open_storage(with_url)
    web.start()
    try:
        assert web.jobs.get(job.job_id).state is JobState.WAITING
        assert (terminal.staging.folder / f"{job.job_id}.half").exists()
    finally:
        web.stop()
        terminal.stop()


def test_a_database_with_no_good_backup_gets_one_at_the_start(with_url: Settings, server: Server) -> None:
    storage = open_storage(with_url)
    with server.a_database() as added:
        storage.databases.add("added", added, by="tests")
        storage.start()
        try:
            wait_for_jobs(storage)
            good = storage.backups.catalog.find(states={BackupState.COMPLETE})
            assert {record.database for record in good} == {profile.name for profile in storage.databases.all()}
        finally:
            storage.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="our own account reaches its own folders")
def test_without_a_usable_place_for_the_embedded_server_the_rest_starts(settings: Settings, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    storage = open_storage(replace(settings, private_folder=closed))
    storage.start()
    try:
        assert storage.embedded_trouble is not None
        assert "PGHAVEN_PRIVATE_FOLDER" in str(storage.embedded_trouble)
        assert storage.jobs.active() == []
        status = storage.statuses.of(storage.databases.get("hub"))
        assert not status.available
    finally:
        storage.stop()


def test_its_own_heartbeat_is_seen(with_url: Settings) -> None:
    storage = open_storage(with_url)
    storage.start()
    try:
        time.sleep(1.5)
        assert storage.ticker.heartbeat is not None
    finally:
        storage.stop()


TERMINAL = """
import sys
from storage.backups.record import BackupState
from storage.jobs.model import JobKind, JobState
from storage.opening import open_storage
from storage.settings import Settings
from tests.builders import a_backup
storage = open_storage(Settings.from_environment())
job, _ = storage.runner.request(JobKind.TAKE, database="shop", parameters={}, by="ana", background=False)
storage.jobs.save(job.with_(state=JobState.RUNNING))
storage.backups.catalog.save(a_backup(database="shop", state=BackupState.TAKING, archive="", job_id=job.job_id))
print(job.job_id, flush=True)
sys.stdin.readline()
"""


def test_what_a_killed_terminal_leaves_is_put_in_order_without_a_restart(settings: Settings) -> None:
    storage = open_storage(settings)
    environment = os.environ | {"BACKUP_STORAGE_PATH": str(settings.data_folder)}
    terminal = subprocess.Popen(
        [sys.executable, "-c", TERMINAL], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert terminal.stdout is not None
    job_id = terminal.stdout.readline().strip()
    every_minute(storage)
    assert storage.jobs.get(job_id).state is JobState.RUNNING, "it runs in another process"
    terminal.kill()
    terminal.communicate()
    every_minute(storage)
    assert storage.jobs.get(job_id).state is JobState.INTERRUPTED
    assert [record.state for record in storage.backups.catalog.all()] == [BackupState.INTERRUPTED]
    assert (settings.data_folder / ".reserve").exists()


def test_an_archive_that_comes_back_is_read_in_full_once(settings: Settings) -> None:
    storage = open_storage(settings)
    record = a_backup(database="shop", state=BackupState.MISSING, bytes=5, archive="archives/shop/x.dump")
    storage.backups.catalog.save(record)
    every_minute(storage)
    assert storage.jobs.active() == []
    storage.backups.catalog.archive_path(record).write_bytes(b"PGDMP")
    every_minute(storage)
    [job] = storage.jobs.active()
    assert job.kind is JobKind.VERIFY and job.parameters == {"backup_id": record.backup_id}
    storage.jobs.ask_to_stop(job.job_id, by="ana")
    storage.runner.run_here(job)
    every_minute(storage)
    assert storage.jobs.active() == [], "not again every minute"
    storage.stop()


def test_a_scheduled_backup_whose_server_was_away_is_tried_again_until_it_is_there(
    settings: Settings, empty_database: Connection, clock: StandingClock
) -> None:
    storage = open_storage(settings, clock=clock)
    storage.databases.add("shop", replace(empty_database, host="127.0.0.1", port=1), by="tests")
    slot = clock().replace(minute=0, second=0, microsecond=0)
    job, _ = storage.backups.take_scheduled("shop", to_text(slot) or "")
    tries = [storage.runner.run_here(job)]
    for minutes in (2, 5):
        clock.forward(minutes=minutes - 1)
        storage.upkeep.retry_scheduled()
        assert storage.jobs.active() == []
        clock.forward(minutes=1)
        if minutes == 5:
            storage.databases.change("shop", empty_database)
        storage.upkeep.retry_scheduled()
        [job] = storage.jobs.active()
        tries.append(storage.runner.run_here(job))
    assert [one.state for one in tries] == [JobState.FAILED, JobState.FAILED, JobState.COMPLETED]
    assert {one.parameters["slot"] for one in tries} == {to_text(slot)}
    clock.forward(minutes=30)
    storage.upkeep.retry_scheduled()
    assert storage.jobs.active() == []
    storage.stop()


def every_minute(storage: Storage) -> None:
    """What the schedule thread does when everything is due."""
    storage.ticker._scheduler.run_all()


def test_a_scheduled_backup_in_whose_middle_pghaven_was_killed_is_tried_once_more_at_the_next_start(
    with_url: Settings,
) -> None:
    first = open_storage(with_url)
    [profile] = first.databases.all()
    first.backups.catalog.save(a_backup(profile.name, at=first.clock() - timedelta(days=1)))
    at = first.clock().replace(minute=0, second=0, microsecond=0)
    killed, _ = first.backups.take_scheduled(profile.name, to_text(at) or "")
    slot = Slot(at=at, state=SlotState.RUN, decided_at=at, job_id=killed.job_id)
    first.schedules.slots(profile.name).save([slot])
    first.jobs.save(killed.with_(state=JobState.RUNNING, started_at=first.clock()))
    first.runner._held.pop(killed.job_id).release()  # as the kernel does for a process that was killed
    first.stop()

    second = open_storage(with_url)
    second.start()
    wait_for_jobs(second)
    second.stop()
    [again] = [job for job in second.jobs.newest_first() if job.parameters.get("retry_of") == killed.job_id]
    assert (second.jobs.get(killed.job_id).state, again.state) == (JobState.INTERRUPTED, JobState.COMPLETED)
    assert again.parameters["slot"] == to_text(at)
    assert second.backups.catalog.get(again.result["backup_id"]).slot == to_text(at)
    assert [one.job_id for one in second.schedules.slots(profile.name).newest(1, now=second.clock())] == [again.job_id]

    third = open_storage(with_url)
    third.start()
    assert [job.job_id for job in third.jobs.active(profile.name, JobKind.TAKE)] == []
    third.stop()
