"""A haven of the test's own: one database registered as shop, on a real server, with everything a restore needs."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from storage.applications import maps
from storage.backups.backups import Backups
from storage.backups.catalog import Catalog
from storage.backups.record import BackupRecord
from storage.backups.take import Taker
from storage.clock import utc_now
from storage.databases.profile import DatabaseProfile
from storage.errors import NotFound, say
from storage.jobs.model import Job, JobState
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks
from storage.postgres.connection import Connection, connect
from storage.restores.record import RestoreRecord
from storage.restores.request import Mode, RestoreRequest
from storage.restores.restores import Restores
from storage.settings import Settings
from storage.staging import Staging
from tests.servers import Server, installation_of, installations

SHOP = """
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, at timestamptz DEFAULT now());
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int REFERENCES users, cents bigint,
                     note jsonb);
CREATE INDEX orders_user ON orders (user_id);
CREATE VIEW big AS SELECT * FROM orders WHERE cents > 50;
INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 200) i;
INSERT INTO orders (user_id, cents, note) SELECT i % 200 + 1, i, jsonb_build_object('n', i)
FROM generate_series(1, 2000) i;
"""


class Haven:
    """What `open_storage` wires, without the rest of it: one registered database, everything in the foreground."""

    def __init__(self, folder: Path, connection: Connection, *, majors: tuple[int, ...] = (), **settings: Any) -> None:
        self.folder, self.connection = folder, connection
        self.settings = Settings(data_folder=folder, space_reserve=0, **settings)
        self.locks = FileLocks(folder / "locks")
        self.jobs = JobStore(folder / "metadata" / "jobs", locks=self.locks, clock=utc_now)
        self.runner = JobRunner(self.jobs, clock=utc_now, workers=1)
        self.staging = Staging(folder / "staging")
        self.catalog = Catalog(folder, clock=utc_now)
        self.profile = DatabaseProfile(name="shop", connection=connection)
        wanted = tuple(installation_of(major) for major in majors)
        programs = lambda: (*wanted, *installations())  # noqa: E731
        self.backups = Backups(
            catalog=self.catalog,
            taker=Taker(
                catalog=self.catalog,
                locks=self.locks,
                staging=self.staging,
                settings=self.settings,
                clock=utc_now,
                installations=programs,
                profile_of=self.profile_of,
                logs_among=lambda profile, tables: [table for table in tables if table.endswith("_log")],
            ),
            runner=self.runner,
            installations=programs,
            clock=utc_now,
        )
        self.restores = Restores(
            folder / "metadata" / "restores",
            catalog=self.catalog,
            jobs=self.jobs,
            runner=self.runner,
            locks=self.locks,
            staging=self.staging,
            settings=self.settings,
            clock=utc_now,
            installations=programs,
            profile_of=self.profile_of,
            logs_among=lambda profile, tables: [table for table in tables if table.endswith("_log")],
            application_of=lambda tables: maps.recognise(maps.load_maps(folder / "applications"), tables),
            take_snapshot=self.backups.snapshot,
        )

    def profile_of(self, name: str) -> DatabaseProfile:
        if name != "shop":
            raise NotFound(say("There is no database %(name)s.", name=name))
        return self.profile

    def take(self, **options: Any) -> BackupRecord:
        job, _ = self.backups.take("shop", by="ana", background=False, **options)
        done = self.runner.run_here(job)
        assert done.state is JobState.COMPLETED, (done.error, self.log(done))
        return self.catalog.get(done.result["backup_id"])

    def request(self, backup: BackupRecord, *, replace: bool = False, target: str = "") -> Job:
        request = RestoreRequest(backup_id=backup.backup_id, mode=Mode.REPLACE if replace else Mode.NEW, target=target)
        job, _ = self.restores.start(request, by="ana", confirmed=target or self.connection.dbname, background=False)
        return job

    def restore(self, backup: BackupRecord, *, replace: bool = False, target: str = "", **options: Any) -> Job:
        """Ask for a restore and carry it out; the job as it ended."""
        return self.runner.run_here(self.request(backup, replace=replace, target=target), **options)

    def restored(self, backup: BackupRecord, *, replace: bool = False, target: str = "") -> RestoreRecord:
        """A restore that must succeed."""
        job = self.restore(backup, replace=replace, target=target)
        assert job.state is JobState.COMPLETED, (job.error, self.log(job))
        return self.restores.get(job.result["restore_id"])

    def log(self, job: Job) -> list[str]:
        return [line.text for line in self.jobs.log(job.job_id)]

    def run(self, statement: str, *, database: str = "") -> None:
        with connect(self.connection.to(database or self.connection.dbname), application="tests") as session:
            session.execute(statement.encode())

    def ask(self, query: str, *parameters: object, database: str = "") -> Any:
        """The first column of the first row."""
        with connect(self.connection.to(database or self.connection.dbname), application="tests") as session:
            row = session.execute(query.encode(), parameters or None).fetchone()
            return row[0] if row else None

    def databases(self) -> set[str]:
        with connect(self.connection.to("postgres"), application="tests") as session:
            return {name for (name,) in session.execute("SELECT datname::text FROM pg_database")}

    def facts(self) -> list[Any]:
        """Everything of the shop that a reader could see."""
        with connect(self.connection, application="tests") as session:
            return [
                session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone(),
                session.execute("SELECT count(*), sum(hashtext(u::text)) FROM users u").fetchone(),
                session.execute("SELECT count(*), sum(hashtext(o::text)) FROM orders o").fetchone(),
            ]

    def crash(self, job: Job, at: str) -> int:
        """Carry the job out in another process that dies at a crash point; its exit code."""
        return self.elsewhere(job, crash_at=at).wait(timeout=60)

    def elsewhere(self, job: Job, *, crash_at: str = "") -> subprocess.Popen[bytes]:
        """Carry the job out in another process."""
        self.runner._held.pop(job.job_id).release()  # as if that process had asked for it
        code = (
            "import sys, pickle\n"
            "from tests.storage.restores.conftest import Haven\n"
            "haven, job_id = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
            "haven = Haven(*haven)\n"
            "haven.runner._held[job_id] = haven.locks.take(haven.jobs.lock_name(job_id), holder='other')\n"
            "haven.runner.run_here(haven.jobs.get(job_id))\n"
        )
        handed = pickle.dumps(((self.folder, self.connection), job.job_id)).hex()
        return subprocess.Popen(
            [sys.executable, "-c", code, handed],
            env={**os.environ, "PGHAVEN_CRASH_AT": crash_at, "PYTHONPATH": str(Path.cwd())},
        )


@pytest.fixture
def haven(server: Server, storage_folder: Path) -> Iterator[Haven]:
    """A haven with the shop on the newest server; every database that a test leaves is dropped."""
    yield from a_haven(server, storage_folder)


@pytest.fixture
def haven_of(
    server_of: Callable[[int], Server], tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[..., Haven]:
    """haven_of(15) is a haven with the shop on that major."""

    def make(major: int, *, schema: str = SHOP, folder: Path = tmp_path) -> Haven:
        makes = a_haven(server_of(major), folder, schema=schema)
        made = next(makes)
        request.addfinalizer(lambda: next(makes, None))
        return made

    return make


def a_haven(server: Server, folder: Path, *, schema: str = SHOP) -> Iterator[Haven]:
    before = databases_of(server.connection)
    connection = server.create_database()
    with connect(connection, application="tests") as session:
        session.execute(schema.encode())
    yield Haven(folder, connection)
    with connect(server.connection, application="tests") as session:
        for name in databases_of(server.connection) - before:
            session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))
            session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def databases_of(connection: Connection) -> set[str]:
    with psycopg.connect(**connection.parameters(), autocommit=True) as session:
        return {name for (name,) in session.execute("SELECT datname::text FROM pg_database")}
