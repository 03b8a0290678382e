"""Take, against plain pg_dump: the whole program with checksum, row counts, digests and reading back.

Compared is always with the server's own pg_dump at its default compression, whatever program and codec pghaven chooses.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks import data
from benchmarks.pairs import Measurement, Run, measure, run_watched
from storage.postgres.connection import Connection, write_pass_file
from tests.servers import Server

PLAIN = "the server's own pg_dump -Fc -f"
ROWS, DIGESTS = "take: rows counted, read back in full", "take: with content digests"
ALONE = "; no other programs"
"""Where the server's own pg_dump has no zstd and another one is used: what there is without it."""


def run(server: Server, connection: Connection, folder: Path, *, rounds: int) -> tuple[Measurement, str, int]:
    """The measurement, the id of a backup to restore, and the peak resident memory of pghaven in bytes."""
    archive = folder / "plain.dump"
    own = server.installation
    environment = {
        **connection.environment(write_pass_file(folder, connection), application="benchmarks"),
        **own.environment(),
    }
    programs = data.programs_for(server)
    ours = data.environment(folder / "backups", connection, programs)
    alone = data.environment(folder / "backups", connection, [own])
    program = [Path(sys.executable).with_name("pghaven"), "backups", "take", data.NAME, "--json"]
    remarks: dict[str, str] = {}
    last = ""
    peak = 0

    def plain() -> None:
        subprocess.run([own.program("pg_dump"), "-Fc", "-f", archive], env=environment, check=True)
        remarks[PLAIN] = f"{archive.stat().st_size / 1e6:.0f} MB, pg_dump {own.version}, its default compression"

    def take(name: str, environment: Mapping[str, str], *options: str) -> str:
        nonlocal peak
        watched = run_watched([*program, *options], environment=environment)
        peak = max(peak, watched.resident)
        made = data.backup_of(watched.output)
        remarks[name] = f"{int(str(made['bytes'])) / 1e6:.0f} MB, {made['program']}, {made['compression']}"
        return str(made["id"])

    def take_with_digests() -> None:
        nonlocal last
        last = take(DIGESTS, ours)

    runs: dict[str, Run] = {PLAIN: plain, ROWS: lambda: take(ROWS, ours, "--no-digests"), DIGESTS: take_with_digests}
    if programs != [own]:
        runs[ROWS + ALONE] = lambda: take(ROWS + ALONE, alone, "--no-digests")
        runs[DIGESTS + ALONE] = lambda: take(DIGESTS + ALONE, alone)
    result = measure(f"Take, PostgreSQL {own.version}", runs, rounds=rounds, bounds={ROWS: 0.70, DIGESTS: 1.0})
    archive.unlink()
    shutil.rmtree(folder / "backups" / "staging", ignore_errors=True)
    result.remarks.update(remarks)
    return result, last, peak
