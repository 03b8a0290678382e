"""pghaven killed in the middle of a proof: the next start drops the throw-away database and its role."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest

from storage.jobs.model import JobKind, JobState
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection, connect
from storage.secret import Secret
from storage.settings import Settings
from tests.servers import Server, open_folder
from tests.storage.restores.conftest import SHOP
from tests.storage.restores.test_faults import SLOW
from tests.storage.restores.test_killed import at_work, descendants, until

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

LOADING = b"SELECT 1 FROM pg_stat_progress_copy WHERE bytes_processed > 1000000 AND datname LIKE 'pghaven_proof_%'"
LEFT = b"""
SELECT datname::text FROM pg_database WHERE datname LIKE 'pghaven_proof_%'
UNION ALL SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'pghaven_load_%'
"""


def address(connection: Connection) -> str:
    assert connection.password is not None
    password = quote(connection.password.reveal, safe="")
    return (
        f"postgresql://{connection.user}:{password}@/{connection.dbname}?host={connection.host}&port={connection.port}"
    )


@dataclass(frozen=True)
class Program:
    """A data folder with a backup of the database that its environment names, and pghaven as a process of its own."""

    settings: Settings
    backup_id: str

    def prove(self) -> subprocess.Popen[bytes]:
        environment = {
            "BACKUP_STORAGE_PATH": str(self.settings.data_folder),
            "PGHAVEN_PRIVATE_FOLDER": str(self.settings.private_folder),
            "PG_BIN_DIRS": os.pathsep.join(map(str, self.settings.pg_bin_dirs)),
            "SPACE_RESERVE_MB": "0",
        }
        for name, value in (
            ("DATABASE_URL", self.settings.database_url),
            ("SCRATCH_DATABASE_URL", self.settings.scratch_database_url),
        ):
            if value:
                environment[name] = value.reveal
        return subprocess.Popen(
            [sys.executable, "-m", "webapp.cli", "backups", "prove", self.backup_id, "--json"],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture
def settings(server: Server, empty_database: Connection, storage_folder: Path) -> Iterator[Settings]:
    """Those of an instance whose database is a shop with one large table."""
    with connect(empty_database, application="tests") as session:
        session.execute((SHOP + SLOW).encode())
    private = open_folder("pghaven-private-")
    yield Settings(
        data_folder=storage_folder,
        private_folder=private,
        pg_bin_dirs=(server.installation.folder,),
        database_url=Secret(address(empty_database)),
        database_variable="DATABASE_URL",
        prove_every_days=0,
    )
    shutil.rmtree(private, ignore_errors=True)


def taken(storage: Storage) -> str:
    [profile] = storage.databases.all()
    job, _ = storage.backups.take(profile.name, by="ana", background=False)
    done = storage.runner.run_here(job)
    assert done.state is JobState.COMPLETED, done.error
    return str(done.result["backup_id"])


def test_killed_while_it_loads_it_leaves_nothing_after_the_next_start(server: Server, settings: Settings) -> None:
    settings = replace(settings, scratch_database_url=Secret(address(server.connection)))
    program = Program(settings, taken(open_storage(settings)))
    with connect(server.connection, application="tests") as session:
        killed = program.prove()
        until(lambda: session.execute(LOADING).fetchone(), seconds=60)
        started = descendants(killed.pid)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
        until(lambda: not any(map(at_work, started)), seconds=5)
        assert len(session.execute(LEFT).fetchall()) == 2

        again = open_storage(settings)
        again.start()
        try:
            assert session.execute(LEFT).fetchall() == []
            [job] = [job for job in again.jobs.newest_first() if job.kind is JobKind.PROVE]
            assert (job.state, job.result["scratch"]) == (JobState.INTERRUPTED, "")
            record = again.backups.catalog.get(program.backup_id)
            assert record.good and record.proof is None
            assert list(again.staging.folder.iterdir()) == []
        finally:
            again.stop()
    assert program.prove().wait(timeout=120) == 0


def test_with_a_database_of_ones_own_the_embedded_server_is_started_for_the_proof(settings: Settings) -> None:
    storage = open_storage(settings)
    program = Program(settings, taken(storage))
    assert program.prove().wait(timeout=120) == 0
    record = storage.backups.catalog.get(program.backup_id)
    assert record.proof is not None and record.proof.good
    assert record.proof.tables == 3
    assert storage.embedded is not None and not storage.embedded.describe().running
