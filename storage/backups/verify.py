"""Verifying an archive: its bytes are the ones that were written, and pg_restore can read every one of them.

Both are needed. The format has no checksum of its own, so a flipped bit may decode; and a checksum alone would also
bless an archive that was written wrong. Reading the table of contents (pg_restore --list) proves nothing.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from storage.backups.record import BackupRecord, Verification
from storage.clock import Clock
from storage.errors import Message, ProgramFailed, StorageError, Unavailable, say
from storage.postgres.commands import read_through_command
from storage.postgres.process import RunProgram, run_program
from storage.postgres.programs import Installation, for_restore

OnBytes = Callable[[int], None]

NOT_THERE = say("the file is not there")


def other_size(present: int, written: int) -> Message:
    return say("the file has %(present)s bytes, %(written)s were written", present=present, written=written)


def other_content(found: str, written: str) -> Message:
    return say("the file's SHA-256 is %(found)s, %(written)s was written", found=found, written=written)


def not_decoded(error: ProgramFailed) -> Message:
    last = error.lines[-1] if error.lines else f"code {error.code}"
    return say("pg_restore cannot read it in full: %(words)s", words=last)


def unreadable(error: BaseException) -> Unavailable:
    """The refusal for an archive that is there, or may be, and cannot be read: nothing is known of its content."""
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return Unavailable(
        say("The archive could not be read: %(reason)s", reason=reason),
        advice=say("Look at the disk and at the rights of its folders, then try again."),
    )


def file_sha256(path: Path, *, watch: Callable[[], None] = lambda: None, on_bytes: OnBytes = lambda done: None) -> str:
    """SHA-256 of a file in hex, read in MiB pieces; `watch` may raise to end it, `on_bytes` gets the bytes so far."""
    hasher = hashlib.sha256()
    done = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
            done += len(chunk)
            on_bytes(done)
            watch()
    return hasher.hexdigest()


def verify_archive(
    path: Path,
    *,
    sha256: str,
    size: int,
    installation: Installation,
    clock: Clock,
    watch: Callable[[], None] = lambda: None,
    on_bytes: OnBytes = lambda done: None,
    run: RunProgram = run_program,
) -> Verification:
    """Look at an archive in full. Says what is wrong in the answer; raises only for what is not the archive's fault:
    a program that cannot be started, a disk that cannot be read, and what `watch` raises."""
    started = time.monotonic()

    def answer(reason: Message | None = None) -> Verification:
        seconds = round(time.monotonic() - started, 3)
        return Verification(at=clock(), good=reason is None, seconds=seconds, reason=reason)

    try:
        present = path.stat().st_size
    except FileNotFoundError:
        return answer(NOT_THERE)
    except OSError as error:
        raise unreadable(error) from error
    if present != size:
        return answer(other_size(present, size))
    with _Hashing(path, on_bytes) as hashing:
        reading_error = read_through(path, installation, watch=watch, run=run)
        found = hashing.result(watch)
    if found != sha256:
        return answer(other_content(found, sha256))
    return answer(reading_error)


def installation_for(record: BackupRecord, installations: tuple[Installation, ...]) -> Installation:
    """The lowest program that can read a backup's archive. Raises Unavailable when there is none."""
    needs_zstd = record.compression.startswith("zstd")
    chosen = for_restore(
        installations, archive_format=record.archive_format or (1, 14), zstd=needs_zstd, target_major=99
    )
    if chosen is None:
        major = max(record.source.server_major, 16 if needs_zstd else 14)
        raise Unavailable(
            say("No pg_restore here can read this archive, which was made by %(program)s.", program=record.program),
            advice=say("Install it with: pghaven tools install %(major)s", major=major),
        )
    return chosen


def read_through(
    path: Path, installation: Installation, *, watch: Callable[[], None], run: RunProgram = run_program
) -> Message | None:
    """Have pg_restore decode every byte, carrying out nothing; why it could not, if so."""
    environment = {"PATH": os.defpath, "LC_ALL": "C", **installation.environment()}
    try:
        run(read_through_command(installation.program("pg_restore"), path), environment=environment, watch=watch)
    except ProgramFailed as error:
        return not_decoded(error)
    return None


class _Hashing:
    """SHA-256 of a file in a thread of its own, beside the decoding; ended with the block."""

    def __init__(self, path: Path, on_bytes: OnBytes) -> None:
        self._path, self._on_bytes = path, on_bytes
        self._digest = ""
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hashing", daemon=True)

    def __enter__(self) -> _Hashing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def result(self, watch: Callable[[], None]) -> str:
        while self._thread.is_alive():
            self._thread.join(0.1)
            watch()
        if self._error is not None:
            raise unreadable(self._error) from self._error
        return self._digest

    def _work(self) -> None:
        try:
            self._digest = file_sha256(self._path, watch=self._watch, on_bytes=self._on_bytes)
        except (OSError, StorageError) as error:
            self._error = error

    def _watch(self) -> None:
        if self._ended.is_set():
            raise StorageError(say("Ended."))
