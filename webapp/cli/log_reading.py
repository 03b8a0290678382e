"""`pghaven logs session` and `logs probes`: what an application keeps of a session or of an endpoint, as a file."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import click

from storage.errors import Denied, say
from storage.logs import probe_query, probes, session_request
from webapp.cli import answers, outputs, refusals
from webapp.cli.audited import audited
from webapp.cli.program import opened


class Stream(Protocol):
    first: bytes

    def read(self) -> bytes: ...


@click.command("session")
@click.argument("name")
@click.argument("session_id", metavar="SESSION")
@click.option("--sequence", type=click.IntRange(1, 2**31 - 1), metavar="N", help="Only this request of the session.")
@click.option(
    "-o", "--output", metavar="FILE", help="Where to; - is standard output. Without it, a name of its own here."
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--with-secrets", is_flag=True, help="Leave keys and cookies as they are; without it they are masked.")
@answers.with_json
def session(
    name: str, session_id: str, sequence: int | None, output: str | None, force: bool, with_secrets: bool, as_json: bool
) -> int:
    """Write the requests of a session of the database NAME into FILE, as JSON: headers, body, special settings.

    A request is written as claude-code-hub exports it. Its details are in the application's session store for minutes
    only; of all requests, what the usage log has of them is written, too.
    """
    file = output or (
        session_request.whole_file_name(session_id)
        if sequence is None
        else session_request.file_name(session_id, sequence)
    )
    outputs.refuse_both(file, as_json=as_json)
    told = {"secrets": "shown"} if with_secrets else {}
    with opened() as storage:
        logs = storage.logs.sessions
        target = outputs.target(file, force=force)
        if sequence is None:
            with closing(logs.export_session(name, session_id, reveal=with_secrets)) as stream:
                size, checksum = _write(_pieces(stream), target)
            audited(storage, "session_exported", name, session=session_id, **told)
        else:
            document = logs.export_request(name, session_id, sequence, reveal=with_secrets)
            size, checksum = _write(iter([session_request.written(document).encode()]), target)
            audited(storage, "session_exported", name, session=session_id, sequence=sequence, **told)
    return _say(target, size=size, sha256=checksum, as_json=as_json)


@click.command("probes")
@click.argument("name")
@click.argument("endpoint", metavar="ENDPOINT")
@click.option(
    "-o", "--output", metavar="FILE", help="Where to; - is standard output. Without it, a name of its own here."
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--ok", is_flag=True, help="Only what went well.")
@click.option("--fail", is_flag=True, help="Only what failed.")
@click.option("--text", default="", help="In the status code or in the error.")
@click.option("--source", default="", help="What set the check off: scheduled, manual, runtime.")
@click.option("--from", "since", default="", metavar="TIME", help="From this time on: 2026-01-31, 2026-01-31T13:00.")
@click.option("--to", "until", default="", metavar="TIME", help="Before this time.")
@click.option("--days", is_flag=True, help="Say the day in every line.")
@answers.with_json
def probe_lines(
    name: str, endpoint: str, output: str | None, force: bool, ok: bool, fail: bool, text: str, source: str, since: str,
    until: str, days: bool, as_json: bool,
) -> int:  # fmt: skip
    """Write the checks of an endpoint, by its id in the application, into FILE: all that fulfil what is given.

    A line is [13:14:05] OK or FAIL, the status code, how long it took, what was wrong; in this instance's time zone.
    """
    if ok and fail:
        raise click.UsageError("--ok and --fail exclude each other: without either, all checks are written.")
    with opened() as storage:
        zone = storage.settings.time_zone
        wanted = probe_query.read(
            {
                "result": "ok" if ok else "fail" if fail else "",
                "text": text,
                "source": source,
                "from": since,
                "to": until,
            },
            zone=ZoneInfo(zone),
        )
        file = output or probes.file_name(storage.clock())
        outputs.refuse_both(file, as_json=as_json)
        target = outputs.target(file, force=force)
        with closing(storage.logs.probes.text(name, endpoint, wanted, zone=zone, days=days)) as stream:
            size, checksum = _write(_pieces(stream), target)
        audited(storage, "probes_exported", name, endpoint=endpoint, filter=wanted.to_query())
    return _say(target, size=size, sha256=checksum, as_json=as_json)


def _pieces(stream: Stream) -> Iterator[bytes]:
    yield stream.first
    while piece := stream.read():
        yield piece


def _write(pieces: Iterator[bytes], target: Path | None) -> tuple[int, str]:
    """Into a file that appears whole or not at all, or to standard output; returns bytes and SHA-256."""
    checksum, size = hashlib.sha256(), 0
    if target is None:
        for piece in pieces:
            checksum.update(piece)
            size += sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return size, checksum.hexdigest()
    try:
        descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise Denied(
            say("%(file)s cannot be written: %(reason)s", file=str(target), reason=error.strerror or ""),
            effect=say("Nothing was written."),
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                checksum.update(piece)
                size += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return size, checksum.hexdigest()


def _say(target: Path | None, *, size: int, sha256: str, as_json: bool) -> int:
    if as_json:
        answers.document({"file": str(target), "bytes": size, "sha256": sha256})
    elif target is None:
        answers.note(f"{answers.size(size)}, SHA-256 {sha256}")
    else:
        answers.line(f"{target}: {answers.size(size)}, SHA-256 {sha256}")
    return refusals.DONE
