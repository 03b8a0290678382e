"""A few megabytes kept back in the data folder, so that what happened can still be written when the disk is full."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

SIZE = 4 << 20
_NAME = ".reserve"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_Result = TypeVar("_Result")


def keep(folder: Path, *, size: int = SIZE) -> bool:
    """Put the reserve into `folder` unless it is there or the disk is nearly full; returns whether it is there."""
    place = folder / _NAME
    if place.exists():
        return True
    # Made again from the last free bytes, it would only take them from those who need them now.
    if shutil.disk_usage(folder).free < 4 * size:
        return False
    descriptor, draft = tempfile.mkstemp(dir=folder, prefix=f"{_NAME}.{os.getpid()}.", suffix=".draft")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(size))  # zeros would take no room where a file system compresses
        os.replace(draft, place)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    return True


def with_room(path: Path, write: Callable[[], _Result]) -> _Result:
    """Do what writes at `path`; on a full disk give up the reserve of a folder above it, and do it once more."""
    try:
        return write()
    except OSError as error:
        if error.errno not in _FULL or not _give_up(path):
            raise
    return write()


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk, or our share of it, is full."""
    return error.errno in _FULL


def _give_up(path: Path) -> bool:
    for folder in path.absolute().parents:
        try:
            (folder / _NAME).unlink()
            return True
        except OSError:
            continue
    return False
