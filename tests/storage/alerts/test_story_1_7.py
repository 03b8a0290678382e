"""Story 1.7, acceptance criterion 3, and its Task 8: a backup that fails is told, and a restore that is done, too."""

from __future__ import annotations

from dataclasses import replace

from storage.alerts.model import Event
from storage.jobs.model import Job, JobState
from storage.opening import Storage
from storage.postgres.connection import connect
from storage.restores.request import RestoreRequest
from tests.storage.alerts.conftest import Hook, Mailbox, by_hook, by_mail


def take(storage: Storage) -> Job:
    job, _ = storage.backups.take("shop", by="ana", background=False)
    return storage.runner.run_here(job)


def test_story_1_7_ac3_a_failed_backup_is_logged_and_told_and_its_reason_is_shown(
    an_open_storage: Storage, mailbox: Mailbox, hook: Hook
) -> None:
    storage = an_open_storage
    by_mail(storage.alerts, mailbox)
    by_hook(storage.alerts, hook, bindings={Event.FAILED: True, Event.RECOVERED: True})
    storage.alerts.start()
    good = storage.databases.get("shop").connection
    storage.databases.change("shop", replace(good, dbname="not_there"), log_tables=(), digests=True)

    job = take(storage)
    assert job.state is JobState.FAILED
    letter = mailbox.next()
    assert letter["Subject"] == "shop: the backup failed"
    body = letter.get_content()
    assert body.startswith("There is no good backup yet.")
    assert "not_there" in body
    assert hook.next()[2]["event"] == "failed"
    assert any("not_there" in line.text for line in storage.jobs.log(job.job_id))

    storage.databases.change("shop", good, log_tables=(), digests=True)
    assert take(storage).state is JobState.COMPLETED
    assert mailbox.next()["Subject"] == "Fixed: shop, backups work again"
    assert hook.next()[2]["event"] == "recovered"


def test_story_1_7_task_8_a_restore_that_is_done_is_told(an_open_storage: Storage, hook: Hook) -> None:
    storage = an_open_storage
    with connect(storage.databases.get("shop").connection, application="tests") as session:
        session.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 200) n")
    backup = take(storage).result["backup_id"]
    by_hook(storage.alerts, hook)
    storage.alerts.start()
    name = f"{storage.databases.get('shop').connection.dbname}_copy"
    job, _ = storage.restores.start(RestoreRequest(backup_id=backup, target=name), by="ana", background=False)
    assert storage.runner.run_here(job).state is JobState.COMPLETED
    body = hook.next()[2]
    assert (body["event"], body["title"]) == ("restored", f"{name}: the restore is done")
    assert "A new database was made from the backup of shop of 20" in body["text"]
    assert "Asked for by ana." in body["text"]
    with connect(storage.databases.get("shop").connection, application="tests") as session:
        session.execute(f'DROP DATABASE "{name}"')  # type: ignore[arg-type]


def test_a_table_that_is_suddenly_empty_is_told_although_the_backup_is_good(
    an_open_storage: Storage, hook: Hook
) -> None:
    storage = an_open_storage
    by_hook(storage.alerts, hook, bindings={Event.DROPPED: True})
    storage.alerts.start()
    with connect(storage.databases.get("shop").connection, application="tests") as session:
        session.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 200) n")
        take(storage)
        session.execute("DELETE FROM orders")
    assert take(storage).state is JobState.COMPLETED
    body = hook.next()[2]
    assert body["event"] == "dropped"
    assert "public.orders: 200 rows before, 0 now" in body["text"]


def test_the_minutes_look_reads_the_records(an_open_storage: Storage) -> None:
    storage = an_open_storage
    take(storage)
    look = storage.lookout.look()
    shop = next(one for one in look.databases if one.name == "shop")
    assert (shop.good, shop.failed, shop.late, shop.damaged) == (1, 0, False, False)
    assert shop.newest_good_at == shop.proven_at
    assert look.disk_total
    assert 0 < (look.disk_free or 0) <= look.disk_total
