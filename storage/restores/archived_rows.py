"""The rows of one table as they lie in an archive: pg_restore writes them as text, for a COPY of our own.

Nothing that the archive says is carried out but settings of how the rows are to be read, out of a short list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from storage.errors import Damaged, say
from storage.postgres.archive import Entry
from storage.postgres.process import Outflow, flowing
from storage.postgres.programs import Installation
from storage.postgres.snapshot import Session

_MOST_BEFORE = 1 << 24
"""Bytes that may come before the rows: a list of columns, 1600 at most, and a few settings."""
_END = b"\\.\n"
# The columns, letter by letter: a name without anything odd in it, or one in quotes.
_COPY = re.compile(
    rb'^COPY [^\n]+? (\((?:"(?:[^"\n]|"")+"|[^\s",()]+)(?:, (?:"(?:[^"\n]|"")+"|[^\s",()]+))*\)) FROM stdin;\n', re.M
)
_SETTING = re.compile(rb"^SET (?:client_encoding = '[A-Za-z0-9_-]+'|xmloption = content|row_security = off);$", re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Which entry of which archive."""

    entry: Entry
    path: Path
    installation: Installation
    chosen: Path
    """Where a list of entries may be written for pg_restore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedRows:
    columns: bytes
    """In brackets, quoted, as they are in the archive."""
    settings: tuple[bytes, ...]
    pieces: Iterator[tuple[bytes, bool]]
    """See `pieces`."""


@contextmanager
def opened(source: Source, *, watch: Callable[[], None]) -> Iterator[ArchivedRows]:
    """The rows of an entry, read at the pace of whoever takes them.

    `watch` is called with every piece, and ten times a second while there is none; it may raise. Raises Damaged where
    no rows are or where they break off, ProgramFailed when pg_restore does not end well.
    """
    source.chosen.write_text(f"{source.entry.dump_id};\n")
    command = [str(source.installation.program("pg_restore")), "--data-only", f"--use-list={source.chosen}", "--file=-",
               str(source.path)]  # fmt: skip
    environment = {"LC_ALL": "C", "TZ": "UTC", **source.installation.environment()}
    with flowing(command, environment=environment) as out:
        before = b""
        while (found := _COPY.search(before)) is None:
            chunk = _more(out, watch)
            if not chunk or len(before) > _MOST_BEFORE:
                raise Damaged(
                    say("The archive has no rows where they should be."), advice=say("Verify the backup first.")
                )
            before += chunk
        yield ArchivedRows(
            columns=found[1],
            settings=tuple(_SETTING.findall(before[: found.start()])),
            pieces=pieces(_chunks(before[found.end() :], out, watch)),
        )
        # Its exit code tells whether it read the archive well.
        while _more(out, watch):
            pass


def _more(out: Outflow, watch: Callable[[], None]) -> bytes:
    chunk = out.read(watch)
    watch()
    return chunk


def _chunks(first: bytes, out: Outflow, watch: Callable[[], None]) -> Iterator[bytes]:
    yield first
    while chunk := _more(out, watch):
        yield chunk


def pieces(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """What comes before the end marker of a COPY in the text format, and whether a piece ends where a row ends.

    In that format a row is a line (PostgreSQL documentation, COPY). A long one comes in several pieces: nothing is
    gathered. Raises Damaged when the marker does not come.
    """
    row_begins, held = True, b""
    for chunk in chunks:
        block, held = held + chunk, b""
        if row_begins and block.startswith(_END):
            return
        if (end := block.find(b"\n" + _END)) >= 0:
            yield block[: end + 1], True
            return
        cut = block.rfind(b"\n") + 1
        if cut:
            yield block[:cut], True
            row_begins = True
        tail = block[cut:]
        if row_begins and _END.startswith(tail):
            held = tail
        elif tail:
            yield tail, False
            row_begins = False
    raise Damaged(say("The archive ends in the middle of the rows."), advice=say("Verify the backup first."))


@contextmanager
def copying(session: Session, table: sql.Identifier, rows: ArchivedRows) -> Iterator[psycopg.Copy]:
    """A COPY into the table that takes pieces of these rows, in the encoding of the archive."""
    for setting in rows.settings:
        session.execute(setting)
    statement = b"COPY %s %s FROM STDIN" % (table.as_bytes(session), rows.columns)
    with session.cursor() as cursor, cursor.copy(statement) as copy:
        yield copy
    session.execute("SET client_encoding = 'UTF8'")
