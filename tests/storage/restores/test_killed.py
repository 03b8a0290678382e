"""pghaven killed in the middle of a replacement: the next start finds the target as it was, and nothing beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage.jobs.model import Job, JobState
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection, connect
from storage.restores.record import RestoreState
from storage.secret import Secret
from storage.settings import Settings
from tests.servers import Server
from tests.storage.restores.conftest import SHOP, databases_of
from tests.storage.restores.test_faults import SLOW, words
from tests.storage.restores.test_server_trouble import COUNTING

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@dataclass(frozen=True)
class Program:
    """A data folder, the database that its environment names, and pghaven as a process of its own."""

    settings: Settings
    connection: Connection
    maintenance: Connection

    def open(self) -> Storage:
        return open_storage(self.settings)

    def take(self) -> str:
        storage = self.open()
        [profile] = storage.databases.all()
        job, _ = storage.backups.take(profile.name, by="ana", background=False)
        done = storage.runner.run_here(job)
        storage.stop()
        assert done.state is JobState.COMPLETED, done.error
        return str(done.result["backup_id"])

    def replace(self, backup_id: str) -> subprocess.Popen[bytes]:
        assert self.settings.database_url is not None
        return subprocess.Popen(
            [sys.executable, "-m", "webapp.cli", "restores", "run", backup_id, "--replace", "--yes"],
            env={
                **os.environ,
                "BACKUP_STORAGE_PATH": str(self.settings.data_folder),
                "PGHAVEN_PRIVATE_FOLDER": str(self.settings.private_folder),
                "PG_BIN_DIRS": os.pathsep.join(map(str, self.settings.pg_bin_dirs)),
                "DATABASE_URL": self.settings.database_url.reveal,
                "SPACE_RESERVE_MB": "0",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, query: str, *, database: str = "postgres") -> list[Any]:
        with connect(self.maintenance.to(database), application="tests") as session:
            return session.execute(query.encode()).fetchall()

    def target(self) -> list[Any]:
        """The target as anybody could see it: which database it is, who may connect, and every row."""
        name = self.connection.dbname
        return [
            self.ask(f"SELECT oid, datallowconn, datconnlimit, datacl FROM pg_database WHERE datname = '{name}'"),
            *(
                self.ask(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t", database=name)
                for table in ("users", "orders", "many")
            ),
        ]

    def databases(self) -> set[str]:
        return databases_of(self.maintenance)


@pytest.fixture
def program(server: Server, empty_database: Connection, storage_folder: Path) -> Iterator[Program]:
    with connect(empty_database, application="tests") as session:
        session.execute((SHOP + SLOW).encode())
    known, password = empty_database, empty_database.password
    assert password is not None
    address = f"postgresql://{known.user}:{password.reveal}@/{known.dbname}?host={known.host}&port={known.port}"
    yield Program(
        Settings(
            data_folder=storage_folder,
            private_folder=storage_folder.parent / "private",
            pg_bin_dirs=(server.installation.folder,),
            database_url=Secret(address),
            database_variable="DATABASE_URL",
        ),
        empty_database,
        server.connection,
    )
    for name in databases_of(server.connection):
        if name.startswith(f"{known.dbname}_"):
            server.drop_database(name)


def until(found: Callable[[], Any], *, seconds: float = 20) -> Any:
    ends = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return answer


def descendants(pid: int) -> list[int]:
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended meanwhile
            children += map(int, task.read_text().split())
    return children + [one for child in children for one in descendants(child)]


def at_work(pid: int) -> bool:
    """Whether that process is there and no mere entry that nobody has asked for."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


# Only one of the tables is as large as that.
LOADING = "SELECT 1 FROM pg_stat_progress_copy WHERE bytes_processed > 1000000 AND datname LIKE '%_restoring_%'"
COMPARING = (
    "SELECT 1 FROM pg_stat_activity WHERE datname LIKE '%_restoring_%' AND state = 'active' AND "
    + COUNTING.replace("%%", "%")
)
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE "


@pytest.mark.parametrize("moment", [LOADING, COMPARING], ids=["loading", "comparing"])
def test_pghaven_killed_in_the_middle_is_put_in_order_at_the_next_start(program: Program, moment: str) -> None:
    backup_id = program.take()
    program.ask("DELETE FROM orders WHERE id > 10 RETURNING id", database=program.connection.dbname)
    target, databases = program.target(), program.databases()

    killed = program.replace(backup_id)
    with connect(program.maintenance, application="tests") as session:
        until(lambda: session.execute(moment.encode()).fetchone())
    started = descendants(killed.pid)
    assert started
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    until(lambda: not any(map(at_work, started)), seconds=5)
    [half_made] = program.databases() - databases
    assert "_restoring_" in half_made
    # Had the programs gone on without pghaven, the rows that were on their way would be there.
    rows = program.ask("SELECT count(*) FROM many", database=half_made)
    assert rows == [(0 if moment is LOADING else 300000,)]

    again = program.open()
    again.start()
    try:
        [job] = [job for job in again.jobs.newest_first() if job.kind.value == "restore"]
        [record] = again.restores.all()
        assert program.ask(SESSIONS + f"'pghaven {job.job_id}%'") == []
        assert (program.target(), program.databases()) == (target, databases)
        assert (job.state, words(job)) == (JobState.INTERRUPTED, "Nothing was changed.")
        assert (record.state, record.unsettled) == (RestoreState.INTERRUPTED, False)
        assert record.ended_at is not None and job.ended_at is not None
        held = [path.stem for path in again.locks.folder.glob("*.lock") if again.locks.is_held(path.stem)]
        assert held == ["instance"]
        assert list(again.staging.folder.iterdir()) == []
    finally:
        again.stop()
    assert program.replace(backup_id).wait(timeout=60) == 0
    assert program.ask("SELECT count(*) FROM orders", database=program.connection.dbname) == [(2000,)]


@pytest.mark.parametrize("step", ["load", "compare"])
def test_a_restore_that_runs_in_another_process_is_left_alone(program: Program, step: str) -> None:
    """The other process is held while a start and a look of ours come by, so that it cannot end meanwhile."""
    backup_id = program.take()
    databases = program.databases()
    ours = program.open()

    def restoring() -> Job | None:
        return next((job for job in ours.jobs.active() if job.progress.step == step), None)

    other = program.replace(backup_id)
    try:
        job = until(restoring)
        other.send_signal(signal.SIGSTOP)
        ours.start()
        ours.upkeep.settle()
        assert (ours.jobs.get(job.job_id).state, ours.restores.all()[0].state) == (
            JobState.RUNNING,
            RestoreState.RUNNING,
        )
        assert ["_restoring_" in name for name in program.databases() - databases] == [True]
        assert {path.name.partition(".")[0] for path in ours.staging.folder.iterdir()} == {job.job_id}
        other.send_signal(signal.SIGCONT)
        assert other.wait(timeout=60) == 0
    finally:
        other.kill()
        other.wait()
        ours.stop()
    assert ours.jobs.get(job.job_id).state is JobState.COMPLETED
    assert ours.restores.all()[0].state is RestoreState.COMPLETED
    assert [name for name in program.databases() if "_restoring_" in name] == []
