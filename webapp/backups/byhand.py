"""The lines with which a person restores or fetches a backup without pghaven, and whether they are enough."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

from storage.backups.record import BackupRecord
from storage.errors import StorageError
from storage.identifiers import compact_time
from storage.postgres.archive import read
from storage.restores import generated


def restore_lines(record: BackupRecord, archive: str) -> tuple[str, ...]:
    """A new database beside the others, and the archive into it."""
    target = f"{record.source.database or record.database}_{compact_time(record.started_at)[:8]}"
    return (
        shlex.join(["createdb", "--template=template0", f"--encoding={record.source.encoding}", target]),
        shlex.join(["pg_restore", "--no-owner", "--exit-on-error", "--jobs=4", f"--dbname={target}", archive]),
    )


def needs_more_than_pg_restore(archive: Path) -> bool:
    """Whether pg_restore by itself may stop or lose generated values: functions of the archive are called in the load.
    Reads its table of contents."""
    try:
        return bool(generated.functions_called(read(archive).entries))
    except StorageError:
        return False  # an archive that cannot be read is told of when it is used


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
