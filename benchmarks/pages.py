"""Start-up, overview and history with ten thousand records, in seconds: what a reader waits for."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from datetime import timedelta
from pathlib import Path

from benchmarks import data
from benchmarks.downloading import serving
from benchmarks.pairs import run_watched
from storage.backups.catalog import Catalog
from storage.clock import utc_now
from storage.postgres.connection import Connection
from tests.builders import a_backup
from tests.servers import Server

RECORDS = 10_000
START_BOUND, FIRST_BOUND, AFTER_BOUND = 3.0, 0.3, 0.1
PAGES = ("/", "/history?days=365")


def run(server: Server, connection: Connection, folder: Path) -> bool:
    """Make the records, start pghaven on them and ask for pages; prints what it took, and whether that is within the
    bounds."""
    backups = folder / "many"
    backups.mkdir(mode=0o700)
    _make(backups, connection.dbname)
    ours = {**data.environment(backups, connection, data.programs_for(server)), "ADMIN_PASSWORD": "measured measured"}
    pghaven = Path(sys.executable).with_name("pghaven")
    began = time.monotonic()
    with serving([pghaven, "serve", "--port", "0"], ours, folder) as (_, port):
        started = time.monotonic() - began
        token = json.loads(run_watched([pghaven, "accounts", "token", "admin", "--json"], environment=ours).output)
        print(f"\nWith {RECORDS:,} records")
        met = _line("start-up, until pages can be asked for", started, START_BOUND)
        for page in PAGES:
            met &= _line(f"GET {page}, the first time", _seconds(port, page, token["token"]), FIRST_BOUND)
            later = sorted(_seconds(port, page, token["token"]) for _ in range(9))[4]
            met &= _line(f"GET {page}, after that", later, AFTER_BOUND)
    return met


def _make(folder: Path, database: str) -> None:
    """A backup every fifty minutes, of one of ten databases, each with an archive that has its size and no content."""
    catalog = Catalog(folder, clock=utc_now)
    now = utc_now().replace(microsecond=0)
    for number in range(RECORDS):
        name = f"{database}{number % 10 or ''}"  # the first is the one that is looked after
        record = a_backup(name, at=now - timedelta(minutes=50 * number))
        path = catalog.archive_path(record)
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.truncate(record.bytes)
        catalog.save(record)


def _seconds(port: int, page: str, token: str) -> float:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{page}", headers={"Authorization": f"Bearer {token}", "Accept": "text/html"}
    )
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200 and len(answer.read()) > 5_000
    return time.monotonic() - began


def _line(what: str, seconds: float, bound: float) -> bool:
    met = seconds <= bound
    print(f"  {what:<48}{seconds:>7.3f} s  bound {bound:.1f}  {'met' if met else 'NOT MET'}")
    return met
