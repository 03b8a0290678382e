"""Puts records into a storage through its own stores, as the engine would have left them."""

from __future__ import annotations

import hashlib

from storage.backups.record import BackupRecord, BackupState
from storage.databases.profile import DatabaseProfile
from storage.jobs.model import Job
from storage.opening import Storage
from storage.postgres.connection import Connection

BODY = b"PGDMP" + bytes(range(256)) * 40


def register(storage: Storage, *names: str) -> None:
    """Databases that are registered and cannot be reached; pages of records do not ask them."""
    for name in names:
        connection = Connection(host="127.0.0.1", port=1, user="nobody", dbname=name)
        storage.databases._records.save(DatabaseProfile(name=name, connection=connection))


def keep(storage: Storage, record: BackupRecord, body: bytes = BODY) -> BackupRecord:
    """Keep a backup's record, and its archive where it has one."""
    if record.archive:
        record = record.with_(bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
        path = storage.backups.catalog.archive_path(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        if record.state is not BackupState.MISSING:
            path.write_bytes(body)
    storage.backups.catalog.save(record)
    return record


def keep_job(storage: Storage, job: Job, *lines: str) -> Job:
    storage.jobs.save(job)
    for line in lines:
        storage.jobs.append_log(job.job_id, line)
    return job
