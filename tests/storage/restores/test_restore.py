"""Restores that succeed: into a new database, and in the place of the present one."""

from __future__ import annotations

import pytest

from storage.errors import Invalid
from storage.jobs.model import Job
from storage.restores.record import RestoreState
from storage.restores.request import Mode, RestoreRequest
from tests.storage.restores.conftest import Haven

pytestmark = pytest.mark.postgres


def test_a_backup_comes_back_as_a_new_database_beside_the_present_one(haven: Haven) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    before = haven.facts()
    record = haven.restored(backup, target="shop_again")
    assert (record.state, record.target, record.beside) == (RestoreState.COMPLETED, "shop_again", "")
    assert (record.tables_compared, record.tables_equal, record.rows_compared) == (2, 2, 2200)
    assert haven.ask("SELECT count(*) FROM orders", database="shop_again") == 2000
    assert haven.facts() == before
    assert not [name for name in haven.databases() if "_restoring_" in name]


def test_statistics_are_there_after_a_restore(haven: Haven) -> None:
    haven.restored(haven.take(), target="shop_again")
    assert haven.ask("SELECT count(*) FROM pg_stats WHERE schemaname = 'public'", database="shop_again") > 0


def test_without_a_name_a_free_one_is_proposed(haven: Haven) -> None:
    backup = haven.take()
    first, second = haven.restored(backup), haven.restored(backup)
    day = f"{backup.started_at:%Y%m%d}"
    assert (first.target, second.target) == (f"{haven.connection.dbname}_{day}", f"{haven.connection.dbname}_{day}_2")


def test_a_replacement_takes_the_name_and_the_old_one_stays(haven: Haven) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    record = haven.restored(backup, replace=True)
    assert haven.ask("SELECT count(*) FROM orders") == 2000
    assert record.kept_as.startswith(f"{haven.connection.dbname}_before_")
    assert haven.ask("SELECT count(*) FROM orders", database=record.kept_as) == 10
    assert record.downtime_ms is not None and record.downtime_ms < 100


def test_a_replacement_wants_the_name_typed(haven: Haven) -> None:
    request = RestoreRequest(backup_id=haven.take().backup_id, mode=Mode.REPLACE)
    with pytest.raises(Invalid, match="was not typed"):
        haven.restores.start(request, by="ana", confirmed="shop", background=False)


@pytest.mark.parametrize("name", ["a b", 'q"uo"te', "it's", "数据库", "a=b host=x", "--file=x", "x" * 63, "é" * 31])
def test_any_name_that_a_database_can_have_may_be_a_target(haven: Haven, name: str) -> None:
    backup = haven.take()
    assert haven.restored(backup, target=name).target == name
    record = haven.restored(backup, replace=True, target=name)
    assert haven.ask("SELECT count(*) FROM orders", database=name) == 2000
    assert len(record.kept_as.encode()) <= 63
    assert haven.ask("SELECT count(*) FROM orders", database=record.kept_as) == 2000


def test_what_belongs_to_the_database_itself_is_carried_over(haven: Haven) -> None:
    name = haven.connection.dbname
    haven.run(
        f"""
        DROP ROLE IF EXISTS shop_owner; DROP ROLE IF EXISTS shop_reader;
        CREATE ROLE shop_owner; CREATE ROLE shop_reader;
        ALTER DATABASE {name} OWNER TO shop_owner;
        COMMENT ON DATABASE {name} IS 'Don''t "touch"';
        ALTER DATABASE {name} SET search_path TO "$user", public, "a b";
        ALTER DATABASE {name} SET work_mem TO '7MB';
        ALTER DATABASE {name} SET default_transaction_read_only TO on;
        ALTER DATABASE {name} CONNECTION LIMIT 7;
        ALTER ROLE shop_reader IN DATABASE {name} SET statement_timeout TO '3s';
        REVOKE ALL ON DATABASE {name} FROM PUBLIC;
        GRANT CONNECT ON DATABASE {name} TO shop_reader WITH GRANT OPTION;
        GRANT SELECT ON orders TO shop_reader;
        ALTER TABLE users OWNER TO shop_owner;
        """
    )
    seen = """
        SELECT row(pg_get_userbyid(datdba), datconnlimit, datallowconn, encoding, datcollate, datctype, datacl::text,
                   shobj_description(oid, 'pg_database'),
                   (SELECT array_agg(row(setrole::regrole, setconfig)::text ORDER BY setrole) FROM pg_db_role_setting
                    WHERE setdatabase = oid))::text
        FROM pg_database WHERE datname = %s
    """
    objects = "SELECT string_agg(relowner::regrole::text || relacl::text, ' ') FROM pg_class WHERE relname = %s"
    try:
        backup = haven.take()
        before = haven.ask(seen, name), haven.ask(objects, "orders"), haven.ask(objects, "users")
        record = haven.restored(backup, replace=True)
        assert (record.owners_kept, record.grants_kept) == (True, True)
        assert (haven.ask(seen, name), haven.ask(objects, "orders"), haven.ask(objects, "users")) == before
        assert haven.ask(seen, record.kept_as) == before[0]
    finally:
        for database in haven.databases() - {"template0", "template1", "postgres"}:
            haven.run(f'ALTER DATABASE "{database}" RESET default_transaction_read_only', database="postgres")
            haven.run("SET default_transaction_read_only = off; DROP OWNED BY shop_owner, shop_reader CASCADE",
                      database=database)  # fmt: skip
            haven.run(f'ALTER DATABASE "{database}" OWNER TO CURRENT_USER', database="postgres")
        haven.run("DROP ROLE shop_owner; DROP ROLE shop_reader", database="postgres")


def test_the_bar_never_goes_back_and_ends_full(haven: Haven) -> None:
    backup = haven.take()
    shown: list[int] = []

    def look(job: Job) -> None:
        shown.append(job.progress.percent or 0)

    haven.restore(backup, replace=True, on_progress=look)
    assert shown == sorted(shown)
    assert shown[-1] == 100


def test_two_people_pressing_at_once_get_one_job(haven: Haven) -> None:
    backup = haven.take()
    request = RestoreRequest(backup_id=backup.backup_id, target="shop_again")
    (one, began), (other, again) = (haven.restores.start(request, by=by, background=False) for by in ("ana", "ben"))
    assert (one.job_id, began, again) == (other.job_id, True, False)
