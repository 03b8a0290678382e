"""Waiting for a turn: one backup or restore at a time on one database, in any process of the box, and on every box that
shares a Redis with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import LockHeld
from storage.jobs.context import JobContext
from storage.locks.filelocks import FileLocks

logger = logging.getLogger(__name__)


def lock_name(database: str) -> str:
    return f"database-{database}"


@contextmanager
def turn(locks: FileLocks, context: JobContext) -> Iterator[None]:
    """Hold the job's database for the length of the block; wait for whoever has it, and look for cancel meanwhile."""
    waited_for = ""
    while True:
        try:
            hold = locks.hold(lock_name(context.job.database), holder=f"{context.job.kind.value} {context.job.job_id}")
            with hold:
                yield
                return
        except LockHeld as error:
            if error.name != lock_name(context.job.database):
                raise
            if error.holder != waited_for:
                waited_for = error.holder
                action = "backup_lock_conflict"
                logger.info("%s: %s waits for %s", action, context.job.job_id, waited_for, extra={"action": action})
                context.log(f"waiting for {waited_for}, which works on the same database")
            context.checkpoint()
            time.sleep(0.2)
