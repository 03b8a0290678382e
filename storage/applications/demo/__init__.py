"""Made-up databases of the mapped applications, as SQL scripts, so that every page can be tried on real data."""

from __future__ import annotations

import re
from importlib import resources

NAMES = ("hub", "wiki", "crearis")

_INCLUDED = re.compile(r"^-- include (\S+)$", re.MULTILINE)
"""A line of a script in whose place stands a file that the application's map has for the generator."""


def script(name: str) -> str:
    """Read the SQL that fills an empty database, in one call of `execute` without parameters."""
    if name not in NAMES:
        raise ValueError(f"no demo database is called {name}")
    text = resources.files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    shared = resources.files("storage.applications")
    return _INCLUDED.sub(lambda found: shared.joinpath(found[1]).read_text(encoding="utf-8"), text)
