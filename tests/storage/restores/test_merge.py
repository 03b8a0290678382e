"""A merge adds what is missing, in one transaction, and leaves alone what is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from storage.backups.record import BackupRecord
from storage.jobs.model import Job, JobState
from storage.postgres.connection import connect
from storage.restores.merging import load_order
from storage.restores.merging_facts import Reference
from storage.restores.record import RestoreState
from storage.restores.request import Mode, RestoreRequest
from storage.secret import Secret
from tests.storage.restores.conftest import Haven
from tests.storage.restores.test_restricted import ROLES, bring, dumped
from tests.webapp.api.conftest import eventually

pytestmark = pytest.mark.postgres


def job_for(haven: Haven, backup: BackupRecord, **more: Any) -> Job:
    request = RestoreRequest(backup_id=backup.backup_id, mode=Mode.MERGE, **more)
    job, _ = haven.restores.start(request, by="ana", confirmed=haven.connection.dbname, background=False)
    return job


def merge(haven: Haven, backup: BackupRecord, **more: Any) -> Job:
    return haven.runner.run_here(job_for(haven, backup, **more))


def merged(haven: Haven, backup: BackupRecord, **more: Any) -> dict[str, Any]:
    """What came of every table, of a merge that must succeed and leave nothing beside."""
    databases = haven.databases()
    job = merge(haven, backup, **more)
    assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
    assert haven.databases() == databases
    assert haven.ask(ROLES) == 0
    record = haven.restores.get(job.result["restore_id"])
    assert record.merged == job.result["merged"] and not record.unsettled
    found: dict[str, Any] = job.result["merged"]
    return found


def counts(inserted: int, left_alone: int, **more: Any) -> dict[str, Any]:
    return {"inserted": inserted, "left_alone": left_alone, **more}


@pytest.mark.parametrize("ours", [True, False])
def test_missing_rows_come_and_present_rows_stay_as_they_are(haven: Haven, ours: bool) -> None:
    backup = haven.take() if ours else bring(haven, dumped(haven))
    haven.run("DELETE FROM orders WHERE id <= 300 OR user_id = 7; DELETE FROM users WHERE id = 7")
    haven.run("UPDATE users SET name = 'new' WHERE id <= 10; INSERT INTO orders (user_id, cents) VALUES (1, -5)")
    gone = 2000 - haven.ask("SELECT count(*) FROM orders WHERE cents > 0")
    assert merged(haven, backup) == {"public.orders": counts(gone, 2000 - gone), "public.users": counts(1, 199)}
    assert haven.ask("SELECT count(*) FROM orders") == 2001
    assert haven.ask("SELECT count(*) FROM users WHERE name = 'new'") == 9
    assert haven.ask("SELECT name FROM users WHERE id = 7") == "user 7"
    assert haven.ask("SELECT cents FROM orders WHERE id = 2001") == -5
    assert haven.ask("SELECT note FROM orders WHERE id = 300") == {"n": 300}
    haven.run("INSERT INTO orders (user_id, cents) VALUES (1, -8)")
    assert haven.ask("SELECT id FROM orders WHERE cents = -8") == 2002


def test_a_row_that_clashes_with_another_unique_key_keeps_no_other_row_away(haven: Haven) -> None:
    haven.run("CREATE TABLE people (id int PRIMARY KEY, mail text UNIQUE);"
              "INSERT INTO people SELECT i, i || '@example.org' FROM generate_series(1, 50) i")  # fmt: skip
    backup = haven.take()
    haven.run("DELETE FROM people WHERE id > 10; INSERT INTO people VALUES (1000, '30@example.org')")
    assert merged(haven, backup)["public.people"] == counts(39, 11, clashing=1)
    assert haven.ask("SELECT id FROM people WHERE mail = '30@example.org'") == 1000
    assert haven.ask("SELECT count(*) FROM people") == 50


MORE = """
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE SCHEMA side;
CREATE FUNCTION side.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION side.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := true; RETURN NEW; END';
CREATE TABLE side.pets (id serial PRIMARY KEY, user_id int NOT NULL REFERENCES users, mood mood, name text,
                        touched boolean, long int GENERATED ALWAYS AS (length(name)) STORED, CHECK (name <> ''));
CREATE UNIQUE INDEX pets_name ON side.pets (lower(name));
CREATE TRIGGER touch BEFORE INSERT ON side.pets FOR EACH ROW EXECUTE FUNCTION side.touch();
CREATE TABLE side.sums (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, CHECK (side.twice(n) > 0));
ALTER TABLE side.pets DISABLE TRIGGER touch;
INSERT INTO side.pets (user_id, mood, name) SELECT i, 'calm', 'pet ' || i FROM generate_series(1, 40) i;
ALTER TABLE side.pets ENABLE TRIGGER touch;
INSERT INTO side.sums (n) SELECT generate_series(1, 9);
"""
GONE = "DROP SCHEMA side CASCADE; DROP TYPE mood"


def test_missing_tables_are_created_with_what_they_need_and_what_belongs_to_them(haven: Haven) -> None:
    haven.run(MORE)
    backup = haven.take()
    haven.run(GONE)
    done = merged(haven, backup)
    assert done["side.pets"] == counts(40, 0, created=True) and done["side.sums"] == counts(9, 0, created=True)
    assert haven.ask("SELECT count(*) FROM side.pets WHERE touched IS NULL AND long = length(name)") == 40
    rules = "SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint WHERE contype IN ('p', 'f', 'c')"
    assert haven.ask(f"{rules} AND conrelid = 'side.pets'::regclass") == "pets_name_check,pets_pkey,pets_user_id_fkey"
    assert haven.ask("SELECT to_regclass('side.pets_name')") == "side.pets_name"
    haven.run(
        "INSERT INTO side.pets (user_id, mood, name) VALUES (1, 'wild', 'new'); INSERT INTO side.sums (n) VALUES (5)"
    )
    assert haven.ask("SELECT row(id, touched)::text FROM side.pets WHERE name = 'new'") == "(41,t)"
    assert haven.ask("SELECT max(id) FROM side.sums") == 10


def test_of_an_uploaded_archive_nothing_is_created_that_could_run_something(haven: Haven) -> None:
    haven.run(MORE)
    haven.run("CREATE TABLE side.spy (id int PRIMARY KEY, CHECK (lo_export(1, '/tmp/x') = 1)); "
              "CREATE ROLE tenant_of_merge; ALTER TABLE users OWNER TO tenant_of_merge; "
              "ALTER TABLE orders OWNER TO tenant_of_merge")  # fmt: skip
    try:
        backup = bring(haven, dumped(haven))
        haven.run(GONE)
        job = merge(haven, backup)
        assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
        done = job.result["merged"]
        assert done["side.pets"] == counts(40, 0, created=True)
        for name, rows in (("side.sums", 9), ("side.spy", 0)):
            assert (done[name]["inserted"], done[name]["left_alone"]) == (0, rows)
            assert done[name]["why"]["template"].startswith("Its definition calls functions")
            assert haven.ask("SELECT to_regclass(%s)", name) is None
        assert "trigger pets touch is left out: the archive was not made here" in haven.log(job)
        assert haven.ask("SELECT count(*) FROM pg_trigger WHERE tgname = 'touch'") == 0
        assert haven.ask("SELECT count(*) FROM pg_proc WHERE pronamespace = 'side'::regnamespace") == 0
        assert haven.ask("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'pets'") == "tenant_of_merge"
    finally:
        haven.run("REASSIGN OWNED BY tenant_of_merge TO CURRENT_USER; DROP OWNED BY tenant_of_merge; "
                  "DROP ROLE tenant_of_merge")  # fmt: skip


CIRCLE = """
CREATE TABLE teams (id int PRIMARY KEY, lead int, over int REFERENCES teams);
CREATE TABLE members (id int PRIMARY KEY, team int NOT NULL REFERENCES teams);
ALTER TABLE teams ADD CONSTRAINT teams_lead FOREIGN KEY (lead) REFERENCES members;
CREATE TABLE badges (member int PRIMARY KEY REFERENCES members);
INSERT INTO teams SELECT i, NULL, i % 5 + 1 FROM generate_series(1, 5) i;
INSERT INTO members SELECT i, i % 5 + 1 FROM generate_series(1, 20) i;
UPDATE teams SET lead = id + 4;
INSERT INTO badges SELECT generate_series(1, 20);
"""


def test_tables_that_refer_to_each_other_in_a_circle_get_their_rows(haven: Haven) -> None:
    haven.run(CIRCLE)
    backup = haven.take()
    rules = "SELECT string_agg(pg_get_constraintdef(oid), '|' ORDER BY oid) FROM pg_constraint WHERE contype = 'f'"
    before = haven.ask(rules)
    haven.run("UPDATE teams SET lead = NULL; DELETE FROM badges; DELETE FROM members WHERE id > 3; "
              "DELETE FROM members WHERE team IN (3, 4); UPDATE teams SET over = NULL; "
              "DELETE FROM teams WHERE id IN (3, 5)")  # fmt: skip
    kept = haven.ask("SELECT count(*) FROM members")
    done = merged(haven, backup)
    assert done["public.teams"] == counts(2, 3) and done["public.members"] == counts(20 - kept, kept)
    assert done["public.badges"] == counts(20, 0)
    assert haven.ask("SELECT count(*) FROM teams WHERE lead IS NULL") == 3
    assert haven.ask(rules) == before
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        haven.run("INSERT INTO members VALUES (99, 99)")


ODD = r"""
CREATE TABLE odd (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "a ""b" text, old text, n numeric,
                  twice numeric GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO odd ("a ""b", old, n)
VALUES (E'\\.\n\\N\ttab', 'x', 1.5), (NULL, 'y', NULL), ('', 'z', 0), ('four', 'w', 4);
CREATE TABLE loose (n int); INSERT INTO loose SELECT generate_series(1, 4);
CREATE TABLE bare (n int); INSERT INTO bare SELECT generate_series(1, 4);
CREATE TABLE late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, n int);
INSERT INTO late SELECT i, i FROM generate_series(1, 6) i;
CREATE TABLE ruled (id int PRIMARY KEY); CREATE RULE nothing AS ON INSERT TO ruled DO INSTEAD NOTHING;
CREATE TABLE years (id int, year int, PRIMARY KEY (id, year)) PARTITION BY LIST (year);
CREATE TABLE years_1 PARTITION OF years FOR VALUES IN (1);
CREATE TABLE years_2 PARTITION OF years FOR VALUES IN (2);
INSERT INTO years SELECT i, i % 2 + 1 FROM generate_series(1, 10) i;
"""


def test_every_kind_of_table_gets_what_it_can(haven: Haven) -> None:
    haven.run(ODD)
    backup = haven.take()
    odd = haven.ask('SELECT string_agg(row(id, "a ""b", n, twice)::text, \'|\' ORDER BY id) FROM odd')
    haven.run(
        "DELETE FROM odd WHERE id <> 2; ALTER TABLE odd DROP old, ADD fresh text DEFAULT 'now'; TRUNCATE loose; "
        "DELETE FROM bare WHERE n > 1; DELETE FROM late WHERE id > 2; DELETE FROM years WHERE id < 5"
    )
    done = merged(haven, backup)
    assert done["public.odd"] == counts(3, 1, dropped=["old"])
    assert haven.ask('SELECT string_agg(row(id, "a ""b", n, twice)::text, \'|\' ORDER BY id) FROM odd') == odd
    assert haven.ask("SELECT count(*) FROM odd WHERE fresh = 'now'") == 4
    assert done["public.loose"] == counts(4, 0)
    assert done["public.bare"]["why"]["template"].startswith("It has rows, and no primary key")
    assert done["public.bare"]["left_alone"] == 4 and haven.ask("SELECT count(*) FROM bare") == 1
    assert done["public.late"] == counts(4, 2)
    assert done["public.ruled"]["why"]["template"].startswith("A rule")
    assert done["public.years"] == counts(4, 6) and haven.ask("SELECT count(*) FROM years_1") == 5
    haven.run("INSERT INTO odd (n) VALUES (7)")
    assert haven.ask("SELECT max(id) FROM odd") == 5


def test_a_partitioned_table_that_is_missing_is_created_with_its_partitions(haven: Haven) -> None:
    haven.run(ODD)
    backup = haven.take()
    haven.run("DROP TABLE years, odd")
    done = merged(haven, backup)
    assert done["public.years"] == counts(10, 0, created=True) and done["public.odd"] == counts(4, 0, created=True)
    assert haven.ask("SELECT count(*) FROM years_2") == 5
    assert haven.ask("SELECT count(*) FROM pg_index WHERE indrelid = 'years_2'::regclass AND indisprimary") == 1


@pytest.mark.parametrize("major", [14, 15, 18])
def test_a_merge_works_on_every_major(haven_of: Callable[..., Haven], major: int) -> None:
    haven = haven_of(major)
    haven.run(MORE + CIRCLE + ODD)
    backup = bring(haven, dumped(haven))
    haven.run("DROP TABLE side.pets, years; DELETE FROM badges WHERE member > 4; DELETE FROM odd; DELETE FROM orders")
    done = merged(haven, backup)
    assert done["side.pets"] == counts(40, 0, created=True) and done["public.years"] == counts(10, 0, created=True)
    assert done["public.badges"] == counts(16, 4) and done["public.odd"] == counts(4, 0)
    assert done["public.orders"] == counts(2000, 0)


def test_triggers_do_not_work_meanwhile_and_work_again_afterwards(haven: Haven) -> None:
    haven.run("CREATE TABLE told (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what int);"
              "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS "
              "'BEGIN INSERT INTO public.told (what) VALUES (NEW.id); RETURN NEW; END';"
              "CREATE TRIGGER tell AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION tell();"
              "INSERT INTO users VALUES (300, 'more'), (301, 'more')")  # fmt: skip
    backup = haven.take()
    haven.run("DELETE FROM users WHERE id > 250; DELETE FROM told WHERE what = 301")
    assert merged(haven, backup)["public.told"] == counts(1, 1)
    assert haven.ask("SELECT string_agg(what::text, ',' ORDER BY id) FROM told") == "300,301"
    haven.run("INSERT INTO users VALUES (400, 'x')")
    assert haven.ask("SELECT max(what) FROM told") == 400


def test_a_failure_in_the_middle_changes_nothing_and_is_named_by_its_sqlstate(haven: Haven) -> None:
    haven.run("CREATE TABLE zebra (id serial PRIMARY KEY); INSERT INTO zebra SELECT generate_series(1, 30)")
    haven.run(MORE)
    backup = haven.take()
    haven.run("CREATE FUNCTION never(int) RETURNS boolean LANGUAGE plpgsql AS "
              "$$BEGIN IF $1 = 20 THEN RAISE 'not that one' USING ERRCODE = 'PH001'; END IF; RETURN true; END$$;"
              "DELETE FROM zebra WHERE id > 10; ALTER TABLE zebra ADD CHECK (never(id)); "
              "DELETE FROM orders WHERE id > 5")  # fmt: skip
    haven.run(GONE)
    before, databases = haven.facts(), haven.databases()
    numbers = haven.ask("SELECT last_value FROM zebra_id_seq")
    job = merge(haven, backup)
    assert job.state is JobState.FAILED and job.error
    assert job.error["cause"]["facts"]["state"] == "PH001" and "not that one" in job.error["words"]
    assert job.error["effect"]["template"] == "Nothing was changed."
    assert (haven.facts(), haven.databases()) == (before, databases)
    assert haven.ask("SELECT count(*) FROM zebra") == 10
    assert haven.ask("SELECT last_value FROM zebra_id_seq") == numbers
    assert haven.ask("SELECT to_regnamespace('side')") is None


def test_rows_that_would_refer_to_nothing_change_nothing_and_the_reference_is_named(haven: Haven) -> None:
    haven.run("ALTER TABLE users ADD UNIQUE (name)")
    backup = haven.take()
    haven.run(
        "DELETE FROM orders WHERE user_id = 5; DELETE FROM users WHERE id = 5; INSERT INTO users VALUES (999, 'user 5')"
    )
    before = haven.facts()
    job = merge(haven, backup)
    assert job.error and job.error["cause"]["facts"] == {"table": "public.orders", "name": "orders_user_id_fkey"}
    assert job.error["words"].startswith("23503: ")
    assert haven.facts() == before


def test_whoever_asks_for_the_end_gets_it_while_rows_wait_for_a_lock(haven: Haven) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    before, databases = haven.facts(), haven.databases()
    job = job_for(haven, backup)
    with connect(haven.connection, application="tests", autocommit=False) as other:
        other.execute("LOCK TABLE users IN ROW EXCLUSIVE MODE")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%'"
        done: list[Job] = []
        runs = threading.Thread(target=lambda: done.append(haven.runner.run_here(job)))
        runs.start()
        assert eventually(lambda: haven.ask(waiting) == 1)
        haven.jobs.ask_to_stop(job.job_id, by="ana")
        runs.join(30)
    assert done[0].state is JobState.CANCELLED, (done[0].error, haven.log(job))
    assert (haven.facts(), haven.databases()) == (before, databases)


@pytest.mark.parametrize(("point", "after"), [("merge:journal", 10), ("merge:committed", 2000)])
def test_after_a_crash_the_server_says_whether_the_rows_were_added(haven: Haven, point: str, after: int) -> None:
    backup = bring(haven, dumped(haven))
    haven.run("DELETE FROM orders WHERE id > 10")
    databases = haven.databases()
    assert haven.crash(job_for(haven, backup), at=point) != 0
    haven.jobs.mark_interrupted()
    haven.restores.reconcile()
    (record,) = haven.restores.all()
    assert record.state is (RestoreState.COMPLETED if after == 2000 else RestoreState.INTERRUPTED)
    assert haven.ask("SELECT count(*) FROM orders") == after
    assert haven.databases() == databases and haven.ask(ROLES) == 0


def test_a_merge_is_undone_from_its_snapshot(haven: Haven) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    job = merge(haven, backup)
    undone, _ = haven.restores.undo(job.result["restore_id"], by="ana", background=False)
    undone = haven.runner.run_here(undone)
    assert undone.state is JobState.COMPLETED, (undone.error, haven.log(undone))
    assert haven.ask("SELECT count(*) FROM orders") == 10


def test_log_tables_come_without_their_rows_when_asked(haven: Haven) -> None:
    haven.run(
        "CREATE TABLE call_log (id int PRIMARY KEY); INSERT INTO call_log SELECT generate_series(1, 5);"
        "CREATE TABLE old_log (id int PRIMARY KEY); INSERT INTO old_log SELECT generate_series(1, 5)"
    )
    backup = haven.take()
    haven.run("DELETE FROM call_log WHERE id > 2; DROP TABLE old_log; DELETE FROM orders")
    done = merged(haven, backup, no_logs=True)
    assert done["public.call_log"]["why"]["template"].startswith("It is a log table")
    assert done["public.old_log"] == counts(0, 0, created=True)
    assert done["public.orders"] == counts(2000, 0)
    assert haven.ask("SELECT count(*) FROM call_log") == 2
    assert merged(haven, backup)["public.call_log"] == counts(3, 2)


def test_a_merge_into_a_database_that_is_not_there_is_stopped_by_the_plan(haven: Haven) -> None:
    backup = haven.take()
    plan = haven.restores.plan(RestoreRequest(backup_id=backup.backup_id, mode=Mode.MERGE, target="nowhere"))
    assert plan.blocked and plan.kept_as == ""
    plan = haven.restores.plan(RestoreRequest(backup_id=backup.backup_id, mode=Mode.MERGE))
    assert not plan.blocked and plan.target == haven.connection.dbname and plan.snapshot_needed
    assert {"merge", "keys", "waiting", "snapshot"} <= {check.code for check in plan.checks}


def test_parents_come_first_and_every_circle_is_opened_once() -> None:
    def refers(table: str, to: str) -> Reference:
        return Reference(table=table, to=to, on=table, constraint="c", deferrable=False, deferred=False)

    order, deferred = load_order({"a", "b", "c"}, [refers("a", "b"), refers("b", "c"), refers("a", "elsewhere")])
    assert (list(order), list(deferred)) == (["c", "b", "a"], [])
    ring = [refers("a", "b"), refers("b", "a"), refers("c", "a"), refers("a", "a")]
    order, deferred = load_order({"a", "b", "c"}, ring)
    assert (list(order), list(deferred)) == (["a", "b", "c"], ring[:1])


@pytest.fixture
def owner(haven: Haven) -> Iterator[Haven]:
    """The same shop, reached as a role that owns it, may create databases and nothing else."""
    haven.run(
        f"""
        CREATE ROLE merging_owner LOGIN CREATEDB PASSWORD 'm';
        ALTER DATABASE {haven.connection.dbname} OWNER TO merging_owner;
        ALTER TABLE users OWNER TO merging_owner; ALTER TABLE orders OWNER TO merging_owner;
        ALTER VIEW big OWNER TO merging_owner;
        """
    )
    yield Haven(haven.folder, replace(haven.connection, user="merging_owner", password=Secret("m")))
    haven.run("REASSIGN OWNED BY merging_owner TO CURRENT_USER; DROP OWNED BY merging_owner; DROP ROLE merging_owner")


def test_an_owner_who_is_no_superuser_can_merge_what_is_ours_and_what_is_not(owner: Haven) -> None:
    theirs = dumped(owner)
    owner.run("CREATE INDEX orders_cents ON orders (cents)")  # within one second the two would be the same, to the byte
    for backup in (owner.take(), bring(owner, theirs)):
        owner.run("DELETE FROM orders WHERE id <= 300; DROP VIEW IF EXISTS big")
        assert merged(owner, backup) == {"public.orders": counts(300, 1700), "public.users": counts(0, 200)}
        owner.run("DROP TABLE orders")
        assert merged(owner, backup)["public.orders"] == counts(2000, 0, created=True)
    assert owner.ask("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'orders'") == "merging_owner"
