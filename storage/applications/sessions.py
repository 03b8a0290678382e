"""The part of a map that says where an application keeps the details of its sessions' requests.

Which sessions there are, the usage log says. The details of a request (headers, body, …) are in the application's own
key-value store for as long as it keeps them there, each as JSON text under a key of its own; or in a table, whose rows
have one of them in each of their columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from storage.applications.fields import Fields
from storage.errors import Invalid, say

SESSION_KEYS = frozenset({"count", "special_settings", "store", "rows"})


class Part(StrEnum):
    """What a store may keep of one request."""

    CLIENT = "client"
    """A document with the `url` and the `method` that the application was asked with …"""
    UPSTREAM = "upstream"
    """… and with which it asked on."""
    ANSWER = "answer"
    """A document with the `statusCode` that came back."""
    HEADERS = "headers"
    BODY = "body"
    SPECIAL = "special_settings"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRows:
    """A table with a row for each request."""

    table: str
    session: str
    sequence: str
    """Its columns with the session's id and the request's number there."""
    parts: Mapping[Part, str]
    """Expressions over a row `d`: JSON, or text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionLog:
    """Keys are templates with {session}, those of a request's parts with {sequence} too."""

    count: str = ""
    """The key of the counter of a session's requests, which begin with 1; "" where there is none."""
    keys: Mapping[Part, str] = field(default_factory=dict)
    special_settings: str = ""
    """An expression over `r`, a row of the usage log: the same as the store's, where that has nothing any more."""
    rows: SessionRows | None = None
    """Instead of `keys`."""

    def key(self, part: Part, session: str, sequence: int) -> str:
        """Raises KeyError for a part that this application does not keep."""
        return _filled(self.keys[part], session=session, sequence=str(sequence))

    def count_key(self, session: str) -> str:
        return _filled(self.count, session=session)


def read(fields: Fields) -> SessionLog:
    """Read the table [sessions] of a map. Raises Invalid with the file's name."""
    store = fields.table("store", frozenset(Part))
    keys = {Part(name): store.read(name, str) for name in store.data} if store else {}
    count = fields.read("count", str, default="")
    whole = all("{session}" in key and "{sequence}" in key for key in keys.values())
    if not whole or (count and ("{session}" not in count or "{sequence}" in count)):
        raise Invalid(
            say("In the application map %(file)s, a key of the session store does not name {session} and {sequence}.",
                file=fields.file)
        )  # fmt: skip
    rows = _read_rows(fields)
    if rows and (keys or count):
        raise Invalid(
            say("The application map %(file)s names a session store and a table for the details of requests: it can"
                " only be one.", file=fields.file)
        )  # fmt: skip
    return SessionLog(
        count=count, keys=keys, special_settings=fields.read("special_settings", str, default=""), rows=rows
    )


def _read_rows(fields: Fields) -> SessionRows | None:
    rows = fields.table("rows", frozenset({"table", "session", "sequence", *Part}))
    if rows is None:
        return None
    return SessionRows(
        table=rows.read("table", str),
        session=rows.read("session", str),
        sequence=rows.read("sequence", str),
        parts={part: rows.read(part.value, str) for part in Part if part.value in rows.data},
    )


def _filled(template: str, **values: str) -> str:
    """In one pass: an id that holds {sequence} itself stays as it is."""
    return re.sub(r"\{(session|sequence)\}", lambda name: values[name[1]], template)
