"""pg_restore: its argument lists, what its lines say of the work, and the plain names of its errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from storage.errors import Damaged, Denied, Message, ProgramFailed, StorageError, Unavailable, say
from storage.postgres import programs
from storage.postgres.quoting import quoted

Name = Callable[[re.Match[str], str], StorageError]
SECTIONS = ("pre-data", "data", "post-data")
_SETTINGS = {
    # The database that is being made has no readers and is thrown away when anything fails.
    "synchronous_commit": "off",
    "maintenance_work_mem": "256MB",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
}


def options(*, workers_for_indexes: bool, server_major: int) -> str:
    """PGOPTIONS for a load. Where every core is taken by a job of pg_restore, the server's own helpers for one index
    only stand in the way of the next: a tenth of the whole time, measured with two jobs on two cores."""
    settings = _SETTINGS if workers_for_indexes else {**_SETTINGS, "max_parallel_maintenance_workers": "0"}
    if server_major >= programs.FIRST_WITH_TRANSACTION_TIMEOUT:
        # An older pg_restore, which may be the one that is chosen, does not know it.
        settings = {**settings, "transaction_timeout": "0"}
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def restore_command(
    program: Path,
    archive: Path,
    *,
    jobs: int,
    no_owner: bool = False,
    no_privileges: bool = False,
    sections: Sequence[str] = (),
    entries: Path | None = None,
) -> list[str]:
    """Restore into the database of PGDATABASE. `entries` is a file with the entries wanted (--use-list).

    The connection string names no database on purpose: libpq then takes PGDATABASE, as it is and unexpanded, and
    pg_restore, which would write SQL to its output without the option, connects.
    """
    return [
        str(program),
        "--dbname=connect_timeout=10",
        "--no-password",
        "--verbose",
        "--exit-on-error",
        # A subscription keeps its database from being dropped, and one more subscriber would take the first one's slot.
        "--no-subscriptions",
        f"--jobs={jobs}",
        *(["--no-owner"] if no_owner else []),
        *(["--no-privileges"] if no_privileges else []),
        *(f"--section={section}" for section in sections),
        *([f"--use-list={entries}"] if entries else []),
        str(archive),
    ]


IS_ERROR = re.compile(r"pg_restore: (?:error|warning|detail|hint):|pg_restore: from TOC entry")
_FINISHED = re.compile(r"finished item (\d+) ")
_LAUNCHING = re.compile(r"launching item (\d+) ")


def finished_item(line: str) -> int | None:
    """The dump id of an entry that is done; said by parallel restores alone."""
    return int(match[1]) if (match := _FINISHED.search(line)) else None


def launched_item(line: str) -> int | None:
    return int(match[1]) if (match := _LAUNCHING.search(line)) else None


def explain(error: ProgramFailed, said: Sequence[str] = ()) -> StorageError:
    """Name what ended a pg_restore. `said` are its lines from the first error on (English, LC_ALL=C), kept by whoever
    ran it, because a long statement pushes the error itself out of the last lines."""
    words = "\n".join(line for line in (said or error.lines) if not _CHATTER.match(line)) or error.words
    for pattern, name in _NAMES:
        if found := re.search(pattern, words, re.IGNORECASE):
            return name(found, words)
    if error.code < 0:
        return Unavailable(error.cause, advice=say("Somebody or something ended it. Start again."), words=words)
    return StorageError(
        say("pg_restore could not restore the archive."), advice=say("The words of PostgreSQL say more."), words=words
    )


_CHATTER = re.compile(
    r"pg_restore: (?:launching|finished|processing|creating|connecting|executing|implied|skipping|entering|dropping)"
)


def _extension(found: re.Match[str], words: str) -> StorageError:
    return Unavailable(
        say("The server does not have the extension %(name)s.", name=found[1] or found[2]),
        advice=say("Install the package with %(name)s on the server, then start again.", name=found[1] or found[2]),
        words=words,
    )


def _role(found: re.Match[str], words: str) -> StorageError:
    return Unavailable(
        say("The server does not have the role %(name)s.", name=found[1]),
        advice=say("Create it there: CREATE ROLE %(name)s;", name=quoted(found[1])),
        words=words,
    )


def _simple(kind: type[StorageError], cause: Message, advice: Message) -> Name:
    return lambda found, words: kind(cause, advice=advice, words=words)


_NAMES: tuple[tuple[str, Name], ...] = (
    (
        r'extension "([^"]+)" is not available|could not open extension control file "[^"]*?([^/"]+)\.control"',
        _extension,
    ),
    (r'role "([^"]+)" does not exist', _role),
    (
        r"no space left on device|could not extend file|disk full",
        _simple(Unavailable, say("The server's disk is full."), say("Make room on the server, then start again.")),
    ),
    (
        r"unsupported version \(|server version|unrecognized configuration parameter",
        _simple(
            Unavailable,
            say("This pg_restore and the server do not go together."),
            say("Install the programs of the server's version: pghaven tools install."),
        ),
    ),
    (
        r"could not read from input file|could not uncompress|compressed data|corrupt|unexpected end of file|"
        r"did not find magic|invalid archive|could not find block|found unexpected block|could not decompress",
        _simple(Damaged, say("The archive is damaged."), say("Verify the backup, and restore another one.")),
    ),
    (
        r"must be owner|permission denied|must be superuser|must be member of role|must be able to SET ROLE",
        _simple(
            Denied,
            say("The role that pghaven connects as lacks a right on the server."),
            say("The words of PostgreSQL name it. Connect as a superuser, or grant it."),
        ),
    ),
    (
        r"closed the connection|terminating connection|connection to server|could not receive data|"
        r"server process .* was terminated|could not connect",
        _simple(
            Unavailable,
            say("The connection to the server was lost."),
            say("Look whether the server runs, then start again."),
        ),
    ),
    (
        r'relation "([^"]+)" does not exist|function .+ does not exist',
        _simple(
            StorageError,
            say("A function of the database uses names without their schema, which a restore cannot find."),
            say("Give the function that is named below a search_path: ALTER FUNCTION … SET search_path."),
        ),
    ),
)
