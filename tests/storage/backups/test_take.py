"""Taking backups of a real database: what is in them, and what whatever goes wrong leaves behind."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from storage import reserve
from storage.backups.catalog import archive_name
from storage.backups.record import BackupState
from storage.errors import Message
from storage.jobs.model import Job, JobState
from storage.jsonfiles import read
from storage.postgres.connection import Connection, connect
from storage.schedules import retry
from storage.secret import Secret
from tests.proxy import Proxy
from tests.servers import Server, open_folder
from tests.storage.backups.conftest import FILL, SHOP
from tests.storage.backups.workshop import Workshop

pytestmark = pytest.mark.postgres


def do(connection: Connection, *statements: str) -> None:
    with connect(connection, application="tests") as session:
        for statement in statements:
            session.execute(statement)


def error_of(job: Job) -> str:
    assert job.error is not None
    return str(Message.from_json(job.error["cause"]))


def advice_of(job: Job) -> str:
    assert job.error is not None
    return str(Message.from_json(job.error["advice"]))


def test_a_backup_holds_what_its_record_says(workshop: Workshop) -> None:
    job, record = workshop.take()
    assert job.state is JobState.COMPLETED
    assert record.state is BackupState.COMPLETE
    archive = workshop.catalog.archive_path(record)
    assert re.fullmatch(r"backup_shop_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.dump", archive.name)
    assert archive.stat().st_size == record.bytes
    assert archive.stat().st_mode & 0o077 == 0
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == record.sha256
    assert {name: table.rows for name, table in record.tables.items()} == {
        "public.customers": 500,
        "public.orders": 2000,
        "public.visits": 20000,
    }
    assert all(re.fullmatch(r"1:[0-9a-f]{16}", table.digest or "") for table in record.tables.values())
    assert record.verified is not None and record.verified.good
    assert record.compression == ("zstd:1" if workshop.installations()[0].zstd else "gzip:1")
    assert record.source.database == workshop.connection.dbname
    assert record.source.encoding == "UTF8"
    assert len(record.schema_fingerprint) == 64
    # The record lies beside its archive once more, and nothing else is left anywhere.
    beside = archive.with_suffix(".json")
    assert read(beside) == record.to_json()
    assert workshop.files() == sorted(
        [str(archive.relative_to(workshop.folder)), str(beside.relative_to(workshop.folder))]
    )


def test_rows_written_during_the_dump_are_in_neither_the_archive_nor_the_manifest(workshop: Workshop) -> None:
    do(workshop.connection, FILL % 60000)
    writing = threading.Event()

    def write() -> None:
        with connect(workshop.connection, application="tests") as session:
            while not writing.wait(0.005):
                session.execute(
                    "INSERT INTO visits (path) VALUES ('later');"
                    "DELETE FROM orders WHERE id = (SELECT max(id) FROM orders)"
                )

    writer = threading.Thread(target=write)
    job, record = workshop.take(
        on_progress=lambda job: writer.start() if job.progress.step == "dump" and not writer.ident else None
    )
    writing.set()
    writer.join()
    assert job.state is JobState.COMPLETED
    listed = restored_counts(workshop, record.backup_id)
    assert listed == {name: table.rows for name, table in record.tables.items()}
    with connect(workshop.connection, application="tests") as session:
        now = session.execute("SELECT count(*) FROM visits").fetchone()
    assert now is not None and now[0] > record.tables["public.visits"].rows


def restored_counts(workshop: Workshop, backup_id: str) -> dict[str, int]:
    """Rows by table in an archive, counted in the SQL that pg_restore prints."""
    installation = workshop.installations()[0]
    archive = workshop.catalog.archive_path(workshop.catalog.get(backup_id))
    printed = subprocess.run(
        [installation.program("pg_restore"), "--data-only", "--file=-", archive],
        capture_output=True, text=True, check=True, env=installation.environment(),
    ).stdout  # fmt: skip
    counts, table = {}, ""
    for line in printed.splitlines():
        if begins := re.match(r"COPY (\S+) \(", line):
            table = begins[1]
            counts[table] = 0
        elif line == "\\.":
            table = ""
        elif table:
            counts[table] += 1
    return counts


def test_a_backup_without_logs_keeps_their_structure(workshop: Workshop) -> None:
    workshop.logs = ["public.visits"]
    _, record = workshop.take(no_logs=True)
    assert record.archive.endswith("_no-logs.dump")
    assert record.tables["public.visits"].left_out
    assert record.tables["public.visits"].rows == 0
    assert restored_counts(workshop, record.backup_id).get("public.visits", 0) == 0
    installation = workshop.installations()[0]
    schema = subprocess.run(
        [installation.program("pg_restore"), "--schema-only", "--file=-", workshop.catalog.archive_path(record)],
        capture_output=True, text=True, check=True, env=installation.environment(),
    ).stdout  # fmt: skip
    assert "CREATE TABLE public.visits" in schema


def test_tables_with_nasty_names_can_be_left_out(workshop: Workshop) -> None:
    do(workshop.connection, 'CREATE TABLE "--file=/tmp/x"" .*" (a int)', 'INSERT INTO "--file=/tmp/x"" .*" VALUES (1)')
    workshop.logs = ['public."--file=/tmp/x"" .*"']
    job, record = workshop.take(no_logs=True)
    assert job.state is JobState.COMPLETED
    assert record.tables['public."--file=/tmp/x"" .*"'].left_out
    assert record.tables["public.visits"].rows == 20000
    assert not Path("/tmp/x").exists()


def test_progress_never_goes_back_and_names_the_table(workshop: Workshop) -> None:
    do(workshop.connection, FILL % 50000)
    seen: list[Job] = []
    workshop.take(on_progress=seen.append)
    shown = [job.progress.percent for job in seen if job.progress.percent is not None]
    assert shown == sorted(shown)
    assert shown[-1] >= 99
    assert {job.progress.item for job in seen} >= {"public.visits"}
    assert seen[-1].progress.written and seen[-1].progress.rows
    steps = [step.code for step in seen[-1].steps if step.started_at]
    assert steps == ["turn", "look", "dump", "count", "verify", "publish"]


def stop_when(
    workshop: Workshop, condition: Callable[[Job], bool], action: Callable[[Job], None]
) -> Callable[[Job], None]:
    done = threading.Event()

    def on_progress(job: Job) -> None:
        if not done.is_set() and condition(job):
            done.set()
            action(job)

    return on_progress


def is_dumping(job: Job) -> bool:
    return job.progress.step == "dump" and bool(job.progress.written)


def programs_running(name: str = "pg_dump") -> list[int]:
    """Processes of this name that are children of ours."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            parts = (entry / "stat").read_text().rsplit(") ", 1)
            if parts[0].endswith(f"({name}") and int(parts[1].split()[1]) == os.getpid():
                found.append(int(entry.name))
        except (OSError, IndexError, ValueError):
            continue
    return found


def test_cancel_works_at_once_and_leaves_nothing_behind(workshop: Workshop) -> None:
    do(workshop.connection, FILL % 400000)
    asked: list[float] = []

    def ask(job: Job) -> None:
        workshop.store.ask_to_stop(job.job_id, by="Ana")
        asked.append(time.monotonic())

    job, record = workshop.take(on_progress=stop_when(workshop, is_dumping, ask))
    assert time.monotonic() - asked[0] < 3
    assert job.state is JobState.CANCELLED
    assert error_of(job) == "Cancelled by Ana."
    assert record.state is BackupState.CANCELLED
    assert workshop.files() == []
    assert not programs_running()
    assert not workshop.locks.is_held("database-shop")
    with connect(workshop.connection, application="tests") as session:
        left = session.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pghaven %'"
        ).fetchone()
    assert left == (0,)


def test_a_killed_pg_dump_is_named_and_leaves_nothing_behind(workshop: Workshop) -> None:
    do(workshop.connection, FILL % 400000)
    _, earlier = workshop.take()

    def kill(job: Job) -> None:
        for process in programs_running():
            os.kill(process, signal.SIGKILL)

    job, record = workshop.take(on_progress=stop_when(workshop, is_dumping, kill))
    assert job.state is JobState.FAILED
    assert error_of(job) == "pg_dump was killed by signal 9."
    assert record.state is BackupState.FAILED
    assert workshop.catalog.get(earlier.backup_id).good
    assert len(workshop.files()) == 2  # the earlier archive and its record
    assert workshop.take()[0].state is JobState.COMPLETED


def through(proxy: Proxy, connection: Connection) -> Connection:
    return replace(connection, host="127.0.0.1", port=proxy.port, sslmode="disable")


@pytest.mark.parametrize("limit", [2000, 3_000_000])
def test_a_connection_that_breaks_fails_the_backup(workshop: Workshop, limit: int) -> None:
    do(workshop.connection, FILL % 100000)
    with Proxy(workshop.connection.host, workshop.connection.port, limit=limit) as proxy:
        workshop.connection = through(proxy, workshop.connection)
        job, record = workshop.take()
    assert job.state is JobState.FAILED
    assert record.state is BackupState.FAILED
    assert workshop.files() == []
    assert retry.is_passing(job), job.error


@pytest.mark.parametrize("limit", [0, 2000, 3_000_000])
def test_a_server_that_goes_silent_is_given_up(workshop: Workshop, limit: int) -> None:
    do(workshop.connection, FILL % 100000)
    workshop.use(stall_seconds=2)
    started = time.monotonic()
    with Proxy(workshop.connection.host, workshop.connection.port, limit=limit, then="silence") as proxy:
        workshop.connection = through(proxy, workshop.connection)
        job, record = workshop.take()
    assert job.state is JobState.FAILED
    assert time.monotonic() - started < 20
    assert record.state is BackupState.FAILED
    assert workshop.files() == []
    assert not programs_running()


def test_a_server_that_is_stopped_in_the_middle_fails_the_backup(storage_folder: Path, server: Server) -> None:
    own = Server(server.installation, open_folder("pghaven-stopped-"))
    workshop = Workshop(folder=storage_folder, connection=own.create_database("shop"), majors=(own.major,))
    do(workshop.connection, SHOP, FILL % 400000)
    job, record = workshop.take(on_progress=stop_when(workshop, is_dumping, lambda job: own.stop()))
    assert job.state is JobState.FAILED
    assert error_of(job) in ("The connection to the server was lost.", "The database could not be read.")
    assert retry.is_passing(job), job.error
    assert record.state is BackupState.FAILED
    assert workshop.files() == []
    assert not programs_running()


def test_a_wrong_password_is_said_plainly(workshop: Workshop) -> None:
    workshop.connection = replace(workshop.connection, password=Secret("wrong"))
    job, record = workshop.take()
    assert "refused the password" in error_of(job)
    assert not retry.is_passing(job)
    assert record.state is BackupState.FAILED
    assert "wrong" not in str(record.to_json()) + str(job.to_json())


def test_a_table_locked_by_another_session_is_named(workshop: Workshop) -> None:
    workshop.use(lock_wait_seconds=1)
    with connect(workshop.connection, application="migration 42", autocommit=False) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        job, _ = workshop.take()
    assert "public.orders is locked" in error_of(job)
    assert "migration 42" in error_of(job)


@pytest.fixture
def restricted(workshop: Workshop, server: Server) -> Connection:
    """A role that may log in and nothing else."""
    do(
        server.connection,
        "DROP ROLE IF EXISTS restricted",
        "CREATE ROLE restricted LOGIN PASSWORD 'restricted'",
    )
    return replace(workshop.connection, user="restricted", password=Secret("restricted"))


def test_a_role_that_may_not_read_is_told_the_grant(workshop: Workshop, restricted: Connection) -> None:
    workshop.connection = restricted
    job, _ = workshop.take()
    assert "may not read" in error_of(job)
    assert "GRANT pg_read_all_data" in advice_of(job)


def test_a_role_from_which_row_security_hides_rows_is_refused(
    workshop: Workshop, restricted: Connection, server: Server
) -> None:
    do(
        workshop.connection,
        "GRANT pg_read_all_data TO restricted",
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY partly ON orders USING (customer_id = 1)",
    )
    everything = workshop.connection
    workshop.connection = restricted
    job, record = workshop.take()
    assert "Row security hides rows of public.orders" in error_of(job)
    assert "BYPASSRLS" in advice_of(job)
    assert record.state is BackupState.FAILED
    # The advice helps.
    do(everything, 'ALTER ROLE "restricted" BYPASSRLS')
    assert workshop.take()[0].state is JobState.COMPLETED


def test_a_server_newer_than_the_programs_is_refused_with_the_command_that_helps(
    workshop: Workshop, server: Server
) -> None:
    workshop.majors = (14,)
    job, _ = workshop.take()
    if server.major == 14:
        pytest.fail("the newest server of the tests cannot be 14")
    assert f"The server is PostgreSQL {server.major}" in error_of(job)
    assert f"pghaven tools install {server.major}" in advice_of(job)


def test_a_full_disk_fails_the_backup_and_not_the_metadata(workshop: Workshop, small_disk: Path) -> None:
    do(
        workshop.connection,
        "CREATE TABLE noise AS SELECT gen_random_uuid() a, gen_random_uuid() b FROM generate_series(1, 400000)",
    )
    on_disk = Workshop(folder=small_disk / "backups", connection=workshop.connection, majors=workshop.majors)
    # The estimate would refuse beforehand; a last archive that was small lets it begin.
    on_disk.catalog.save(a_small_earlier_backup())
    job, record = on_disk.take()
    assert job.state is JobState.FAILED
    assert "The disk of" in error_of(job) and "is full" in error_of(job)
    assert record.state is BackupState.FAILED
    assert [name for name in on_disk.files() if name.endswith(".dump")] == []
    do(workshop.connection, "DROP TABLE noise")
    assert on_disk.take()[0].state is JobState.COMPLETED


def test_a_disk_that_stays_full_is_still_told_of_in_the_record(workshop: Workshop, small_disk: Path) -> None:
    do(
        workshop.connection,
        "CREATE TABLE noise AS SELECT gen_random_uuid() a, gen_random_uuid() b FROM generate_series(1, 400000)",
    )
    on_disk = Workshop(folder=small_disk / "backups", connection=workshop.connection, majors=workshop.majors)
    on_disk.catalog.save(a_small_earlier_backup())
    assert reserve.keep(on_disk.folder, size=1 << 20)
    with ExitStack() as held:
        # Somebody else reads what is being written, so that removing it makes no room, and fills what else is free.
        others = held.enter_context((small_disk / "others").open("wb", buffering=0))
        opened: set[Path] = set()

        def fill(job: Job) -> None:
            for path in (on_disk.folder / "staging").glob("*/*"):
                if path not in opened and path.is_file():
                    opened.add(path)
                    held.enter_context(path.open("rb"))
            if job.progress.written:
                with suppress(OSError):
                    while True:
                        others.write(b"x" * 4096)

        job, record = on_disk.take(on_progress=fill)
        assert "is full" in error_of(job)
        assert on_disk.store.get(job.job_id).state is JobState.FAILED
        assert record.state is BackupState.FAILED
        assert not on_disk.locks.is_held(on_disk.store.lock_name(job.job_id))
        assert not (on_disk.folder / ".reserve").exists()


def test_a_publication_that_fails_leaves_neither_archive_nor_copy(workshop: Workshop) -> None:
    def be_in_the_way(job: Job) -> None:
        if job.progress.step == "publish":
            record = workshop.catalog.get(job.result["backup_id"])
            name = archive_name(record.database, record.started_at, no_logs=False)
            (workshop.catalog.archives / "shop" / name / "something").mkdir(parents=True, exist_ok=True)

    job, record = workshop.take(on_progress=be_in_the_way)
    assert job.state is JobState.FAILED and record.state is BackupState.FAILED
    assert list((workshop.catalog.archives / "shop").glob("*.json")) == []
    assert workshop.catalog.rebuild() == []


def test_too_little_room_is_refused_before_anything_is_written(workshop: Workshop) -> None:
    workshop.use(space_reserve=10**18)
    job, _ = workshop.take()
    assert "is full: about" in error_of(job)


@pytest.fixture
def small_disk(tmp_path: Path):
    """Eight megabytes of disk, really mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.getuid() != 0:
        pytest.skip("mounting a small disk needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def a_small_earlier_backup():
    from tests.builders import a_backup

    return a_backup(database="shop", bytes=1000, archive="")


def test_two_people_at_once_get_one_job(workshop: Workshop) -> None:
    do(workshop.connection, FILL % 100000)
    workshop.runner.start()
    barrier = threading.Barrier(4)
    answers: list[tuple[str, bool]] = []

    def press(name: str) -> None:
        barrier.wait()
        job, new = workshop.backups.take("shop", by=name)
        answers.append((job.job_id, new))

    people = [threading.Thread(target=press, args=(f"person {n}",)) for n in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert len({job_id for job_id, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1
    deadline = time.monotonic() + 60
    while not workshop.store.get(answers[0][0]).ended and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [record.state for record in workshop.catalog.all()] == [BackupState.COMPLETE]
    workshop.runner.stop(grace=5)


def test_the_password_is_in_no_argument_and_no_environment(workshop: Workshop) -> None:
    do(workshop.connection, FILL % 200000)
    assert workshop.connection.password is not None
    secret = workshop.connection.password.reveal.encode()
    seen: list[bytes] = []

    def look(job: Job) -> None:
        for process in programs_running():
            seen.append(Path(f"/proc/{process}/cmdline").read_bytes() + Path(f"/proc/{process}/environ").read_bytes())

    job, _ = workshop.take(on_progress=stop_when(workshop, is_dumping, look))
    assert job.state is JobState.COMPLETED
    assert seen and all(b"PGPASSFILE" in facts and secret not in facts for facts in seen)
    log = "\n".join(line.text for line in workshop.store.log(job.job_id))
    assert secret.decode() not in log


def test_a_large_object_that_may_not_be_read_is_named_with_the_grant(
    workshop: Workshop, restricted: Connection
) -> None:
    do(workshop.connection, "GRANT pg_read_all_data TO restricted", "SELECT lo_from_bytea(4242, 'x')")
    everything = workshop.connection
    workshop.connection = restricted
    job, _ = workshop.take()
    assert "the large object 4242" in error_of(job)
    assert "GRANT SELECT ON LARGE OBJECT 4242" in advice_of(job)
    do(everything, "GRANT SELECT ON LARGE OBJECT 4242 TO restricted")
    assert workshop.take()[0].state is JobState.COMPLETED
