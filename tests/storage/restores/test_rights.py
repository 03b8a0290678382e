"""Restores as a role that is no superuser, onto servers of other versions, and with things missing there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from storage.errors import Conflict
from storage.jobs.model import JobState
from storage.restores.plan import Light
from storage.restores.request import Mode, RestoreRequest
from storage.secret import Secret
from tests.servers import Server
from tests.storage.restores.conftest import SHOP, Haven
from tests.storage.restores.test_faults import SLOW

pytestmark = pytest.mark.postgres


@pytest.fixture
def modest(haven: Haven) -> Iterator[Haven]:
    with a_modest(haven) as as_modest:
        yield as_modest


@contextmanager
def a_modest(haven: Haven, **options: Any) -> Iterator[Haven]:
    """The shop owned by a role that may log in and nothing else; haven connects as that role."""
    name = haven.connection.dbname
    haven.run(
        f"""
        CREATE ROLE modest LOGIN PASSWORD 'm';
        ALTER DATABASE {name} OWNER TO modest;
        ALTER TABLE users OWNER TO modest; ALTER TABLE orders OWNER TO modest; ALTER VIEW big OWNER TO modest;
        """
    )
    connection = replace(haven.connection, user="modest", password=Secret("m"))
    try:
        yield Haven(haven.folder.parent / "modest", connection, **options)
    finally:
        for database in haven.databases() - {"template0", "template1"}:
            haven.run("REASSIGN OWNED BY modest TO CURRENT_USER; DROP OWNED BY modest", database=database)
        haven.run("DROP ROLE modest", database="postgres")


def test_without_createdb_the_plan_is_blocked_and_nothing_changes(modest: Haven) -> None:
    backup = modest.take()
    before = modest.facts()
    plan = modest.restores.plan(RestoreRequest(backup_id=backup.backup_id))
    assert plan.blocked
    with pytest.raises(Conflict, match='ALTER ROLE "modest" CREATEDB'):
        plan.refuse_if_blocked()
    job = modest.restore(backup)
    assert job.state is JobState.FAILED
    assert modest.facts() == before


def test_an_owner_with_createdb_can_do_everything(modest: Haven, haven: Haven) -> None:
    haven.run("ALTER ROLE modest CREATEDB", database="postgres")
    backup = modest.take()
    modest.restored(backup, target="modest_again")
    modest.run("DELETE FROM orders")
    record = modest.restored(backup, replace=True)
    assert record.owners_kept
    assert modest.ask("SELECT count(*) FROM orders") == 2000
    assert modest.ask("SELECT tableowner::text FROM pg_tables WHERE tablename = 'orders'") == "modest"


def test_a_database_of_somebody_else_is_not_renamed(modest: Haven, haven: Haven) -> None:
    haven.run("ALTER ROLE modest CREATEDB", database="postgres")
    backup = modest.take()
    haven.run(f"ALTER DATABASE {haven.connection.dbname} OWNER TO CURRENT_USER")
    plan = modest.restores.plan(RestoreRequest(backup_id=backup.backup_id, mode=Mode.REPLACE))
    assert next(check for check in plan.checks if check.code == "rights").state is Light.BAD


def test_roles_that_are_missing_are_named_and_the_rest_is_restored(haven: Haven) -> None:
    haven.run("CREATE ROLE leaving; ALTER TABLE users OWNER TO leaving; GRANT SELECT ON orders TO leaving")
    backup = haven.take()
    haven.run("REASSIGN OWNED BY leaving TO CURRENT_USER; DROP OWNED BY leaving; DROP ROLE leaving")
    plan = haven.restores.plan(RestoreRequest(backup_id=backup.backup_id))
    check = next(check for check in plan.checks if check.code == "roles")
    assert (check.state, plan.no_owner, plan.no_privileges) == (Light.WARNING, True, True)
    assert "leaving" in str(check.message)
    record = haven.restored(backup)
    assert (record.owners_kept, record.grants_kept) == (False, False)


def test_a_missing_extension_is_named_before_anything_is_made(haven: Haven) -> None:
    backup = haven.take()
    source = replace(backup.source, extensions=(("postgis_of_nowhere", "1"),))
    haven.catalog.save(backup.with_(source=source))
    before = haven.databases()
    job = haven.restore(backup)
    assert job.error is not None
    assert "postgis_of_nowhere" in str(job.error["cause"])
    assert haven.databases() == before


def test_extensions_and_large_objects_and_locales_come_back(haven_of: Callable[..., Haven]) -> None:
    haven = haven_of(15, schema=SHOP + "SELECT lo_from_bytea(4711, 'kept'); CREATE SEQUENCE s; SELECT nextval('s');")
    record = haven.restored(haven.take(), replace=True)
    assert bytes(haven.ask("SELECT lo_get(4711)")) == b"kept"
    assert haven.ask("SELECT last_value FROM s") == 1
    properties = "SELECT row(encoding, datcollate, datctype, datlocprovider)::text FROM pg_database WHERE datname = %s"
    assert haven.ask(properties, haven.connection.dbname) == haven.ask(properties, record.kept_as)


@pytest.mark.parametrize(("source", "target"), [(14, 18), (15, 16), (16, 15), (17, 18), (18, 18), (18, 17)])
def test_a_backup_of_one_version_is_restored_on_another(
    haven_of: Callable[..., Haven], server_of: Callable[[int], Server], tmp_path: Path, source: int, target: int
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    taken = haven_of(source, folder=folder).take()
    there = haven_of(target, folder=folder)
    record = there.restored(taken, target=f"moved_{source}_{target}")
    assert record.tables_equal == record.tables_compared == 2
    there.restored(taken, replace=True)
    assert there.ask("SELECT count(*) FROM orders") == 2000


def test_what_16_dumps_with_zstd_of_a_server_15_comes_back_there_also_for_an_ordinary_role(
    haven_of: Callable[..., Haven],
) -> None:
    haven = haven_of(15)
    haven.run("ALTER TABLE orders ALTER COLUMN note SET COMPRESSION pglz; CREATE PUBLICATION p FOR TABLE orders")
    having_16 = Haven(haven.folder, haven.connection, majors=(15, 16))
    backup = having_16.take()
    assert re.match(r"pg_dump 16\.", backup.program)
    assert (backup.compression, backup.archive_format) == ("zstd:1", (1, 15))
    assert backup.source.server_major == 15
    having_16.run("DELETE FROM orders")
    record = having_16.restored(backup, replace=True)
    assert record.tables_equal == record.tables_compared == 2
    with a_modest(haven, majors=(15, 16)) as modest:
        haven.run("DROP PUBLICATION p; ALTER ROLE modest CREATEDB")
        backup = modest.take()
        modest.run("DELETE FROM orders")
        record = modest.restored(backup, replace=True)
        assert record.tables_equal == record.tables_compared == 2
        assert record.owners_kept


def test_a_server_14_is_dumped_with_its_own_programs_so_that_an_ordinary_role_keeps_owners(
    haven_of: Callable[..., Haven],
) -> None:
    # From 15 on pg_dump writes into the archive of a 14 that the schema public belongs to the superuser.
    with a_modest(haven_of(14), majors=(14, 15, 16)) as modest:
        modest.run("CREATE TABLE mine AS SELECT 1 AS n")
        plan = modest.restores.plan(RestoreRequest(backup_id=modest.take().backup_id))
        assert not plan.no_owner


def test_an_archive_of_a_newer_pg_dump_is_refused_for_an_older_server(
    haven_of: Callable[..., Haven], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    taken = haven_of(18, folder=folder).take()
    there = haven_of(16, folder=folder)
    before = there.facts()
    job = there.restore(taken, replace=True)
    assert job.error is not None
    assert "pg_dump" in str(job.error["cause"])
    assert there.facts() == before


def test_rows_now_are_counted_exactly_and_estimated_when_time_runs_out(haven: Haven) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10; CREATE TABLE fresh AS SELECT 1 AS n; ANALYZE")
    request = RestoreRequest(backup_id=backup.backup_id, mode=Mode.REPLACE)
    plan = haven.restores.plan(request)
    assert [(row.name, row.now, row.backup) for row in plan.tables if row.differs] == [
        ("public.orders", 10, 2000),
        ("public.fresh", 1, None),
    ]
    assert all(row.exact for row in plan.tables)


def test_who_is_connected_to_the_target_is_listed(haven: Haven) -> None:
    backup = haven.take()
    with psycopg.connect(**haven.connection.parameters(), application_name="web"):
        plan = haven.restores.plan(RestoreRequest(backup_id=backup.backup_id, mode=Mode.REPLACE))
    assert ("web", 1) in [(group.application, group.count) for group in plan.sessions]
    assert plan.session_count >= 1


def test_settings_that_the_role_may_not_give_are_said_in_the_plan_with_the_grant_that_helps(
    modest: Haven, haven: Haven
) -> None:
    name = haven.connection.dbname
    haven.run(f"ALTER ROLE modest CREATEDB; ALTER DATABASE {name} SET log_min_duration_statement TO '1s'")
    backup = modest.take()
    request = RestoreRequest(backup_id=backup.backup_id, mode=Mode.REPLACE)
    with pytest.raises(Conflict, match='GRANT SET ON PARAMETER log_min_duration_statement TO "modest"'):
        modest.restores.plan(request).refuse_if_blocked()
    haven.run("GRANT SET ON PARAMETER log_min_duration_statement TO modest", database="postgres")
    modest.restored(backup, replace=True)
    haven.run("REVOKE SET ON PARAMETER log_min_duration_statement FROM modest", database="postgres")
    settings = "SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = %s"
    assert haven.ask(settings, name) == ["log_min_duration_statement=1s"]


def test_a_property_that_cannot_be_given_ends_the_restore_before_the_load(modest: Haven, haven: Haven) -> None:
    name = haven.connection.dbname
    haven.run(
        f"DROP ROLE IF EXISTS another; CREATE ROLE another; ALTER ROLE modest CREATEDB;"
        f"ALTER ROLE another IN DATABASE {name} SET work_mem TO '7MB'"
    )
    backup = modest.take()
    before = modest.facts()
    try:
        job = modest.restore(backup, replace=True)
    finally:
        haven.run("DROP ROLE another", database="postgres")
    assert job.error is not None and job.error["kind"] == "Denied"
    assert job.error["advice"] and "permission denied" in job.error["words"]
    assert next(step for step in job.steps if step.code == "load").started_at is None
    assert modest.facts() == before
    assert not [database for database in haven.databases() if "_restoring_" in database]


def test_subscriptions_are_left_out_and_the_plan_says_so(haven: Haven) -> None:
    haven.run(
        "CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)"
    )
    try:
        backup = haven.take()
        plan = haven.restores.plan(RestoreRequest(backup_id=backup.backup_id))
        check = next(check for check in plan.checks if check.code == "subscriptions")
        assert (check.state, "sub" in str(check.message)) == (Light.WARNING, True)
        record = haven.restored(backup)
        subscribed = "SELECT count(*) FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid WHERE datname = %s"
        assert (haven.ask(subscribed, record.target), haven.ask(subscribed, haven.connection.dbname)) == (0, 1)
    finally:
        haven.run("DROP SUBSCRIPTION sub")


def test_large_objects_that_are_missing_are_never_called_restored(haven: Haven) -> None:
    haven.run("SELECT lo_from_bytea(4711, 'kept')")
    backup = haven.take()
    assert backup.source.large_objects == 1
    haven.catalog.save(backup.with_(source=replace(backup.source, large_objects=2)))
    before = haven.databases()
    job = haven.restore(backup)
    assert job.error is not None
    assert "large objects" in str(job.error["cause"]["template"])
    assert haven.databases() == before


CALLED = """
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN a * 2; END';
CREATE TABLE called (a int, b int GENERATED ALWAYS AS (twice(a)) STORED);
"""


def test_time_limits_of_the_server_do_not_end_a_restore(haven_of: Callable[..., Haven]) -> None:
    # The function makes pg_restore run three times, and our own session wait for it.
    source = haven_of(15, schema=SLOW + CALLED)
    backup = source.take()
    target = haven_of(17)
    limited = Haven(source.folder, target.connection, majors=(15,))
    limits = ("statement_timeout", "idle_session_timeout", "transaction_timeout")
    name = target.connection.user
    for limit in limits:
        target.run(f"ALTER ROLE {name} SET {limit} = '150ms'", database="postgres")
    try:
        job = limited.restore(backup, target="again")
    finally:
        for limit in limits:
            target.run(f"SET {limit} = 0; ALTER ROLE {name} RESET {limit}", database="postgres")
    assert job.state is JobState.COMPLETED, (job.error, limited.log(job))
    # One that does not lift the newest limit itself.
    assert any(re.search(r"pg_restore 1[4-6]", line) for line in limited.log(job))
