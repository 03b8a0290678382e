"""Reading what a custom-format archive says of itself: its header and its table of contents, without any program.

The layout is that of PostgreSQL's pg_backup_archiver.c and pg_backup_custom.c (ReadHead, ReadToc, ReadInt, ReadStr).
Whether the data in it is whole is left to verifying: an archive cut in half has a perfect table of contents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from storage.errors import Damaged, Invalid, Message, NotFound, StorageError, say

MAGIC = b"PGDMP"
OLDEST, NEWEST = (1, 10), (1, 16)
"""The versions of the format that are read here: PostgreSQL 8.3 to 18."""
_ALGORITHMS = ("none", "gzip", "lz4", "zstd")
_CUSTOM = 1
_SECTIONS = {2: "pre-data", 3: "data", 4: "post-data"}
_LONGEST = 1 << 30

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveHeader:
    """What stands at the beginning of an archive."""

    version: tuple[int, int]
    compression: str
    """none, gzip, lz4 or zstd."""
    server_version: str
    dump_version: str
    dbname: str
    created_at: datetime | None
    """By the clock of the machine that dumped, which writes no zone; pghaven's own programs run in UTC."""

    @property
    def server_major(self) -> int:
        digits = self.server_version.split(".")[0].split(" ")[0]
        return int(digits) if digits.isdigit() else 0

    @property
    def client_needed(self) -> int:
        """The lowest major of pg_restore that reads it."""
        if self.version >= (1, 16):
            return 17
        if self.version >= (1, 15) or self.compression in ("lz4", "zstd"):
            return 16
        return 12 if self.version >= (1, 14) else 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the table of contents. `kind` is pg_dump's word: TABLE, TABLE DATA, INDEX, ACL …"""

    dump_id: int
    kind: str
    schema: str
    name: str
    owner: str
    definition: str
    section: str
    """pre-data, data or post-data; '' for what goes with the entry before it: grants, comments."""
    has_data: bool
    depends_on: tuple[int, ...] = ()
    """The dump ids of what has to be there before it."""


@dataclass(frozen=True, slots=True)
class Archive:
    header: ArchiveHeader
    entries: tuple[Entry, ...]


def read_header(path: Path) -> ArchiveHeader:
    """The header alone. Refuses by name what is not an archive that can be restored: raises Invalid for another kind of
    file or version, Damaged for an empty or cut one, NotFound when there is none."""
    with _open(path) as file:
        return _Reader(file, path).header()


def read(path: Path, *, called: str = "", most_contents: int = _LONGEST) -> Archive:
    """Header and table of contents; refuses like `read_header`.

    `called` is the name for refusals where the file's own says nothing. `most_contents` are the bytes that the table of
    contents may have: it is kept in memory, and in a file of a stranger it could be as long as the file.
    """
    with _open(path) as file:
        reader = _Reader(file, path, called=called, most_contents=most_contents)
        header = reader.header()
        return Archive(header, tuple(reader.entries()))


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound(say("There is no archive %(name)s.", name=path.name)) from error


class _Reader:
    def __init__(self, file: BinaryIO, path: Path, *, called: str = "", most_contents: int = _LONGEST) -> None:
        self._file, self._name = file, called or path.name
        self._left, self._most_contents = most_contents, most_contents
        self._size = path.stat().st_size
        self._version = (1, 0)
        self._int_size, self._offset_size = 4, 8

    def header(self) -> ArchiveHeader:
        beginning = self._file.read(512)
        if not beginning.startswith(MAGIC):
            raise _not_an_archive(self._name, beginning)
        self._file.seek(len(MAGIC))
        major, minor, _revision = self._bytes(3)
        self._version = (major, minor)
        if self._version > NEWEST:
            raise Invalid(
                say("%(name)s was written in the archive format %(version)s, by a pg_dump that is newer than 18.",
                    name=self._name, version=f"{major}.{minor}"),
                advice=say("It needs pg_restore 19 or newer, and a newer pghaven. Or dump again with pg_dump 18."),
            )  # fmt: skip
        if self._version < OLDEST:
            raise Invalid(
                say("%(name)s was written in the archive format %(version)s, which is too old.",
                    name=self._name, version=f"{major}.{minor}"),
                advice=say("Restore it with the PostgreSQL of its time, and take a backup of that."),
            )  # fmt: skip
        self._int_size, self._offset_size, layout = self._bytes(3)
        if not 1 <= self._int_size <= 32 or not 1 <= self._offset_size <= 32:
            raise self._damaged()
        if layout != _CUSTOM:
            raise Invalid(
                say("%(name)s is part of an archive in another of pg_dump's formats.", name=self._name),
                advice=say("pghaven restores the custom format: pg_dump -Fc."),
            )
        return self._rest_of_header()

    def _rest_of_header(self) -> ArchiveHeader:
        if self._version >= (1, 15):
            number = self._bytes(1)[0]
            if number >= len(_ALGORITHMS):
                raise self._damaged()
            compression = _ALGORITHMS[number]
        else:
            compression = "gzip" if self._int() else "none"
        second, minute, hour, day, month, year, _summer = (self._int() for _ in range(7))
        try:
            created_at = datetime(year + 1900, month + 1, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            created_at = None
        return ArchiveHeader(
            version=self._version,
            compression=compression,
            created_at=created_at,
            dbname=self._text() or "",
            server_version=self._text() or "",
            dump_version=self._text() or "",
        )

    def entries(self) -> Iterator[Entry]:
        for _ in range(self._int()):
            yield self._entry()

    def _entry(self) -> Entry:
        version = self._version
        dump_id = self._int()
        has_data = self._int() != 0
        self._text(), self._text()  # the catalogue's oid and the object's
        name, kind = self._text() or "", self._text() or ""
        section = self._int() if version >= (1, 11) else 0
        definition = self._text() or ""
        self._text(), self._text()  # DROP, COPY
        schema = self._text() or ""
        self._text()  # tablespace
        if version >= (1, 14):
            self._text()  # access method
        if version >= (1, 16):
            self._int()  # relkind
        owner = self._text() or ""
        self._text()  # WITH OIDS, of old
        depends_on = []
        while (number := self._text()) is not None:
            depends_on.append(int(number) if number.isascii() and number.isdigit() else 0)
        self._bytes(1 + self._offset_size)  # where its data is
        return Entry(
            dump_id=dump_id,
            kind=kind,
            schema=schema,
            name=name,
            owner=owner,
            definition=definition,
            section=_SECTIONS.get(section, ""),
            has_data=has_data,
            depends_on=tuple(depends_on),
        )

    def _bytes(self, count: int) -> bytes:
        if count > min(_LONGEST, self._size):
            raise self._damaged()
        self._left -= count
        if self._left < 0:
            raise Invalid(
                say("The table of contents of %(name)s has more than %(most_bytes)s.",
                    name=self._name, most_bytes=self._most_contents),
                advice=say("Restore it by hand with pg_restore, and take a backup of that."),
            )  # fmt: skip
        read = self._file.read(count)
        if len(read) < count:
            raise self._damaged()
        return read

    def _int(self) -> int:
        raw = self._bytes(1 + self._int_size)
        value = int.from_bytes(raw[1:], "little")
        return -value if raw[0] else value

    def _text(self) -> str | None:
        length = self._int()
        return None if length < 0 else self._bytes(length).decode(errors="replace")

    def _damaged(self) -> StorageError:
        return Damaged(
            say("%(name)s ends or breaks off inside its table of contents.", name=self._name),
            advice=say("The file was cut or damaged. Use another backup, or copy it here again."),
        )


def _not_an_archive(name: str, beginning: bytes) -> StorageError:
    if not beginning:
        return Damaged(say("%(name)s is empty.", name=name), advice=say("Use another backup."))
    if MAGIC.startswith(beginning):
        return Damaged(say("%(name)s holds only %(count)s bytes.", name=name, count=len(beginning)))
    return Invalid(
        say("%(name)s is not an archive of pg_dump: %(reason)s", name=name, reason=_what_it_is(beginning)),
        advice=say("pghaven restores the custom format: pg_dump -Fc."),
    )


def _what_it_is(beginning: bytes) -> Message:
    for magic, kind in _OTHERS:
        if beginning.startswith(magic):
            return say("it is a compressed file (%(kind)s).", kind=kind)
    if beginning[257:262] == b"ustar":
        return say("it is a tar archive.")
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return say("it is a web page.")
    if b"postgresql database" in text or text.startswith((b"--", b"set ", b"create ", b"/*", b"begin", b"insert ")):
        return say("it is plain SQL.")
    return say("it does not begin with PGDMP.")
