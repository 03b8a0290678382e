"""`make bench`: makes its own data, measures, prints ratios with the machine and the versions; exit code 1 when a bound
is not met. ARGS: --rounds N, --rows N, --scale N, --majors 18,15."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys

from benchmarks import cleaning, data, downloading, exporting, logs, pages, proving, restoring, taking
from tests.servers import Server, installation_of, newest_installation, open_folder

MEMORY_BOUND = 150e6
OUTAGE_BOUND = 100.0


def main() -> int:
    options = _options()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    majors = [int(part) for part in options.majors.split(",") if part]
    all_met = True
    for major in majors:
        all_met &= _measure(major, options)
    return 0 if all_met else 1


def _options() -> argparse.Namespace:
    newest = newest_installation().major
    # The newest with zstd, and 15, whose own pg_dump has gzip alone.
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--scale", type=int, default=20)
    parser.add_argument("--majors", default=",".join(map(str, dict.fromkeys((max(newest, 18), 15)))))
    return parser.parse_args()


def _measure(major: int, options: argparse.Namespace) -> bool:
    folder = open_folder("pghaven-bench-")
    # As a server is run for real: with fsync. Sizes for a machine of a few GB.
    settings = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
    server = Server(installation_of(major), folder, settings=settings)
    try:
        print(
            f"\nPostgreSQL {server.installation.version}: making {options.rows:,} requests and pgbench {options.scale}"
        )
        work = folder / "work"
        work.mkdir(mode=0o700)
        connection = data.make(server, rows=options.rows, scale=options.scale, folder=work)
        # Each is printed as soon as it is measured: what a later one runs into takes nothing away.
        took, backup_id, peak_take = taking.run(server, connection, work, rounds=options.rounds)
        took.print()
        replaced, gaps, peak_restore = restoring.run(server, connection, work, backup_id, rounds=options.rounds)
        replaced.print()
        print(
            f"\nLongest time that a reader got no answer around the swap: {max(gaps):.0f} ms (bound {OUTAGE_BOUND:.0f})"
        )
        proven, peak_prove = proving.run(server, connection, work, backup_id, rounds=options.rounds)
        proven.print()
        exported, peak_export = exporting.run(server, connection, work, rounds=options.rounds)
        exported.print()
        listed = pages.run(server, connection, work)
        usage = logs.run(server, connection, work, rounds=options.rounds)
        usage.print()
        cleaned, longest = cleaning.run(server, connection, work, rounds=options.rounds)
        for result in cleaned:
            result.print()
        print(f"\nLongest batch of all clean-ups: {longest:.0f} ms (bound {cleaning.LONGEST_MS})")
        downloaded, peak_serve = downloading.run(server, connection, work, backup_id, rounds=options.rounds + 2)
        downloaded.print()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    peak_serve = max(peak_serve, peak_export)
    peak = max(peak_take, peak_restore, peak_prove, peak_serve)
    print(
        f"\nMost resident memory of pghaven: take {peak_take / 1e6:.0f} MB, replace {peak_restore / 1e6:.0f} MB, "
        f"prove {peak_prove / 1e6:.0f} MB, serve {peak_serve / 1e6:.0f} MB (bound {MEMORY_BOUND / 1e6:.0f})"
    )
    all_met = all(one.met() for one in (took, replaced, proven, exported, *cleaned, downloaded))
    all_met &= usage.met() and listed and longest <= cleaning.LONGEST_MS
    return all_met and max(gaps) <= OUTAGE_BOUND and peak <= MEMORY_BOUND


if __name__ == "__main__":
    sys.exit(main())
