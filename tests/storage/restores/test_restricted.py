"""An archive that somebody brought: loaded without special rights, whatever its entries say."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.backups.record import BackupRecord
from storage.backups.upload import Uploads
from storage.clock import utc_now
from storage.jobs.model import JobState
from storage.postgres.connection import write_pass_file
from storage.restores.plan import Light
from storage.restores.request import Mode, RestoreRequest
from tests.archives import VIEW_FOR_SPITE, with_statement
from tests.servers import installation_of, installations, open_folder
from tests.storage.restores.conftest import Haven

ROLES = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pghaven_load_%'"


def bring(haven: Haven, content: bytes, *, name: str = "theirs.dump") -> BackupRecord:
    uploads = Uploads(
        catalog=haven.catalog,
        staging=haven.staging,
        locks=haven.locks,
        clock=utc_now,
        installations=installations,
        limit=1 << 30,
    )
    with uploads.receive() as incoming:
        incoming.write(content)
        return uploads.publish(incoming, database="shop", name=name, by="ana")


def dumped(haven: Haven) -> bytes:
    """An archive of the shop that this haven knows nothing of."""
    taken = haven.take()
    content = haven.catalog.archive_path(taken).read_bytes()
    haven.catalog.forget(taken.backup_id)
    return content


@pytest.fixture
def witness() -> Iterator[Path]:
    """A file that is not there, in a folder in which the server's account may write."""
    folder = open_folder("pghaven-witness-")
    folder.chmod(0o777)
    yield folder / "was-here"
    shutil.rmtree(folder)


def test_an_uploaded_archive_comes_back_and_is_counted_and_never_called_equal(haven: Haven) -> None:
    backup = bring(haven, dumped(haven))
    job = haven.restore(backup, target="again")
    assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
    record = haven.restores.get(job.result["restore_id"])
    assert (record.manifest, record.tables_compared, record.tables_equal, record.rows_compared) == (False, 2, 0, 2200)
    log = haven.log(job)
    assert "2 tables, 2200 rows: counted; there is no manifest to compare with" in log
    assert not [line for line in log if "equal to the backup" in line]
    assert haven.ask("SELECT count(*) FROM orders", database="again") == 2000


def test_the_role_of_the_load_is_gone_afterwards_and_the_owner_has_everything(haven: Haven) -> None:
    backup = bring(haven, dumped(haven))
    record = haven.restored(backup, replace=True)
    assert record.loader == ""
    assert haven.ask(ROLES) == 0
    owners = (
        "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',') FROM pg_class WHERE relname IN ('users', 'big')"
    )
    assert haven.ask(owners) == haven.connection.user
    assert haven.ask("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()") == (
        haven.connection.user
    )


@pytest.mark.parametrize("major", [14, 15, 18])
def test_it_works_with_the_rights_on_schema_public_of_every_major(haven_of: Callable[..., Haven], major: int) -> None:
    haven = haven_of(major)
    record = haven.restored(bring(haven, dumped(haven)), target="again")
    assert record.rows_compared == 2200
    assert haven.ask(ROLES) == 0


def test_an_archive_that_starts_a_program_fails_and_leaves_no_file_and_no_database(
    haven: Haven, witness: Path, tmp_path: Path
) -> None:
    haven.run(VIEW_FOR_SPITE)
    statement = f"COPY (SELECT 'x') TO PROGRAM 'cat > {witness}';"
    hostile = with_statement(dumped(haven), statement)
    haven.run("DROP VIEW spite")
    backup = bring(haven, hostile)
    assert_it_would_work_for_a_superuser(haven, haven.catalog.archive_path(backup), witness, tmp_path)
    before, databases = haven.facts(), haven.databases()
    for replace in (False, True):
        job = haven.restore(backup, replace=replace)
        assert job.error is not None and job.error["kind"] == "Denied"
        assert "more rights than an uploaded archive" in str(job.error["cause"])
        assert "Connect as a superuser" not in str(job.error)
        assert not witness.exists()
        assert haven.databases() == databases
        assert haven.facts() == before
        assert haven.ask(ROLES) == 0


def assert_it_would_work_for_a_superuser(haven: Haven, archive: Path, witness: Path, folder: Path) -> None:
    """Otherwise the test would show nothing."""
    haven.run("CREATE DATABASE careless", database="postgres")
    careless = haven.connection.to("careless")
    installation = installation_of(int(haven.ask("SHOW server_version_num")) // 10000)
    subprocess.run(
        [installation.program("pg_restore"), "--dbname=connect_timeout=10", "--single-transaction", str(archive)],
        env=careless.environment(write_pass_file(folder, careless), application="tests") | installation.environment(),
        check=False,
        capture_output=True,
    )
    haven.run("DROP DATABASE careless", database="postgres")
    assert witness.read_text() == "x\n"
    witness.unlink()


@pytest.mark.parametrize(
    "statement",
    [
        "RESET ROLE; COPY (SELECT 'x') TO PROGRAM 'cat > {witness}';",
        "RESET SESSION AUTHORIZATION; COPY (SELECT 'x') TO '{witness}';",
        "SET ROLE {superuser}; COPY (SELECT 'x') TO PROGRAM 'cat > {witness}';",
        "ALTER ROLE CURRENT_USER SUPERUSER;",
        "CREATE ROLE another SUPERUSER LOGIN;",
    ],
)
def test_no_way_back_to_more_rights_is_open(haven: Haven, witness: Path, statement: str) -> None:
    haven.run(VIEW_FOR_SPITE)
    hostile = with_statement(dumped(haven), statement.format(witness=witness, superuser=haven.connection.user))
    job = haven.restore(bring(haven, hostile))
    assert job.state is JobState.FAILED
    assert not witness.exists()
    assert haven.ask("SELECT count(*) FROM pg_roles WHERE rolname = 'another'") == 0


LATER = """
CREATE FUNCTION worse() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_database() LIKE 'again%' AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        COPY (SELECT 'x') TO PROGRAM 'cat > {witness}';
    END IF;
END $$;
CREATE FUNCTION later(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM public.worse(); RETURN n; END $$;
CREATE TABLE trap AS SELECT i AS n FROM generate_series(1, 50) i;
CREATE INDEX trap_later ON trap (later(n));
"""


def test_what_the_server_runs_by_itself_later_has_no_special_rights_either(haven: Haven, witness: Path) -> None:
    haven.run(LATER.format(witness=witness))
    record = haven.restored(bring(haven, dumped(haven)), target="again")
    assert not witness.exists()
    # As autovacuum does it: in the name of the table's owner, who is not the superuser that owned everything before.
    haven.run("ANALYZE trap", database="again")
    assert not witness.exists()
    owner = haven.ask("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'trap'", database="again")
    try:
        assert owner == record.loader != ""
        assert haven.ask("SELECT rolcanlogin OR rolsuper FROM pg_roles WHERE rolname = %s", owner) is False
    finally:
        haven.run("DROP DATABASE again", database="postgres")
        haven.run(f"DROP ROLE {owner}", database="postgres")
    haven.restored(haven.take(), target="again_as_superuser")
    assert witness.exists(), "for a superuser it would work; otherwise this would show nothing"


def test_a_database_that_it_made_a_template_is_dropped_all_the_same(haven: Haven) -> None:
    haven.run(VIEW_FOR_SPITE)
    template = "EXECUTE format('ALTER DATABASE %I IS_TEMPLATE true', current_database())"
    statement = f"DO $$ BEGIN {template}; END $$; COMMIT; SELECT 1/0;"
    backup = bring(haven, with_statement(dumped(haven), statement))
    before = haven.databases()
    assert haven.restore(backup).state is JobState.FAILED
    assert haven.databases() == before


def test_what_it_set_for_the_database_is_taken_back(haven: Haven) -> None:
    haven.run(VIEW_FOR_SPITE)
    statement = (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = evil, pg_catalog', current_database()); "
        "EXECUTE format('ALTER DATABASE %I SET statement_timeout = 1', current_database()); "
        "EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()); END $$;"
    )
    record = haven.restored(bring(haven, with_statement(dumped(haven), statement)), target="again")
    assert record.rows_compared == 2200
    settings = "SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = %s"
    assert haven.ask(settings, "again") == 0
    assert haven.ask("SELECT has_database_privilege('public', 'again', 'CONNECT')") is True


@pytest.mark.parametrize("where", ["restore:recorded", "restore:created", "restore:loaded", "swap:journal"])
def test_a_crash_leaves_no_role(haven: Haven, where: str) -> None:
    job = haven.request(bring(haven, dumped(haven)), replace=True)
    before, databases = haven.facts(), haven.databases()
    assert haven.crash(job, at=where) != 0
    [settled] = haven.restores.reconcile()
    assert settled.loader == ""
    assert haven.ask(ROLES) == 0
    assert (haven.facts(), haven.databases()) == (before, databases)


def test_the_plan_says_that_it_is_not_ours_and_what_is_not_known(haven: Haven) -> None:
    backup = bring(haven, dumped(haven))
    plan = haven.restores.plan(RestoreRequest(backup_id=backup.backup_id, mode=Mode.REPLACE))
    notes = {check.code: (check.state, str(check.message)) for check in plan.checks}
    assert notes["origin"][0] is notes["manifest"][0] is Light.WARNING
    assert "without special rights" in notes["origin"][1]
    assert "no manifest to compare with" in notes["manifest"][1]
    assert (plan.restricted, plan.no_owner, plan.no_privileges, plan.blocked) == (True, True, True, False)
    assert {(table.name, table.now, table.backup, table.uncounted) for table in plan.tables} == {
        ("public.orders", 2000, None, True),
        ("public.users", 200, None, True),
    }


def test_a_role_that_is_no_superuser_is_used_as_it_is(haven: Haven, tmp_path: Path) -> None:
    name = haven.connection.dbname
    content = dumped(haven)
    haven.run("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN CREATEDB PASSWORD 'plain'")
    haven.run(f"GRANT CREATE ON DATABASE {name} TO plain")
    try:
        from dataclasses import replace

        from storage.secret import Secret

        plain = Haven(haven.folder, replace(haven.connection, user="plain", password=Secret("plain")))
        record = plain.restored(bring(plain, content), target="again")
        assert (record.loader, record.rows_compared) == ("", 2200)
        assert haven.ask(
            "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'users'", database="again"
        ) == ("plain")
    finally:
        haven.run("DROP DATABASE IF EXISTS again", database="postgres")
        haven.run("DROP OWNED BY plain; DROP ROLE plain")
