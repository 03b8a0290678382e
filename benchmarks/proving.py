"""Prove, against plain pg_dump of the same database: checksum, restore as an ordinary role, every row compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from benchmarks import data
from benchmarks.pairs import Measurement, measure, run_watched
from storage.postgres.connection import Connection, connect, write_pass_file
from tests.servers import Server

PLAIN, PROVE = "pg_dump -Fc -f (its default compression)", "backups prove, whole"


def run(
    server: Server, connection: Connection, folder: Path, backup_id: str, *, rounds: int
) -> tuple[Measurement, int]:
    """The measurement, and the peak resident memory of pghaven in bytes. The same server is the scratch server."""
    archive = folder / "plain.dump"
    environment = {
        **connection.environment(write_pass_file(folder, connection), application="benchmarks"),
        **server.installation.environment(),
    }
    ours = data.environment(folder / "backups", connection, data.programs_for(server))
    ours["SCRATCH_DATABASE_URL"] = _address(server.connection)
    pghaven = Path(sys.executable).with_name("pghaven")
    peak = 0

    def plain() -> None:
        subprocess.run([server.installation.program("pg_dump"), "-Fc", "-f", archive], env=environment, check=True)

    def prove() -> None:
        nonlocal peak
        watched = run_watched([pghaven, "backups", "prove", backup_id, "--json"], environment=ours)
        assert json.loads(watched.output)["outcome"] == "whole"
        peak = max(peak, watched.resident)

    def tidy() -> None:
        with connect(server.connection, application="benchmarks") as session:
            session.execute("CHECKPOINT")

    result = measure(
        f"Prove, PostgreSQL {server.installation.version}",
        {PLAIN: plain, PROVE: prove},
        rounds=rounds,
        bounds={PROVE: 1.6},
        between=tidy,
    )
    archive.unlink()
    return result, peak


def _address(connection: Connection) -> str:
    assert connection.password is not None
    password = quote(connection.password.reveal, safe="")
    return (
        f"postgresql://{connection.user}:{password}@/{connection.dbname}?host={connection.host}&port={connection.port}"
    )
