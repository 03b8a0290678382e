"""The names that databases get around a restore. PostgreSQL cuts names at 63 bytes in silence; they are cut here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import count

from storage.errors import Invalid, say

LONGEST = 63
_TEMPLATES = ("template0", "template1")


def check(name: str) -> None:
    """Raise Invalid for what cannot be the name of a database that pghaven makes."""
    if not name or len(name.encode()) > LONGEST or any(not letter.isprintable() for letter in name):
        raise Invalid(
            say("“%(name)s” cannot be the name of a database.", name=name[:LONGEST]),
            advice=say("A name has 1 to 63 bytes and no control characters."),
        )
    if name in _TEMPLATES:
        raise Invalid(say("%(name)s belongs to PostgreSQL itself; choose another name.", name=name))


def proposed(database: str, taken_at: datetime, *, taken: Collection[str]) -> str:
    """A free name for a new database: hub_20261121, then hub_20261121_2."""
    day = f"{taken_at:_%Y%m%d}"
    return _first_free((_joined(database, day if n == 1 else f"{day}_{n}") for n in count(1)), taken)


def beside(target: str, restore_id: str) -> str:
    """Where a restore is made before it gets its name. The id in it makes it ours alone."""
    return _joined(target, f"_restoring_{restore_id}")


def kept(target: str, moment: datetime, *, taken: Collection[str]) -> str:
    """What the replaced database is called from then on: shop_before_20261122_1314."""
    return _dated(target, "_before", moment, taken)


def undone(target: str, moment: datetime, *, taken: Collection[str]) -> str:
    """What a restored database is called once its restore was undone: shop_undone_20261122_1320."""
    return _dated(target, "_undone", moment, taken)


def _dated(target: str, word: str, moment: datetime, taken: Collection[str]) -> str:
    minute, second = f"{word}{moment:_%Y%m%d_%H%M}", f"{word}{moment:_%Y%m%d_%H%M%S}"
    candidates = (minute if n == 0 else second if n == 1 else f"{second}_{n}" for n in count())
    return _first_free((_joined(target, suffix) for suffix in candidates), taken)


def _joined(name: str, suffix: str) -> str:
    room = LONGEST - len(suffix.encode())
    return name.encode()[:room].decode(errors="ignore") + suffix


def _first_free(candidates: Iterator[str], taken: Collection[str]) -> str:
    return next(name for name in candidates if name not in taken)
