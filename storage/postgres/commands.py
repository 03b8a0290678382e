"""Argument lists of the client programs, as pure functions: constants, our own paths, quoted catalogue names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from storage.postgres.quoting import quoted


def compression_for(major: int, *, zstd: bool) -> str:
    """The fastest good codec that a pg_dump of this major has: zstd from 16 on where built in, otherwise gzip.

    Level 1 in both: the server's COPY is then the slower part, so that higher levels only cost time.
    """
    return "zstd:1" if zstd and major >= 16 else "gzip:1"


def dump_command(
    program: Path, *, compression: str, snapshot: str, lock_wait_seconds: int, structure_only: Iterable[tuple[str, str]]
) -> list[str]:
    """pg_dump in the custom format to standard output, at an exported snapshot or ('') at a moment of its own.

    `structure_only` are (schema, table) pairs as the catalogue has them. pg_dump 14 takes no codec name and would
    silently not compress, so gzip is asked for by number alone, which all know.
    """
    codec, _, level = compression.partition(":")
    return [
        str(program),
        "--format=custom",
        "--no-password",
        "--verbose",
        f"--compress={level if codec == 'gzip' else compression}",
        *([f"--snapshot={snapshot}"] if snapshot else []),
        f"--lock-wait-timeout={lock_wait_seconds * 1000}",
        *(f"--exclude-table-data={pattern(schema, table)}" for schema, table in structure_only),
    ]


def schema_command(program: Path, archive: Path, *, lock_wait_seconds: int) -> list[str]:
    """pg_dump of everything but rows, in the custom format and in UTF-8, into a file."""
    return [
        str(program),
        "--format=custom",
        "--schema-only",
        "--encoding=UTF8",
        "--no-password",
        f"--lock-wait-timeout={lock_wait_seconds * 1000}",
        f"--file={archive}",
    ]


def read_through_command(program: Path, archive: Path | None = None) -> list[str]:
    """pg_restore that decodes every byte of an archive, or of its standard input, and throws the SQL away."""
    return [str(program), "--file=/dev/null", *([str(archive)] if archive else [])]


def pattern(schema: str, table: str) -> str:
    """A pattern of pg_dump that matches exactly one table: quoted, so that no letter of the name means anything."""
    return ".".join(map(quoted, (schema, table)))
