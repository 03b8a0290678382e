"""The server's disk runs full in the middle of a restore: a real one, small, that somebody else fills meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from psycopg import sql

from storage.backups.record import BackupRecord
from storage.errors import Message
from storage.jobs.model import Job, JobState
from storage.postgres import cluster
from storage.postgres.account import server_account
from storage.postgres.cluster import Cluster
from storage.postgres.connection import connect
from storage.restores.record import RestoreState
from tests.servers import FOR_TESTS, Server, newest_installation, open_folder
from tests.storage.restores.conftest import SHOP, Haven
from tests.storage.restores.test_faults import SLOW, leftovers, words

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

FULL = "The server's disk is full."
LEFT = 2 << 20
"""What is left when it is filled: enough for the tables' definitions, and not for their rows."""


class Disk:
    """A file system of its own that belongs to the server's account."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting needs root")
        server_account().give(folder)
        folder.chmod(0o700)

    def fill(self, *, leaving: int = 0) -> None:
        disk = os.statvfs(self.folder)
        with suppress(OSError), (self.folder / "others").open("ab", buffering=0) as others:
            os.posix_fallocate(others.fileno(), 0, disk.f_bavail * disk.f_frsize - leaving)

    def make_room(self) -> None:
        (self.folder / "others").unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)


@pytest.fixture
def disk_of() -> Iterator[Callable[[int], Disk]]:
    """disk_of(100) is a disk of a hundred megabytes."""
    folder, disks = open_folder("pghaven-disk-"), []

    def make(megabytes: int) -> Disk:
        disks.append(Disk(folder / str(len(disks)), megabytes))
        return disks[-1]

    yield make
    for disk in disks:
        disk.unmount()
    shutil.rmtree(folder)


def when_loading_begins(act: Callable[[], None]) -> Callable[[Job], None]:
    """on_progress: do it once, when the database beside the target is made and empty."""
    done: list[bool] = []

    def look(job: Job) -> None:
        if job.progress.step == "load" and not done:
            done.append(True)
            act()

    return look


def cause_of(job: Job) -> str:
    assert job.error is not None
    return str(Message.from_json(job.error["cause"]))


@pytest.fixture
def on_small(
    server: Server, storage_folder: Path, disk_of: Callable[[int], Disk]
) -> Iterator[tuple[Haven, Disk, BackupRecord]]:
    """A shop in a tablespace on a small disk, changed since its backup."""
    disk = disk_of(192)
    with connect(server.connection, application="tests") as session:
        session.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(sql.Literal(str(disk.folder))))
        session.execute("CREATE DATABASE on_small TABLESPACE small")
    haven = Haven(storage_folder, server.connection.to("on_small"))
    haven.run(SHOP + SLOW)
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    yield haven, disk, backup
    for name in haven.databases():
        if name.startswith("on_small"):
            server.drop_database(name)
    with connect(server.connection, application="tests") as session:
        session.execute("DROP TABLESPACE small")


def test_a_full_disk_of_the_server_is_named_and_changes_nothing(on_small: tuple[Haven, Disk, BackupRecord]) -> None:
    haven, disk, backup = on_small
    before, databases = haven.facts(), haven.databases()
    job = haven.request(backup, replace=True)
    ended = haven.runner.run_here(job, on_progress=when_loading_begins(lambda: disk.fill(leaving=LEFT)))
    assert (ended.state, ended.progress.step) == (JobState.FAILED, "load")
    assert (words(ended), cause_of(ended)) == ("Nothing was changed.", FULL)
    assert "No space left on device" in str(ended.error)
    assert (haven.facts(), haven.databases()) == (before, databases)
    [record] = haven.restores.all()
    assert (record.state, record.unsettled) == (RestoreState.FAILED, False)
    disk.make_room()
    haven.run("INSERT INTO users VALUES (1000, 'after')")
    assert haven.restored(backup, replace=True).state is RestoreState.COMPLETED


def test_room_is_looked_for_where_the_database_lies(on_small: tuple[Haven, Disk, BackupRecord]) -> None:
    haven, disk, backup = on_small
    disk.fill(leaving=LEFT)
    databases = haven.databases()
    job = haven.restore(backup, replace=True)
    assert (job.state, job.progress.step, words(job)) == (JobState.FAILED, "look", "Nothing was changed.")
    assert cause_of(job).endswith("are needed on the server, 2.1 MB are free.")
    assert haven.databases() == databases


@pytest.fixture
def own_server(disk_of: Callable[[int], Disk]) -> Iterator[tuple[Server, Disk]]:
    """A server of the test's own whose write-ahead log lies on a disk of its own."""
    folder, disk = open_folder("pghaven-own-"), disk_of(256)
    installation = newest_installation()
    made = Cluster(
        folder=folder / str(installation.major),
        installation=installation,
        account=server_account(),
        settings=FOR_TESTS,
    )
    cluster.make(made)
    log = disk.folder / "pg_wal"
    shutil.copytree(made.data / "pg_wal", log)
    shutil.rmtree(made.data / "pg_wal")
    for path in (log, *log.rglob("*")):
        made.account.give(path)
    (made.data / "pg_wal").symlink_to(log)
    server = Server(installation, folder)
    yield server, disk
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_server_that_its_full_disk_brings_down_is_put_in_order_when_it_has_room(
    own_server: tuple[Server, Disk], storage_folder: Path
) -> None:
    server, disk = own_server
    haven = Haven(storage_folder, server.create_database())
    haven.run(SHOP + SLOW)
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    before, databases = haven.facts(), haven.databases()
    job = haven.request(backup, replace=True)
    ended = haven.runner.run_here(job, on_progress=when_loading_begins(disk.fill))
    assert (ended.state, words(ended)) == (JobState.FAILED, "Nothing was changed.")
    # The server's last words reach pg_restore only when it was not sending rows.
    assert cause_of(ended) in (FULL, "The connection to the server was lost.")
    assert "No space left on device" in server.cluster.log.read_text()
    disk.make_room()
    server.stop()
    server.process.start()
    haven.restores.reconcile()
    [record] = haven.restores.all()
    assert (record.state, record.unsettled) == (RestoreState.FAILED, False)
    assert leftovers(haven) == []
    assert (haven.facts(), haven.databases()) == (before, databases)
    assert haven.restored(backup, replace=True).state is RestoreState.COMPLETED
