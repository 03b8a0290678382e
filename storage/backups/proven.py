"""What a database's proofs say together: which backup was proven last, and whether the newest try came off."""

from __future__ import annotations

from collections.abc import Iterable

from storage.backups.record import BackupRecord


def last_proven(records: Iterable[BackupRecord]) -> BackupRecord | None:
    """The backup with the newest proof that came off; of an archive that somebody uploaded a proof says nothing of the
    database."""
    proven = [record for record in records if record.proven]
    return max(proven, key=lambda record: record.proof.at if record.proof else record.started_at, default=None)


def last_tried(records: Iterable[BackupRecord]) -> BackupRecord | None:
    """The backup with the newest proof, whatever came of it."""
    tried = [record for record in records if record.proof]
    return max(tried, key=lambda record: record.proof.last_tried if record.proof else record.started_at, default=None)


def unproven(records: Iterable[BackupRecord]) -> BackupRecord | None:
    """The backup whose proof needs a person: the newest that was tried did not come off. None when all is well."""
    tried = last_tried(record for record in records if record.good)
    return tried if tried and tried.proof and not tried.proof.good else None
