"""Where a result is being made before it is published: a folder of its own for each job, swept at start."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Staging:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def work(self, name: str) -> Iterator[Path]:
        """A private folder (0700) that is gone when the block ends, however it ends."""
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix=f"{name}."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self, *, in_use: frozenset[str] = frozenset()) -> None:
        """Remove what killed jobs left; `in_use` are the names of jobs that still run, in another process."""
        for folder in self.folder.iterdir():
            if folder.name.split(".", 1)[0] not in in_use:
                shutil.rmtree(folder, ignore_errors=True)
