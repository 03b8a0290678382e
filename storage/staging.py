"""Where a result is being made before it is published: a folder of its own for each job, swept at start."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
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

    def sweep(self, *, in_use: Callable[[str], bool] = lambda name: False) -> None:
        """Remove what killed jobs left; `in_use` says of a name whether its job still runs, in another process."""
        for folder in self.folder.iterdir():
            if not in_use(folder.name.split(".", 1)[0]):
                shutil.rmtree(folder, ignore_errors=True)
