"""One table of a map's file, read strictly: what is missing, unknown or of another type is refused with its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from storage.errors import Invalid, say

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Fields:
    """What stands in one table of `file`. Making one refuses keys that are not in `known`."""

    file: str
    data: Mapping[str, Any]
    known: Collection[str]

    def __post_init__(self) -> None:
        for key in sorted(self.data.keys() - set(self.known)):
            raise Invalid(say("The application map %(file)s has an unknown key %(key)s.", file=self.file, key=key))

    def read(self, key: str, kind: type[_Value], *, default: _Value | None = None) -> _Value:
        """The value of a key; refused where there is neither one nor a default, or where it is empty text."""
        value = self.data.get(key, default)
        if value is None:
            raise Invalid(say("The application map %(file)s has no %(key)s.", file=self.file, key=key))
        if not isinstance(value, kind) or (value == "" and default != ""):
            raise self.wrong(key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of words; () where there is none."""
        values = self.read(key, list, default=[])
        if not all(isinstance(value, str) and value for value in values):
            raise self.wrong(key)
        return tuple(values)

    def table(self, key: str, known: Collection[str]) -> Fields | None:
        """A table within this one; None where there is none."""
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(key)
        return Fields(self.file, value, known)

    def tables(self, key: str, known: Collection[str]) -> list[Fields]:
        """The tables of a list ([[key]]), in their order; [] where there is none."""
        values = self.read(key, list, default=[])
        if not all(isinstance(value, dict) for value in values):
            raise self.wrong(key)
        return [Fields(self.file, value, known) for value in values]

    def wrong(self, key: str) -> Invalid:
        return Invalid(
            say("In the application map %(file)s, %(key)s has a value of the wrong type.", file=self.file, key=key)
        )
