"""Made-up databases of the mapped applications, as SQL scripts, so that every page can be tried on real data."""

from __future__ import annotations

from importlib import resources

NAMES = ("hub", "wiki", "crearis")


def script(name: str) -> str:
    """Read the SQL that fills an empty database, in one call of `execute` without parameters."""
    if name not in NAMES:
        raise ValueError(f"no demo database is called {name}")
    return resources.files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
