"""What keeps a merge from being carried out, named by the SQLSTATE that the server sends, in any language it speaks."""

from __future__ import annotations

import psycopg

from storage.errors import Conflict, Denied, Invalid, StorageError, Unavailable, say
from storage.postgres.connection import describe
from storage.postgres.quoting import full_name


def explained(error: psycopg.Error) -> StorageError:
    """The refusal behind an error of the server."""
    found = error.diag
    state = error.sqlstate or ""
    words = f"{state}: {error}" if state else str(error)
    table = full_name(found.schema_name, found.table_name) if found.schema_name and found.table_name else "?"
    rule = found.constraint_name or found.column_name or ""
    match state[:2], error:
        case _, psycopg.errors.ForeignKeyViolation():
            return Conflict(
                say("Rows of %(table)s would refer to rows that are not there: %(name)s.", table=table, name=rule),
                advice=say("A row that they refer to was left alone because of another key, or is not in the archive. "
                           "The words of PostgreSQL name it."),
                words=words,
            )  # fmt: skip
        case _, psycopg.errors.LockNotAvailable():
            return Conflict(
                say("Somebody holds a lock on one of the tables."),
                advice=say("End the transactions that use it, then start again."),
                words=words,
            )
        case _, psycopg.errors.InsufficientPrivilege():
            return Denied(
                say("The role that pghaven connects as may not add to these tables."),
                advice=say("The words of PostgreSQL name the table. Connect as its owner, or as a superuser."),
                words=words,
            )
        case "23", _:
            return Conflict(
                say("The rows do not fit the rules of %(table)s: %(name)s.", table=table, name=rule),
                advice=say("The rules are newer than the archive. Restore into a new database, and take the rows from "
                           "there."),
                words=words,
            )  # fmt: skip
        case "22", _:
            return Invalid(
                say("A value of the archive does not fit the column that it goes into."),
                advice=say("The words of PostgreSQL name the value and the column."),
                words=words,
            )
        case "40", _:
            return Conflict(
                say("Another transaction was in the way."),
                advice=say("Start again when less is going on."),
                words=words,
            )
        case "53", _:
            return Unavailable(
                say("The server has run out of room, memory or connections."),
                advice=say("Make room on the server, then start again."),
                words=words,
            )
        case (("" | "08" | "57"), _):
            return describe(error, doing=say("The merge was broken off."))
    return StorageError(
        say("The server refused what the merge does, with SQLSTATE %(state)s.", state=state),
        advice=say("The words of PostgreSQL say more."),
        words=words,
    )
