"""The plain names of what ends a dump: disk full, locked, no right, connection lost."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from storage.backups import preflight
from storage.errors import Conflict, ConnectionLost, Denied, Message, ProgramFailed, StorageError, Unavailable, say
from storage.postgres.connection import describe

_COMPLAINT = re.compile(r"\b(error|fatal|detail|hint):", re.IGNORECASE)
_LARGE_OBJECT = re.compile(r"permission denied for large object (\d+)")
_NOTHING_KEPT = say("No backup was made; earlier ones are as they were.")


@contextmanager
def named(folder: Path, *, role: str) -> Iterator[None]:
    """Turn what a dump raises into refusals; `folder` is where archives are kept."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(folder).free
        raise preflight.disk_full(folder, free=free, needed=free) from error
    except ProgramFailed as error:
        raise explain(error, role=role) from error
    except psycopg.Error as error:
        raise describe(error, doing=say("The database could not be read.")) from error


def explain(error: ProgramFailed, *, role: str) -> StorageError:
    """Name the cause of a failed pg_dump from its last lines, which are in English (LC_ALL=C)."""
    # With --verbose most lines are no complaint, and name everything that could go wrong.
    words = "\n".join(line for line in error.lines if _COMPLAINT.search(line))
    text = words.lower()
    cause: Message = error.cause
    advice = None
    kind: type[StorageError] = Unavailable
    if "row-level security" in text:
        kind, cause = (
            Denied,
            say("Row security hides rows from %(role)s; a backup without them would not be whole.", role=role),
        )
        advice = say("As a superuser, on the server: ALTER ROLE %(role)s BYPASSRLS;", role=role)
    elif large_object := _LARGE_OBJECT.search(text):
        kind, cause = (
            Denied,
            say("%(role)s may not read the large object %(number)s.", role=role, number=large_object[1]),
        )
        advice = say(
            "Grant it on the server: GRANT SELECT ON LARGE OBJECT %(number)s TO %(role)s; "
            "or take backups as its owner.",
            number=large_object[1],
            role=role,
        )
    elif "permission denied" in text:
        kind, cause = Denied, say("%(role)s may not read everything in this database.", role=role)
        advice = say("Grant it on the server: GRANT pg_read_all_data TO %(role)s;", role=role)
    elif "lock timeout" in text or "could not obtain lock" in text:
        kind, cause = Conflict, say("A table is locked by another session.")
        advice = say("Take the backup again when that session has ended.")
    elif "server version mismatch" in text:
        cause = say("The server is newer than this pg_dump.")
    elif any(
        part in text
        for part in ("closed the connection", "terminating connection", "connection to server", "could not receive")
    ):
        kind, cause = ConnectionLost, say("The connection to the server was lost.")
        advice = say("Look whether the server runs, then take the backup again.")
    elif error.code < 0:
        advice = say("Somebody or something ended it. Take the backup again.")
    return kind(cause, effect=_NOTHING_KEPT, advice=advice, words=words or error.words)
