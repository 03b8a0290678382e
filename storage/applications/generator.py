"""The part of a map that says with which SQL rows of the application's usage log are made up.

The SQL lies in files beside the map. It is carried out in one transaction with the application's schema as the search
path, and finds what it is asked for in settings: current_setting('pghaven.seed') and the like, see `SETTINGS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from storage.applications.fields import Fields

GENERATOR_KEYS = frozenset({"table", "requests", "people", "empty"})
SETTINGS = ("seed", "first", "last", "total", "days", "until")
"""Which rows are wanted: those numbered `first` to `last`, of `total` that fill the `days` before `until`. The same
settings have to give the same rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generator:
    table: str
    """The table that gets the rows. Its comment says whether the database is a demo."""
    requests: str
    """SQL that makes the rows, with one INSERT into `table`."""
    people: str = ""
    """SQL that first makes what the rows belong to, where the tables of `empty` are; "" where it has to be there."""
    empty: tuple[str, ...]
    """The tables that hold nothing as long as nobody has used the application: only then can it be made a demo."""


def read(fields: Fields, file: Callable[[str], str | None]) -> Generator:
    """Read the table [generator] of a map; `file` gives the text beside it. Raises Invalid with the map's name."""
    empty = fields.texts("empty")
    if not empty:
        raise fields.wrong("empty")
    return Generator(
        table=fields.read("table", str),
        requests=_script(fields, "requests", file),
        people=_script(fields, "people", file) if "people" in fields.data else "",
        empty=empty,
    )


def _script(fields: Fields, key: str, file: Callable[[str], str | None]) -> str:
    name = fields.read(key, str)
    text = None if "/" in name or "\\" in name or name.startswith(".") else file(name)
    if text is None:
        raise fields.wrong(key)
    return text
