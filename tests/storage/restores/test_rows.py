"""Rows of chosen tables, into the database that is there: all of them or none, and never a broken reference."""

from __future__ import annotations

from typing import Any

import pytest

from storage.backups.record import BackupRecord
from storage.jobs.model import Job, JobState
from storage.restores.record import RestoreState
from storage.restores.request import Mode, RestoreRequest
from tests.storage.restores.conftest import Haven

pytestmark = pytest.mark.postgres

MORE = r"""
CREATE TABLE odd ("a ""b" text, "Größe" numeric, raw bytea, list text[], total numeric GENERATED ALWAYS AS ("Größe" * 2)
                  STORED);
INSERT INTO odd VALUES (E'\\.\n\\N\ttab', 1.50,
                        '\x00ff', '{a,NULL,"b c"}'), (NULL, NULL, NULL, NULL), ('', 0, '', '{}');
CREATE TABLE nothing (id int);
CREATE TABLE told (what text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN INSERT INTO public.told VALUES (TG_OP); RETURN NEW; END';
CREATE TRIGGER told AFTER INSERT OR DELETE OR TRUNCATE ON orders EXECUTE FUNCTION tell();
"""


def job_for(haven: Haven, backup: BackupRecord, *tables: str) -> Job:
    request = RestoreRequest(backup_id=backup.backup_id, mode=Mode.TABLES, tables=tables)
    job, _ = haven.restores.start(request, by="ana", confirmed=haven.connection.dbname, background=False)
    return job


def put(haven: Haven, backup: BackupRecord, *tables: str) -> Job:
    return haven.runner.run_here(job_for(haven, backup, *tables))


RULES = """
SELECT string_agg(concat_ws(' ', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid), c.convalidated,
                            obj_description(c.oid, 'pg_constraint')),
                  '; ' ORDER BY c.conrelid::regclass::text, c.conname)
FROM pg_constraint c WHERE c.connamespace = 'public'::regnamespace
"""


def orders(haven: Haven) -> Any:
    return haven.ask("SELECT row(count(*), sum(cents), min(note::text))::text FROM orders")


def test_the_rows_of_a_table_are_those_of_the_backup_and_nothing_else_is_touched(haven: Haven) -> None:
    haven.run(MORE)
    backup = haven.take()
    before = orders(haven)
    haven.run("DELETE FROM orders WHERE id > 10; UPDATE orders SET cents = -1; UPDATE users SET name = 'new'; "
              "INSERT INTO orders (user_id, cents) VALUES (1, 7)")  # fmt: skip
    haven.run("DELETE FROM told")
    haven.run("""ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey, ADD CONSTRAINT "who's" FOREIGN KEY (user_id)
                 REFERENCES users ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED NOT VALID""")
    haven.run("""COMMENT ON CONSTRAINT "who's" ON orders IS 'a user''s order, {} and %s'""")
    rules = haven.ask(RULES)
    job = put(haven, backup, "public.orders")
    assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
    assert orders(haven) == before
    assert haven.ask("SELECT count(*) FROM users WHERE name = 'new'") == 200
    assert haven.ask("SELECT count(*) FROM told") == 0
    record = haven.restores.get(job.result["restore_id"])
    assert (record.tables, record.rows_compared) == (("public.orders",), 2000)
    snapshot = haven.catalog.get(record.snapshot_id).tables["public.orders"]
    # Nothing else is kept of the rows of before: their snapshot is one that can be compared value by value.
    assert snapshot.rows == 11 and snapshot.digest is not None
    haven.run("INSERT INTO orders (user_id, cents) VALUES (1, 8)")
    assert haven.ask("SELECT max(id) FROM orders") > 2000
    assert haven.ask("SELECT count(*) FROM told") == 1  # the trigger works again
    assert haven.ask(RULES) == rules and "a user's order, {} and %s" in rules


def test_data_only_replaces_the_rows_of_every_table(haven: Haven) -> None:
    haven.run(MORE)
    backup = haven.take()
    before, odd = haven.facts(), haven.ask("SELECT string_agg(o::text, '|' ORDER BY o::text) FROM odd o")
    haven.run("TRUNCATE users, orders, odd; INSERT INTO nothing VALUES (1)")
    job = put(haven, backup)
    assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
    assert haven.facts() == before
    assert haven.ask("SELECT string_agg(o::text, '|' ORDER BY o::text) FROM odd o") == odd
    assert haven.ask("SELECT count(*) FROM nothing") == 0


def test_rows_that_would_refer_to_nothing_change_nothing_and_the_reference_is_named(haven: Haven) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE user_id = 5; DELETE FROM users WHERE id = 5")
    before = haven.facts()
    plan = haven.restores.plan(RestoreRequest(backup_id=backup.backup_id, mode=Mode.TABLES, tables=("public.orders",)))
    assert any("orders_user_id_fkey (public.orders)" in str(check.message) for check in plan.checks)
    assert [(table.name, table.now, table.backup) for table in plan.tables] == [("public.orders", 1990, 2000)]
    job = put(haven, backup, "public.orders")
    assert job.state is JobState.FAILED and job.error
    assert job.error["cause"]["facts"]["name"] == "orders_user_id_fkey"
    assert job.error["effect"]["template"] == "Nothing was changed."
    assert haven.facts() == before
    assert haven.ask("SELECT count(*) FROM pg_constraint WHERE conname = 'orders_user_id_fkey'") == 1
    assert put(haven, backup, "public.orders", "public.users").state is JobState.COMPLETED


def test_a_table_that_is_not_there_or_not_in_the_backup_blocks_the_plan(haven: Haven) -> None:
    backup = haven.take()
    haven.run("CREATE TABLE newer (id int); DROP TABLE orders CASCADE")
    for table in ("public.newer", "public.orders"):
        request = RestoreRequest(backup_id=backup.backup_id, mode=Mode.TABLES, tables=(table,))
        assert haven.restores.plan(request).blocked
        assert put(haven, backup, table).state is JobState.FAILED


@pytest.mark.parametrize(("point", "after"), [("rows:journal", 10), ("rows:committed", 2000)])
def test_after_a_crash_the_server_says_whether_the_rows_were_replaced(haven: Haven, point: str, after: int) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    job = job_for(haven, backup, "public.orders")
    assert haven.crash(job, at=point) != 0
    haven.jobs.mark_interrupted()
    haven.restores.reconcile()
    (record,) = haven.restores.all()
    assert record.state is (RestoreState.COMPLETED if after == 2000 else RestoreState.INTERRUPTED)
    assert haven.ask("SELECT count(*) FROM orders") == after


def test_replaced_rows_come_back_from_the_snapshot(haven: Haven) -> None:
    backup = haven.take()
    haven.run("UPDATE orders SET cents = 0")
    done = put(haven, backup, "public.orders")
    job, _ = haven.restores.undo(done.result["restore_id"], by="ana", background=False)
    job = haven.runner.run_here(job)
    assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
    assert haven.ask("SELECT sum(cents) FROM orders") == 0


def test_rows_of_a_database_that_is_not_in_utf8_come_back(haven: Haven) -> None:
    haven.run("CREATE DATABASE old_fashioned TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'", database="postgres")
    haven.connection = haven.connection.to("old_fashioned")
    haven.profile = haven.profile.with_(connection=haven.connection)
    haven.run("CREATE TABLE straße (größe text); INSERT INTO straße VALUES ('é'), ('ß')")
    backup = haven.take()
    haven.run("TRUNCATE straße")
    job = put(haven, backup, "public.straße")
    assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
    assert haven.ask("SELECT string_agg(größe, '' ORDER BY größe) FROM straße") == "ßé"
