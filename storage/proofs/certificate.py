"""The certificate of a proof: what was proven, in plain facts, with a hash that tells when one of them was changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from storage.backups.proof import Proof
from storage.backups.record import BackupRecord
from storage.clock import to_text


def document(record: BackupRecord, proof: Proof) -> dict[str, Any]:
    """The certificate as plain JSON, without its own hash."""
    return {
        "format": 1,
        "backup": record.backup_id,
        "database": record.database,
        "taken_at": to_text(record.started_at),
        "source_server": record.source.server_version,
        "dumped_with": record.program,
        "archive": record.archive.rpartition("/")[2],
        "archive_bytes": record.bytes,
        "archive_sha256": record.sha256,
        "proven_at": to_text(proof.at),
        "seconds": proof.seconds,
        "server": proof.server_version,
        "restored_with": proof.program,
        "outcome": proof.outcome.value,
        "tables_compared": proof.tables,
        "rows_compared": proof.rows,
        "same_schema": proof.same_schema,
        # Not there before it could be so: the certificates of then still hold.
        **({"indexes_on_empty_tables": proof.indexes_on_empty} if proof.indexes_on_empty else {}),
        "missing": [str(message) for message in proof.missing],
        "tables": [
            {
                "table": name,
                "rows": facts.rows,
                "digest": facts.digest,
                "left_out": facts.left_out,
                "compared": name not in proof.without,
            }
            for name, facts in sorted(record.tables.items())
        ],
    }


def sha256(record: BackupRecord, proof: Proof) -> str:
    """SHA-256 of the document as JSON with sorted keys and no spaces, in UTF-8."""
    text = json.dumps(document(record, proof), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def signed(record: BackupRecord, proof: Proof) -> dict[str, Any]:
    """The document with the hash that it had when it was made, which is '' where the proof did not come off."""
    return document(record, proof) | {"certificate_sha256": proof.certificate}


def unchanged(record: BackupRecord, proof: Proof) -> bool:
    """Whether what the record says is still what was certified."""
    return sha256(record, proof) == proof.certificate
