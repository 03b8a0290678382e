"""The moments at which a crash is tried. Without PGHAVEN_CRASH_AT, which only tests set, each is a no-op."""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "PGHAVEN_CRASH_AT"

RESTORING: Final = (
    "restore:recorded",
    "restore:created",
    "restore:loaded",
    "restore:compared",
    "swap:journal",
    "swap:closed",
    "swap:emptied",
    "swap:renamed",
    "swap:committed",
)
"""In the order in which a restore that replaces passes them."""

TRASHING: Final = ("trash:recorded", "trash:copied", "trash:moved", "trash:done")
"""On the way into the trash."""

PUTTING_BACK: Final = ("back:copied", "back:moved", "back:recorded")
"""On the way out of it again."""

ERASING: Final = ("erase:recorded", "erase:removed", "erase:closed")
"""On the way out of it for good."""

SCHEDULING: Final = ("slot:claimed", "slot:asked")
"""Between the decision that a slot runs and the record of the job that runs it."""

REPLACING_ROWS: Final = ("rows:journal", "rows:committed")
"""While the rows of chosen tables are replaced."""

MERGING: Final = ("merge:journal", "merge:committed")
"""While the rows of an archive are merged into a database."""

CLEANING: Final = ("cleanup:archived", "cleanup:batch")
"""After the rows were archived, and between two batches that delete them."""

POINTS: Final = CLEANING + REPLACING_ROWS + MERGING + SCHEDULING + RESTORING + TRASHING + PUTTING_BACK + ERASING


def crashpoint(name: str) -> None:
    """Die here, as kill -9 would have it, when the environment says so."""
    assert name in POINTS, name
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
