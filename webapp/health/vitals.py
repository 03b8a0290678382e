"""What has to be so for pghaven to do its work. How the databases stand, the metrics and the pages say."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from storage.errors import Message, say

LATE_HEARTBEAT = timedelta(minutes=2)
LEAST_FREE = 0.02
"""The part of the data folder's disk below which the next backup is not likely to fit."""


def troubles(*, heartbeat: datetime | None, opened_at: datetime, now: datetime, folder: Path) -> list[Message]:
    """Everything that keeps this process from working, the worst first; empty when it works."""
    found = []
    if now - (heartbeat or opened_at) > LATE_HEARTBEAT:
        found.append(say("The schedule thread has not ticked for %(seconds)s seconds: nothing happens by itself.",
                         seconds=round((now - (heartbeat or opened_at)).total_seconds())))  # fmt: skip
    if (trouble := _of_folder(folder)) is not None:
        found.append(trouble)
    return found


def _of_folder(folder: Path) -> Message | None:
    if not os.access(folder, os.W_OK | os.X_OK):
        return say("The data folder cannot be written.")
    try:
        # A disk that was mounted read-only is writable by its mode bits.
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return say("The data folder's disk is mounted read-only.")
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return say("The data folder cannot be reached: %(reason)s.", reason=error.strerror or str(error))
    if usage.free < usage.total * LEAST_FREE:
        return say("The data folder's disk is full: %(free_bytes)s are left.", free_bytes=usage.free)
    return None
