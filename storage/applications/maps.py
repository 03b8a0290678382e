"""Application maps: how an application's database is recognised, and which of its tables are logs.

A map is a TOML file, here or in a folder of the user's own. A table is named with its schema, or without one, which
then means any schema: the applications can be installed into a schema of their own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from storage.applications import generator, probes, sessions, usage
from storage.applications.fields import Fields
from storage.applications.generator import GENERATOR_KEYS, Generator
from storage.applications.probes import PROBE_KEYS, ProbeLog
from storage.applications.sessions import SESSION_KEYS, SessionLog
from storage.applications.usage import USAGE_KEYS, UsageLog
from storage.errors import Invalid, say

_MAP_KEYS = frozenset({"name", "title", "recognise", "log_tables", "after_restore", "usage", "sessions", "probes",
                       "generator"})  # fmt: skip
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
    usage: UsageLog | None = None
    sessions: SessionLog | None = None
    """Only beside a usage log, which says which sessions there are."""
    probes: ProbeLog | None = None
    generator: Generator | None = None


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
            yield _read_map(file.name, file.read_bytes(), folder)


def _read_map(file: str, content: bytes, folder: Traversable) -> ApplicationMap:
    try:
        data = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(say("The application map %(file)s cannot be read.", file=file), words=str(error)) from error
    fields = Fields(file, data, _MAP_KEYS)
    tables, after = fields.texts("recognise"), fields.texts("after_restore")
    if not tables and fields.read("recognise", list) == []:
        raise fields.wrong("recognise")
    usage_fields = fields.table("usage", USAGE_KEYS)
    session_fields = fields.table("sessions", SESSION_KEYS)
    probe_fields = fields.table("probes", PROBE_KEYS)
    generator_fields = fields.table("generator", GENERATOR_KEYS)
    return ApplicationMap(
        name=fields.read("name", str),
        title=fields.read("title", str),
        recognise=tables,
        log_tables=tuple(_read_log(log) for log in fields.tables("log_tables", _LOG_KEYS)),
        after_restore=after,
        usage=usage.read(usage_fields) if usage_fields else None,
        sessions=sessions.read(session_fields) if session_fields else None,
        probes=probes.read(probe_fields) if probe_fields else None,
        generator=generator.read(generator_fields, partial(_beside, folder)) if generator_fields else None,
    )


def _beside(folder: Traversable, name: str) -> str | None:
    """The text of a file in the map's folder; None where there is none that can be read."""
    try:
        return folder.joinpath(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _read_log(fields: Fields) -> LogTable:
    return LogTable(
        table=fields.read("table", str),
        time_column=fields.read("time_column", str),
        soft_delete_column=fields.read("soft_delete_column", str) if "soft_delete_column" in fields.data else None,
    )
