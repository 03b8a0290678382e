"""States for the pictures: a month of history, and what a day without trouble does not show.

All of it is written as records into the data folder of a running pghaven, as the engine would have left them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from storage import jsonfiles
from storage.backups import verify
from storage.backups.catalog import Catalog, archive_name
from storage.backups.record import BackupRecord, BackupState, Verification
from storage.clock import utc_now
from storage.databases.profile import DatabaseProfile
from storage.errors import JobCancelled, Unreachable, say
from storage.identifiers import new_id
from storage.jobs.model import Job, JobKind, JobState, Progress
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks, HeldLock
from storage.postgres.connection import Connection
from storage.secret import SecretBox, load_or_make_key

ADDRESS = "db.example.org:5432"
REFUSED = Unreachable(
    "refused",
    say("Nothing answers at %(address)s.", address=ADDRESS),
    advice=say("Check that PostgreSQL runs there, listens on that address, and that no firewall is between."),
    words='connection to server at "db.example.org" (192.0.2.7), port 5432 failed: Connection refused',
)


@dataclass(frozen=True, slots=True)
class Made:
    """What `make_trouble` left to be looked at; the lock keeps the running job from being taken for a dead one."""

    running: str
    failed: str
    cancelled: str
    without_log: str
    """A job whose log cannot be read: its page is the one of a mistake of ours."""
    failed_backup: str
    damaged_backup: str
    lock: HeldLock


def give_a_month(data_folder: Path, *, days: int = 24) -> None:
    """Nightly backups before today's, as if pghaven had been running: the records of the first ones, dated back and
    a little smaller each. Their archives have that size and hold nothing."""
    catalog = Catalog(data_folder, clock=utc_now)
    for number, newest in enumerate(reversed(catalog.all())):
        archive = catalog.archive_path(newest)
        night = newest.started_at.replace(hour=2, minute=number, second=0, microsecond=0)
        for day in range(1, days - 4 * number):
            at = night - timedelta(days=day)
            past = _dated(newest, archive_name(newest.database, at, no_logs=False), at=at)
            if (day, number) == (9, 1):
                past = _failed(past)
            else:
                past = _smaller(past, share=1 - 0.012 * day - 0.015 * (day % 5 == 2))
                path = archive.with_name(Path(past.archive).name)
                path.touch()
                os.truncate(path, past.bytes)
            catalog.save(past)


def make_trouble(data_folder: Path) -> Made:
    """One backup that failed and one that is damaged; a job that runs, one that failed and one that was cancelled;
    and a database whose server does not answer."""
    catalog = Catalog(data_folder, clock=utc_now)
    store = JobStore(data_folder / "metadata" / "jobs", locks=FileLocks(data_folder / "locks"), clock=utc_now)
    done = {job.database: job for job in store.newest_first() if job.kind is JobKind.TAKE}
    newest: dict[str, BackupRecord] = {}
    for record in reversed(catalog.all()):
        newest[record.database] = record
    names = list(newest)
    box = SecretBox(load_or_make_key(data_folder / "secret.key"))
    shop = DatabaseProfile(name="shop", connection=Connection(host="127.0.0.1", port=1, user="shop", dbname="shop"))
    jsonfiles.write(data_folder / "metadata" / "databases" / "shop.json", shop.to_json(box))
    lock, running = _running(store, done[names[0]])
    failed = _ended(store, done[names[1]], JobState.FAILED)
    failed_backup = _failed(_dated(newest[names[1]], "", at=utc_now())).with_(job_id=failed.job_id)
    damaged = newest[names[2]].with_(
        state=BackupState.DAMAGED,
        verified=Verification(
            at=utc_now(),
            good=False,
            seconds=0.4,
            reason=verify.other_size(newest[names[2]].bytes - 4096, newest[names[2]].bytes),
        ),
    )
    catalog.save(failed_backup)
    catalog.save(damaged)
    cancelled = _ended(store, done[names[1]], JobState.CANCELLED)
    without_log = _ended(store, done[names[2]], JobState.COMPLETED)
    store.log_file(without_log.job_id).unlink(missing_ok=True)
    store.log_file(without_log.job_id).mkdir()
    return Made(
        running=running.job_id,
        failed=failed.job_id,
        cancelled=cancelled.job_id,
        without_log=without_log.job_id,
        failed_backup=failed_backup.backup_id,
        damaged_backup=damaged.backup_id,
        lock=lock,
    )


def _dated(record: BackupRecord, name: str, *, at: datetime) -> BackupRecord:
    return record.with_(
        backup_id=new_id(at),
        archive=str(Path(record.archive).with_name(name)) if name else "",
        started_at=at,
        ended_at=at + timedelta(seconds=record.seconds or 1),
        taken_by="ana",
    )


def _smaller(record: BackupRecord, *, share: float) -> BackupRecord:
    tables = {name: replace(table, rows=round(table.rows * share)) for name, table in record.tables.items()}
    took = timedelta(seconds=(record.seconds or 1) * share + 0.15 * (record.started_at.day % 4))
    return record.with_(bytes=int(record.bytes * share), tables=tables, ended_at=record.started_at + took)


def _failed(record: BackupRecord) -> BackupRecord:
    failed = record.with_(state=BackupState.FAILED, error=REFUSED.to_json())
    return failed.with_(archive="", bytes=0, sha256="", archive_format=None, snapshot="", tables={}, verified=None)


def _running(store: JobStore, done: Job) -> tuple[HeldLock, Job]:
    now = utc_now()
    begun = now - timedelta(seconds=74)
    # The first two steps are over, the third is at work.
    steps = tuple(
        replace(
            step,
            started_at=begun + timedelta(seconds=number) if number < 3 else None,
            ended_at=begun + timedelta(seconds=number + 1) if number < 2 else None,
        )
        for number, step in enumerate(done.steps)
    )
    progress = Progress(
        step=steps[2].code,
        done=43,
        total=100,
        item="public.readings",
        item_number=3,
        item_count=9,
        written=612_000_000,
        expected=1_400_000_000,
        rows=8_412_930,
        rate=11_000_000.0,
        seconds_left=71.0,
    )
    job = done.with_(
        job_id=new_id(now),
        requested_at=begun,
        started_at=begun,
        ended_at=None,
        state=JobState.RUNNING,
        steps=steps,
        progress=progress,
        result={},
    )
    lock = store.locks.take(store.lock_name(job.job_id), holder="make_screenshots")
    store.save(job)
    store.append_log(job.job_id, "pg_dump: reading extensions\npg_dump: dumping contents of table public.readings")
    return lock, job


def _ended(store: JobStore, done: Job, state: JobState) -> Job:
    now = utc_now()
    error = {JobState.FAILED: REFUSED.to_json(), JobState.CANCELLED: JobCancelled("ana").to_json()}.get(state)
    steps = done.steps
    if error:
        steps = (steps[0], *(replace(step, started_at=None, ended_at=None) for step in steps[1:]))
    job = done.with_(job_id=new_id(now), state=state, steps=steps, error=error, result={} if error else done.result)
    store.save(job)
    store.append_log(job.job_id, f"{state.value}: {REFUSED.words}" if error else state.value)
    return job
