"""Which backup of a database is to be proven now, without anybody asking. Decides only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from storage.backups.proven import last_tried
from storage.backups.record import BackupKind, BackupRecord

AGAIN = timedelta(days=1)
"""How long after a proof that failed, or could not be tried, the newest backup is tried."""


def due(
    newest_first: Sequence[BackupRecord], *, tried_at: datetime | None, now: datetime, every: timedelta
) -> BackupRecord | None:
    """The newest backup of one database when its proof is due: at once when none was ever tried, then `every` so often.

    `tried_at` is when the last proof of any of its backups was asked for, whatever came of it.
    """
    able = [record for record in newest_first if record.good and record.ours and record.kind is not BackupKind.SNAPSHOT]
    if not able:
        return None
    tried = last_tried(newest_first)
    proof = tried.proof if tried else None
    moments = [moment for moment in (tried_at, proof.last_tried if proof else None) if moment]
    if not moments:
        return able[0]
    wait = every if proof is not None and proof.good and proof.tried_at is None else min(every, AGAIN)
    return able[0] if now - max(moments) >= wait else None
