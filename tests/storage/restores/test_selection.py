"""Restores of a part: without the rows of log tables, or the schema alone; and the application's command afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.backups.record import BackupRecord
from storage.jobs.model import Job, JobState
from storage.restores.record import RestoreRecord
from storage.restores.request import Mode, Part, RestoreRequest
from tests.servers import installation_of
from tests.storage.restores.conftest import Haven

pytestmark = pytest.mark.postgres

LOGS = """
CREATE TABLE access_log (id int PRIMARY KEY, user_id int REFERENCES users, path text);
INSERT INTO access_log SELECT i, 1, '/' || i FROM generate_series(1, 500) i;
CREATE MATERIALIZED VIEW per_user AS SELECT user_id, count(*) FROM orders GROUP BY user_id;
SELECT lo_from_bytea(0, 'a large object');
"""


def run(haven: Haven, backup: BackupRecord, **fields: object) -> Job:
    request = RestoreRequest(backup_id=backup.backup_id).with_(**fields)
    target = request.target or haven.connection.dbname
    job, _ = haven.restores.start(request, by="ana", confirmed=target, background=False)
    return haven.runner.run_here(job)


def restored(haven: Haven, backup: BackupRecord, **fields: object) -> RestoreRecord:
    job = run(haven, backup, **fields)
    assert job.state is JobState.COMPLETED, (job.error, haven.log(job))
    return haven.restores.get(job.result["restore_id"])


def test_without_logs_the_log_tables_are_there_and_empty_and_all_else_is_whole(haven: Haven) -> None:
    haven.run(LOGS)
    backup = haven.take()
    record = restored(haven, backup, target="shop_lean", no_logs=True)
    assert (record.tables_compared, record.tables_equal) == (3, 3)
    counts = [haven.ask(f"SELECT count(*) FROM {table}", database="shop_lean")
              for table in ("access_log", "orders", "users", "per_user")]  # fmt: skip
    assert counts == [0, 2000, 200, 200]
    haven.run("INSERT INTO access_log VALUES (1, 1, '/')", database="shop_lean")
    plan = haven.restores.plan(RestoreRequest(backup_id=backup.backup_id, no_logs=True))
    assert plan.without == ("public.access_log",)
    assert any("access_log" in str(check.message) for check in plan.checks)


def test_the_schema_alone_has_every_table_and_no_row(haven: Haven) -> None:
    haven.run(LOGS)
    backup = haven.take()
    record = restored(haven, backup, target="shop_empty", part=Part.SCHEMA)
    assert (record.tables_equal, record.rows_compared) == (3, 0)
    assert haven.ask("SELECT count(*) FROM pg_largeobject_metadata", database="shop_empty") == 0
    assert haven.ask("SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'", database="shop_empty") == 4
    haven.run("INSERT INTO users VALUES (1, 'first')", database="shop_empty")


@pytest.mark.parametrize("major", [14, 16, 18])
def test_every_major_can_leave_out_the_rows_of_a_table(haven_of: Callable[..., Haven], major: int) -> None:
    assert installation_of(major).major == major
    haven = haven_of(major)
    haven.run(LOGS)
    record = restored(haven, haven.take(), mode=Mode.REPLACE, no_logs=True)
    assert (haven.ask("SELECT count(*) FROM access_log"), haven.ask("SELECT count(*) FROM orders")) == (0, 2000)
    assert haven.ask("SELECT count(*) FROM access_log", database=record.kept_as) == 500


MAP = """
name = "shop"
title = "Shop"
recognise = ["users", "orders"]
after_restore = ["{python}", "{script}"]
"""

MIGRATION = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as session:
    print("migrating", session.info.dbname)
    assert os.environ["PGDATABASE"] == session.info.dbname
    present = session.execute("SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders'"
                              " AND column_name = 'discount'").fetchone()[0]
    session.execute("ALTER TABLE orders ADD COLUMN discount int NOT NULL DEFAULT 0")
"""


def an_application(haven: Haven, tmp_path: Path, script: str) -> None:
    """Map `shop`, whose command after a restore is `script`."""
    (tmp_path / "migrate.py").write_text(script)
    folder = haven.folder / "applications"
    folder.mkdir(exist_ok=True)
    (folder / "shop.toml").write_text(MAP.format(python=sys.executable, script=tmp_path / "migrate.py"))


def test_an_older_dump_is_migrated_before_it_gets_the_name(haven: Haven, tmp_path: Path) -> None:
    an_application(haven, tmp_path, MIGRATION)
    older = haven.take()
    haven.run("ALTER TABLE orders ADD COLUMN discount int NOT NULL DEFAULT 0; UPDATE orders SET discount = 5")
    record = restored(haven, older, mode=Mode.REPLACE)
    assert haven.ask("SELECT sum(discount) FROM orders") == 0
    assert haven.ask("SELECT sum(discount) FROM orders", database=record.kept_as) == 10000
    job = haven.jobs.get(record.job_id)
    codes = [step.code for step in job.steps]
    assert codes.index("compare") < codes.index("after") < codes.index("swap")
    assert f"migrating {haven.connection.dbname}_restoring_" in "\n".join(haven.log(job))


@pytest.mark.parametrize(
    "script", [MIGRATION + "raise SystemExit('column discount: it went wrong')", "import os; os.kill(os.getpid(), 9)"]
)
def test_a_migration_that_fails_leaves_the_newer_database_untouched(haven: Haven, tmp_path: Path, script: str) -> None:
    older = haven.take()
    haven.run("ALTER TABLE orders ADD COLUMN discount int NOT NULL DEFAULT 0; UPDATE orders SET discount = 5")
    an_application(haven, tmp_path, script)
    before = haven.facts()
    job = run(haven, older, mode=Mode.REPLACE)
    assert job.state is JobState.FAILED and job.error
    assert job.error["effect"]["template"] == "Nothing was changed."
    assert "command that the application runs after a restore failed" in job.error["cause"]["template"]
    if "discount" in script:
        assert "column discount: it went wrong" in job.error["words"]
    assert haven.facts() == before
    assert not [name for name in haven.databases() if name.startswith(f"{haven.connection.dbname}_")]


def test_a_command_that_is_not_there_is_told_and_nothing_is_changed(haven: Haven) -> None:
    folder = haven.folder / "applications"
    folder.mkdir()
    (folder / "shop.toml").write_text(
        'name = "shop"\ntitle = "Shop"\nrecognise = ["users"]\nafter_restore = ["/nowhere/migrate"]\n'
    )
    job = run(haven, haven.take(), target="shop_again")
    assert job.state is JobState.FAILED and job.error
    assert job.error["cause"]["facts"]["program"] == "/nowhere/migrate"
    assert "shop_again" not in haven.databases()
