"""Application maps: how an application's database is recognised, and which of its tables are logs.

A map is a TOML file, here or in a folder of the user's own. A table is named with its schema, or without one, which
then means any schema: the applications can be installed into a schema of their own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from storage.errors import Invalid, say

_Value = TypeVar("_Value")

_MAP_KEYS = frozenset({"name", "title", "recognise", "log_tables", "after_restore"})
_LOG_KEYS = frozenset({"table", "time_column", "soft_delete_column"})


@dataclass(frozen=True, kw_only=True, slots=True)
class LogTable:
    """A table that only grows: left out of a backup without logs, and cleaned up by the age of `time_column`."""

    table: str
    time_column: str
    soft_delete_column: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationMap:
    """What one application's database means. It is that application's where all of `recognise` exist."""

    name: str
    title: str
    recognise: tuple[str, ...]
    log_tables: tuple[LogTable, ...] = ()
    after_restore: tuple[str, ...] = ()
    """A program and its arguments, run on a restored database before it gets its name; () for none."""


def load_maps(extra_folder: Path | None = None) -> tuple[ApplicationMap, ...]:
    """Read the maps of the user's folder and the shipped ones; a map of the user's replaces a shipped one of its name.

    Refused with the file's name: TOML that cannot be read, a key that is missing, unknown or of another type.
    """
    own: dict[str, ApplicationMap] = {}
    if extra_folder is not None and extra_folder.is_dir():
        for found in _read_folder(extra_folder):
            if found.name in own:
                raise Invalid(say("Two application maps are called %(name)s.", name=found.name))
            own[found.name] = found
    shipped = {found.name: found for found in _read_folder(resources.files("storage.applications"))}
    return tuple((own | {name: found for name, found in shipped.items() if name not in own}).values())


def recognise(maps: Collection[ApplicationMap], tables: Collection[str]) -> ApplicationMap | None:
    """Choose the map whose tables are all in one schema of `tables` ("schema.table"); most telling first."""
    fitting = [candidate for candidate in maps if _home(candidate, tables) is not None]
    return max(fitting, key=lambda candidate: len(candidate.recognise), default=None)


def log_tables(application: ApplicationMap, tables: Collection[str]) -> tuple[str, ...]:
    """Name the application's log tables as they stand in `tables` ("schema.table"), in the order of the map."""
    return tuple(table for log in application.log_tables if (table := qualified(application, log.table, tables)))


def log_tables_among(tables: Collection[str], extra_folder: Path | None = None) -> tuple[str, ...]:
    """Name the log tables among `tables` ("schema.table"): none where no map recognises the database."""
    application = recognise(load_maps(extra_folder), tables)
    return log_tables(application, tables) if application else ()


def qualified(application: ApplicationMap, table: str, tables: Collection[str]) -> str | None:
    """Find a table of the map among `tables` ("schema.table"): in the schema where the application lives."""
    if "." in table:
        return table if table in tables else None
    home = _home(application, tables)
    full = f"{home}.{table}"
    return full if home is not None and full in tables else None


def _home(application: ApplicationMap, tables: Collection[str]) -> str | None:
    """The schema with all of the map's tables. "public" before others: copies of an application lie beside it."""
    fixed = [name for name in application.recognise if "." in name]
    free = [name for name in application.recognise if "." not in name]
    if not all(name in tables for name in fixed):
        return None
    schemas = {name.partition(".")[0] for name in tables}
    homes = (schema for schema in schemas if all(f"{schema}.{name}" in tables for name in free))
    return min(homes, key=lambda schema: (schema != "public", schema), default=None)


def _read_folder(folder: Traversable) -> Iterator[ApplicationMap]:
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml") and not file.name.startswith("."):
            yield _read_map(file.name, file.read_bytes())


def _read_map(file: str, content: bytes) -> ApplicationMap:
    try:
        data = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(say("The application map %(file)s cannot be read.", file=file), words=str(error)) from error
    _refuse_unknown(file, data, _MAP_KEYS)
    tables = _read(file, data, "recognise", list)
    if not tables or not all(isinstance(table, str) and table for table in tables):
        raise _wrong(file, "recognise")
    after = _read(file, data, "after_restore", list, default=[])
    if not all(isinstance(word, str) for word in after) or (after and not after[0]):
        raise _wrong(file, "after_restore")
    return ApplicationMap(
        name=_read(file, data, "name", str),
        title=_read(file, data, "title", str),
        recognise=tuple(tables),
        log_tables=tuple(_read_log(file, log) for log in _read(file, data, "log_tables", list, default=[])),
        after_restore=tuple(after),
    )


def _read_log(file: str, data: object) -> LogTable:
    if not isinstance(data, dict):
        raise _wrong(file, "log_tables")
    _refuse_unknown(file, data, _LOG_KEYS)
    return LogTable(
        table=_read(file, data, "table", str),
        time_column=_read(file, data, "time_column", str),
        soft_delete_column=_read(file, data, "soft_delete_column", str) if "soft_delete_column" in data else None,
    )


def _refuse_unknown(file: str, data: Mapping[str, Any], known: Collection[str]) -> None:
    for key in sorted(data.keys() - set(known)):
        raise Invalid(say("The application map %(file)s has an unknown key %(key)s.", file=file, key=key))


def _read(file: str, data: Mapping[str, Any], key: str, kind: type[_Value], *, default: _Value | None = None) -> _Value:
    value = data.get(key, default)
    if value is None:
        raise Invalid(say("The application map %(file)s has no %(key)s.", file=file, key=key))
    if not isinstance(value, kind) or value == "":
        raise _wrong(file, key)
    return value


def _wrong(file: str, key: str) -> Invalid:
    return Invalid(say("In the application map %(file)s, %(key)s has a value of the wrong type.", file=file, key=key))
