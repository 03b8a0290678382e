"""Names of the catalogue as text: for a statement that somebody is to type, and as the name of a table in a record."""

from __future__ import annotations


def quoted(name: str) -> str:
    """A name as it is written in SQL, whatever letters it has."""
    return '"' + name.replace('"', '""') + '"'


def full_name(schema: str, name: str) -> str:
    """schema.name. A part that holds a dot or a quotation mark is quoted, so that "a.b".c and a."b.c" stay two."""
    return ".".join(quoted(part) if "." in part or '"' in part else part for part in (schema, name))
