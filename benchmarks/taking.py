"""Take, against plain pg_dump: the whole program with checksum, row counts, digests and reading back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import data
from benchmarks.pairs import Measurement, measure, run_watched
from storage.postgres.connection import Connection, write_pass_file
from tests.servers import Server

PLAIN = "pg_dump -Fc -f (its default compression)"
ROWS, DIGESTS = "take: rows counted, read back in full", "take: with content digests"


def run(server: Server, connection: Connection, folder: Path, *, rounds: int) -> tuple[Measurement, str, int]:
    """The measurement, the id of a backup to restore, and the peak resident memory of pghaven in bytes."""
    archive = folder / "plain.dump"
    pg_dump = server.installation.program("pg_dump")
    environment = {
        **connection.environment(write_pass_file(folder, connection), application="benchmarks"),
        **server.installation.environment(),
    }
    ours = data.environment(folder / "backups", connection, server.installation.folder)
    program = [Path(sys.executable).with_name("pghaven"), "backups", "take", data.NAME, "--json"]
    sizes: dict[str, int] = {}
    last: dict[str, object] = {}
    peak = 0

    def plain() -> None:
        subprocess.run([pg_dump, "-Fc", "-f", archive], env=environment, check=True)
        sizes[PLAIN] = archive.stat().st_size

    def take(name: str, *options: str) -> None:
        nonlocal peak, last
        watched = run_watched([*program, *options], environment=ours)
        peak = max(peak, watched.resident)
        last = data.backup_of(watched.output)
        sizes[name] = int(str(last["bytes"]))

    result = measure(
        f"Take, PostgreSQL {server.installation.version}, "
        + ("zstd" if server.installation.zstd else "gzip: this pg_dump has no zstd"),
        {PLAIN: plain, ROWS: lambda: take(ROWS, "--no-digests"), DIGESTS: lambda: take(DIGESTS)},
        rounds=rounds,
        bounds={ROWS: 0.70, DIGESTS: 1.0},
    )
    archive.unlink()
    shutil.rmtree(folder / "backups" / "staging", ignore_errors=True)
    for name, size in sizes.items():
        result.remarks[name] = f"{size / 1e6:.0f} MB"
    return result, str(last["id"]), peak
