"""What is at the beginning of an archive, and the refusals by name of what is none."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from storage.errors import Damaged, Invalid, NotFound, StorageError
from storage.postgres import archive


def number(value: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def text(value: str | None) -> bytes:
    return number(-1) if value is None else number(len(value.encode())) + value.encode()


def a_header(*, version: tuple[int, int] = (1, 16), compression: bytes = b"\x03", layout: int = 1) -> bytes:
    moment = b"".join(map(number, (5, 14, 13, 22, 10, 126, 0)))
    words = text("shop") + text("18.6 (Debian 18.6-1)") + text("18.6")
    return b"PGDMP" + bytes([*version, 0, 4, 8, layout]) + compression + moment + words


def an_entry(*, dump_id: int = 7, name: str = "users") -> bytes:
    return b"".join((
        number(dump_id), number(0), text("1259"), text("16386"), text(name), text("TABLE"), number(2),
        text("CREATE TABLE"), text("DROP TABLE"), text(None), text("public"), text(""), text("heap"), number(114),
        text("app"), text("false"), text("3"), text("4"), text(None), bytes(9),
    ))  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.dump"


def test_a_header_says_version_compression_server_program_database_and_time(file: Path) -> None:
    file.write_bytes(a_header())
    header = archive.read_header(file)
    assert (header.version, header.compression, header.dbname) == ((1, 16), "zstd", "shop")
    assert (header.server_version, header.server_major, header.dump_version) == ("18.6 (Debian 18.6-1)", 18, "18.6")
    assert header.created_at is not None
    assert header.created_at.isoformat() == "2026-11-22T13:14:05+00:00"


@pytest.mark.parametrize(
    ("version", "compression", "word", "needed"),
    [
        ((1, 14), number(-1), "gzip", 12),
        ((1, 14), number(0), "none", 12),
        ((1, 15), b"\x01", "gzip", 16),
        ((1, 15), b"\x02", "lz4", 16),
        ((1, 16), b"\x00", "none", 17),
    ],
)
def test_the_client_that_is_needed_follows_from_the_version(
    file: Path, version: tuple[int, int], compression: bytes, word: str, needed: int
) -> None:
    file.write_bytes(a_header(version=version, compression=compression))
    header = archive.read_header(file)
    assert (header.compression, header.client_needed) == (word, needed)


def test_the_table_of_contents_names_kind_schema_name_and_owner(file: Path) -> None:
    file.write_bytes(a_header() + number(2) + an_entry() + an_entry(dump_id=8, name="a b"))
    first, second = archive.read(file).entries
    assert (first.dump_id, first.kind, first.schema, first.name, first.owner) == (7, "TABLE", "public", "users", "app")
    assert second.name == "a b"


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("a", "b")
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        made.addfile(tarfile.TarInfo("toc.dat"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", Damaged, "is empty"),
        (b"PGD", Damaged, "only 3 bytes"),
        (b"--\n-- PostgreSQL database dump\n--\n", Invalid, "plain SQL"),
        (b"SET statement_timeout = 0;\n", Invalid, "plain SQL"),
        (gzip.compress(b"--\n-- PostgreSQL database dump"), Invalid, "compressed file .gzip"),
        (_zip(), Invalid, "compressed file .zip"),
        (_tar(), Invalid, "tar archive"),
        (b"<!DOCTYPE html><title>Sign in</title>", Invalid, "web page"),
        (b"MZ\x00\x01", Invalid, "PGDMP"),
        (a_header(version=(1, 99)), Invalid, "pg_restore 19 or newer"),
        (a_header(version=(1, 3)), Invalid, "too old"),
        (a_header(layout=3), Invalid, "another of pg_dump's formats"),
        (a_header(compression=b"\x09"), Damaged, "breaks off"),
    ],
)
def test_what_is_no_archive_is_refused_by_name(
    file: Path, content: bytes, kind: type[StorageError], words: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(kind, match=words):
        archive.read_header(file)


def test_an_archive_cut_anywhere_in_its_header_or_contents_is_damaged(file: Path) -> None:
    whole = a_header() + number(1) + an_entry()
    for length in range(6, len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(Damaged):
            archive.read(file)


def test_a_length_that_no_file_could_hold_is_damage_and_takes_no_memory(file: Path) -> None:
    whole = a_header()
    file.write_bytes(whole[: whole.index(number(4) + b"shop")] + number(2**31 - 1) + b"shop")
    with pytest.raises(Damaged):
        archive.read_header(file)


def test_a_missing_archive_is_not_found(file: Path) -> None:
    with pytest.raises(NotFound):
        archive.read_header(file)
