"""Where pghaven keeps what belongs to this machine and not to the data: its own PostgreSQL programs and server."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
FOR_ROOT = Path("/var/lib/pghaven")


def private_folder(checkout: Path = CHECKOUT) -> Path:
    """The place for this process: `choose_private_folder` with what the system says."""
    is_root = os.geteuid() == 0
    reachable = reachable_by_others(checkout) if is_root else os.access(checkout, os.W_OK | os.X_OK)
    return choose_private_folder(checkout, is_root=is_root, reachable=reachable, home=Path.home())


def choose_private_folder(checkout: Path, *, is_root: bool, reachable: bool, home: Path) -> Path:
    """In the checkout where that works, else where this kind of account keeps such things.

    PostgreSQL's server refuses to run as root, so root starts it as another account: `reachable` says whether that
    one can get to the checkout. For an ordinary account it says whether the checkout can be written.
    """
    if reachable:
        return checkout / ".pghaven"
    return FOR_ROOT if is_root else home / ".local" / "share" / "pghaven"


def tools_folder(private: Path) -> Path:
    """Programs installed by `tools`; several checkouts may share it."""
    return private / "tools"


def embedded_folder(private: Path, checkout: Path = CHECKOUT) -> Path:
    """The embedded server's data: its own for each checkout, also where the private folder is shared."""
    if private.is_relative_to(checkout):
        return private / "embedded"
    mark = hashlib.sha256(bytes(checkout)).hexdigest()[:8]
    return private / f"embedded-{mark}"


def reachable_by_others(folder: Path) -> bool:
    """Whether every folder down to this one can be passed through by any account."""
    return all(_passable(part) for part in (folder, *folder.parents))


def make_passable_folder(folder: Path) -> Path:
    """Make the folder and its missing parents so that other accounts can pass through, whatever the umask."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(exist_ok=True)
        part.chmod(0o755)
    return folder


def _passable(folder: Path) -> bool:
    try:
        return bool(folder.stat().st_mode & stat.S_IXOTH)
    except FileNotFoundError:
        return True  # it will be made by make_passable_folder
