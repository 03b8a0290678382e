"""Whether an archive's bytes are the ones that were written: asked before anything is restored from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from storage.backups.catalog import Catalog
from storage.backups.record import BackupRecord, Verification
from storage.backups.verify import file_sha256, other_content, unreadable
from storage.clock import Clock
from storage.errors import Damaged, say


def check_sha256(
    catalog: Catalog,
    backup: BackupRecord,
    path: Path,
    *,
    clock: Clock,
    watch: Callable[[], None],
    on_bytes: Callable[[int], None],
    log: Callable[[str], None],
) -> None:
    """Read the archive once. Raises Damaged, naming the newest good backup, after the record has been told; Unavailable
    for a disk that cannot be read, and what `watch` raises."""
    began = time.monotonic()
    try:
        found = file_sha256(path, watch=watch, on_bytes=on_bytes)
    except OSError as error:
        raise unreadable(error) from error
    if found == backup.sha256:
        log(f"SHA-256 equal to what was written: {found}")
        return
    reason = other_content(found, backup.sha256)
    catalog.record_verification(
        backup, Verification(at=clock(), good=False, seconds=round(time.monotonic() - began, 3), reason=reason)
    )
    newest = catalog.newest_good(backup.database, besides=backup.backup_id)
    raise Damaged(
        say("The archive is damaged: its SHA-256 is not the one that was written."),
        advice=say("Restore the newest good backup instead: %(id)s.", id=newest.backup_id)
        if newest
        else say("There is no other good backup of %(database)s. Take one now.", database=backup.database),
        words=str(reason),
    )
