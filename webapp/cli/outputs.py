"""Where a command writes a file: whole or not at all, and never over another one unasked."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

from storage.errors import Conflict, Denied, say
from webapp.cli import answers, refusals


def refuse_both(output: str, *, as_json: bool) -> None:
    """Standard output takes one thing at a time."""
    if output == "-" and as_json:
        raise click.UsageError("--json and a file on standard output exclude each other.")


def target(output: str, *, force: bool) -> Path | None:
    """The file that is to be written; None for standard output. Raises Conflict where there is one already, and Denied
    where none can be written, before anything is done for it."""
    if output == "-":
        return None
    path = Path(output).absolute()
    if path.exists() and not force:
        raise Conflict(
            say("%(file)s is there already.", file=str(path)),
            effect=say("Nothing was written."),
            advice=say("Name another file, or add --force."),
        )
    if path.is_dir():
        raise _not_writable(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> Denied:
    return Denied(
        say("%(file)s cannot be written: %(reason)s", file=str(path), reason=error.strerror or ""),
        effect=say("Nothing was written."),
    )


def hand_over(source: Path, path: Path | None) -> None:
    """Copy a finished file to where it was asked for, and remove it where it was made."""
    with source.open("rb") as file:
        if path is None:
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(descriptor, "wb") as copy:
                    shutil.copyfileobj(file, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
                os.replace(draft, path)
            except BaseException:
                Path(draft).unlink(missing_ok=True)
                raise
    shutil.rmtree(source.parent, ignore_errors=True)


def say_file(path: Path | None, *, rows: int, size: int, sha256: str, as_json: bool) -> int:
    if as_json:
        answers.document({"file": str(path), "rows": rows, "bytes": size, "sha256": sha256})
    elif path is None:
        answers.note(f"{rows:,} rows, {answers.size(size)}, SHA-256 {sha256}")
    else:
        answers.line(f"{path}: {rows:,} rows, {answers.size(size)}, SHA-256 {sha256}")
    return refusals.DONE
