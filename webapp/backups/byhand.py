"""The lines with which a person restores or fetches a backup without pghaven. Pure: text from a record."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from storage.backups.record import BackupRecord
from storage.identifiers import compact_time


def restore_lines(record: BackupRecord, archive: str) -> tuple[str, ...]:
    """A new database beside the others, and the archive into it."""
    target = f"{record.source.database or record.database}_{compact_time(record.started_at)[:8]}"
    return (
        shlex.join(["createdb", "--template=template0", f"--encoding={record.source.encoding}", target]),
        shlex.join(["pg_restore", "--no-owner", "--exit-on-error", "--jobs=4", f"--dbname={target}", archive]),
    )


def fetch_line(record: BackupRecord, address: str) -> str:
    """Fetches the archive under its own name, and goes on where an earlier try ended. The token is the reader's."""
    # -o and not -OJ: curl does not go on with a file whose name it gets from the server.
    name = shlex.quote(PurePosixPath(record.archive).name)
    return f'curl -C - -o {name} -H "Authorization: Bearer $TOKEN" {shlex.quote(address)}'


def oldest_major(record: BackupRecord) -> int:
    """The oldest pg_restore major that reads the archive; 0 when nothing is known."""
    return _READERS.get(record.archive_format or (0, 0), record.source.server_major)


_READERS = {(1, 14): 12, (1, 15): 16, (1, 16): 17}
"""The custom format's version, and the first PostgreSQL that wrote it."""
