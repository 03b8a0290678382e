"""`pghaven backups`: take, list, show, verify, prove, and a copy of an archive for elsewhere."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click

from storage.backups.copies import Copy, CopyState
from storage.backups.proof import Outcome
from storage.backups.record import BackupRecord, BackupState, Brought
from storage.errors import Conflict, Damaged, Denied, NotFound, StorageError, Unavailable, say
from storage.identifiers import checked_name
from storage.opening import Storage
from storage.proofs import certificate
from webapp.cli import answers, foreground, refusals
from webapp.cli.audited import audited
from webapp.cli.program import opened

_CHUNK = 1 << 20


@click.group()
def backups() -> None:
    """Take backups, verify them, look at them."""


@backups.command()
@click.argument("name")
@click.option("--no-logs", is_flag=True, help="Leave out the rows of log tables; their structure is kept.")
@click.option("--no-digests", is_flag=True, help="Count rows only, without a digest of their content. Faster.")
@answers.with_json
def take(name: str, no_logs: bool, no_digests: bool, as_json: bool) -> int:
    """Take a backup of the database NAME now, and verify it.

    Ctrl-C ends it and leaves nothing behind. If the same backup is already being taken, it is watched instead.
    """
    with opened(may_make=True) as storage:
        job, ours = storage.backups.take(
            name, no_logs=no_logs, digests=False if no_digests else None, by=answers.who(), background=False
        )
        audited(storage, "backup_requested", name, job=job.job_id, no_logs=no_logs)
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        record = storage.backups.catalog.get(job.result["backup_id"])
        return _taken(storage, record, as_json=as_json)


@backups.command("list")
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@answers.with_json
def list_(name: str | None, limit: int | None, as_json: bool) -> None:
    """List backups, newest first; of the database NAME alone, or of all. Erased ones are in the browser's history."""
    with opened() as storage:
        catalog = storage.backups.catalog
        found = [record for record in catalog.find(database=name) if record.state is not BackupState.ERASED][:limit]
        if name and not found:
            storage.databases.get(name)  # a name that nobody knows is a mistake, not an empty list
        found = [catalog.check_file(record) for record in found]
        if as_json:
            return answers.document([_facts(storage, record) for record in found])
    if not found:
        return answers.line("No backups yet. To take one: pghaven backups take NAME")
    rows = [
        (
            record.backup_id,
            record.database,
            record.state.value,
            answers.moment(record.started_at),
            answers.size(record.bytes) if record.bytes else "–",
            f"{record.rows:,}" if record.tables else "–",
            answers.seconds(record.seconds),
            "uploaded" if not record.ours else "no logs" if record.no_logs else "",
        )
        for record in found
    ]
    headings = ("ID", "DATABASE", "STATE", "TAKEN", "SIZE", "ROWS", "TOOK", "")
    return answers.table(headings, rows, right=("SIZE", "ROWS", "TOOK"))


@backups.command()
@click.argument("backup_id", metavar="ID")
@answers.with_json
def show(backup_id: str, as_json: bool) -> None:
    """Show everything recorded of one backup, with its tables."""
    with opened() as storage:
        record = storage.backups.catalog.check_file(storage.backups.catalog.get(backup_id))
        facts = _facts(storage, record)
    if as_json:
        return answers.document(facts)
    lines = (
        ("Backup", record.backup_id),
        ("Database", f"{record.database} ({record.source.database}, PostgreSQL {record.source.server_version})"),
        ("State", record.state.value),
        (
            "Taken" if record.ours else "Uploaded",
            f"{answers.moment(record.started_at)} by {record.taken_by}, in {answers.seconds(record.seconds)}",
        ),
        ("Archive", facts["archive"] or "–"),
        ("Size", f"{answers.size(record.bytes)} ({record.bytes} bytes)"),
        ("SHA-256", record.sha256 or "–"),
        ("Made with", f"{record.program}, {record.compression}" if record.program else "–"),
        ("Verified", _verified(record)),
        ("Job", record.job_id),
    )
    for heading, value in lines:
        answers.line(f"{heading:<10}{value}")
    for one in record.copies:
        answers.line(f"{'Copy':<10}{one.destination}: {_copy(one)}")
    if record.brought:
        _print_brought(record.brought)
    if record.error:
        answers.line(refusals.in_words(dict(record.error)))
    if record.tables:
        answers.line("")
        rows = [
            (name, "left out" if one.left_out else f"{one.rows:,}", answers.size(one.bytes), one.digest or "–")
            for name, one in sorted(record.tables.items())
        ]
        answers.table(("TABLE", "ROWS", "SIZE", "DIGEST"), rows, right=("ROWS", "SIZE"))
    return None


@backups.command()
@click.argument("backup_id", metavar="ID")
@click.option(
    "--at", metavar="DESTINATION", default="", help="The copy there instead, whether the archive is here or not."
)
@answers.with_json
def verify(backup_id: str, at: str, as_json: bool) -> int:
    """Compare an archive with its checksum and read it in full."""
    with opened() as storage:
        if at:
            return _verify_copy(storage, backup_id, at, as_json=as_json)
        catalog = storage.backups.catalog
        job, ours = storage.backups.verify(backup_id, by=answers.who(), background=False)
        audited(storage, "backup_verify_requested", backup_id, database=job.database, job=job.job_id)
        job = foreground.carry_out(storage, job, ours=ours)
        record = catalog.get(backup_id)
        # What was found is in the record, whether the job counts a damaged archive as its own failure or not.
        if record.verified and not record.good and not (job.error and job.error["kind"] == "JobCancelled"):
            return answers.refuse(_not_good(record), as_json=as_json, backup=_facts(storage, record))
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        if as_json:
            answers.document(_facts(storage, record))
        else:
            answers.line(f"{record.backup_id} is good: {_verified(record)}.")
    return refusals.DONE


def _verify_copy(storage: Storage, backup_id: str, destination: str, *, as_json: bool) -> int:
    job, ours = storage.copying.verify(backup_id, destination, by=answers.who(), background=False)
    audited(storage, "backup_copy_requested", backup_id, destination=destination, job=job.job_id)
    job = foreground.carry_out(storage, job, ours=ours)
    if code := foreground.answer_for(job, as_json=as_json):
        return code
    if as_json:
        answers.document(_facts(storage, storage.backups.catalog.get(backup_id)))
    else:
        answers.line(f"The copy of {backup_id} at {destination} was read in full, and is as it was written.")
    return refusals.DONE


@backups.command()
@click.argument("backup_id", metavar="ID")
@answers.with_json
def prove(backup_id: str, as_json: bool) -> int:
    """Restore a backup into a throw-away database and compare every table with what was counted when it was taken.

    Neither the archive nor the database that it is of is touched. With --json, the answer is the certificate.
    """
    with opened() as storage:
        job, ours = storage.proofs.prove(backup_id, by=answers.who(), background=False)
        audited(storage, "backup_prove_requested", backup_id, database=job.database, job=job.job_id)
        job = foreground.carry_out(storage, job, ours=ours)
        if code := foreground.answer_for(job, as_json=as_json):
            return code
        record = storage.backups.catalog.get(backup_id)
        assert record.proof is not None
        if as_json:
            answers.document(certificate.signed(record, record.proof))
            return refusals.DONE
        answers.line(
            f"{backup_id} is proven{'' if record.proof.outcome is Outcome.WHOLE else ' in part'}: "
            f"{record.proof.tables} tables, {record.proof.rows} rows, in {record.proof.seconds:.1f} s "
            f"on PostgreSQL {record.proof.server_version} with {record.proof.program}."
        )
        for message in record.proof.missing:
            answers.line(f"Not proven: {message}")
        for table in record.proof.without:
            answers.line(f"Not compared: {table}")
    return refusals.DONE


@backups.command()
@click.argument("backup_id", metavar="ID")
@click.option("-o", "--output", default="", metavar="FILE", help="Where to; - is standard output.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@answers.with_json
def download(backup_id: str, output: str, force: bool, as_json: bool) -> None:
    """Copy an archive to FILE (its own name in this folder by default), comparing the checksum on the way.

    FILE appears whole or not at all. It is in pg_dump's custom format: pg_restore reads it anywhere.
    """
    if output == "-" and as_json:
        raise click.UsageError("--json and an archive on standard output exclude each other.")
    with opened() as storage:
        record = storage.backups.catalog.get(backup_id)
        source = storage.backups.catalog.good_archive(record)
        audited(storage, "backup_downloaded", backup_id, database=record.database, bytes=record.bytes)
        if output == "-":
            _copy_checked(source, sys.stdout.buffer, record)
            return None
        target = Path(output or source.name).absolute()
        if target.is_dir():
            target = target / source.name
        _copy_whole(source, target, record, force=force)
    if as_json:
        return answers.document(
            {"id": record.backup_id, "file": str(target), "bytes": record.bytes, "sha256": record.sha256}
        )
    return answers.line(f"{target} ({answers.size(record.bytes)}), SHA-256 {record.sha256}")


@backups.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--database", required=True, metavar="NAME", help="Of which database it is; it need not be registered.")
@answers.with_json
def upload(file: Path, database: str, as_json: bool) -> int:
    """Take in an archive that pghaven did not make: FILE, in pg_dump's custom format; - is standard input.

    It is copied, read in full and kept as a backup of NAME. Nothing of it is run before it is restored.
    """
    checked_name(database)
    with opened(may_make=True) as storage, _open(file) as source:
        size = os.fstat(source.fileno()).st_size if stat.S_ISREG(os.fstat(source.fileno()).st_mode) else None
        with storage.uploads.receive(expected=size, limited=False) as incoming:
            while chunk := source.read(_CHUNK):
                incoming.write(chunk)
            record = storage.uploads.publish(incoming, database=database, name=file.name, by=answers.who())
        audited(storage, "backup_uploaded", record.backup_id, database=database, bytes=record.bytes,
                sha256=record.sha256)  # fmt: skip
        if as_json:
            answers.document(_facts(storage, record))
            return refusals.DONE
    answers.line(f"{record.backup_id}: read in full and kept as a backup of {database}, {answers.size(record.bytes)}.")
    answers.line("pghaven did not make it: it has no manifest, and does not count as protecting the database.")
    return refusals.DONE


@contextmanager
def _open(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        with file.open("rb", buffering=0) as source:
            yield source
    except FileNotFoundError:
        raise NotFound(say("There is no file %(path)s.", path=str(file))) from None
    except PermissionError as error:
        raise Denied(say("%(path)s cannot be read: %(reason)s", path=str(file), reason=error.strerror or "")) from error


def _print_brought(brought: Brought) -> None:
    dumped = (
        f"{brought.dumped_at:%Y-%m-%d %H:%M:%S}, as the file says" if brought.dumped_at else "the file does not say"
    )
    answers.line(f"{'Dumped':<10}{dumped}")
    answers.line(f"{'File':<10}{brought.name}")
    answers.line("Not made by pghaven; no manifest. Tables with rows, not counted:")
    for name in brought.tables:
        answers.line(f"  {name}")


def _taken(storage: Storage, record: BackupRecord, *, as_json: bool) -> int:
    if as_json:
        answers.document(_facts(storage, record))
        return refusals.DONE
    answers.line(
        f"{record.backup_id}: {record.database} is backed up and verified, {answers.size(record.bytes)}, "
        f"{len(record.tables)} tables, {record.rows:,} rows, in {answers.seconds(record.seconds)}."
    )
    answers.line(str(storage.backups.catalog.archive_path(record)))
    return refusals.DONE


def _facts(storage: Storage, record: BackupRecord) -> dict[str, Any]:
    """A backup's JSON: its record, with the archive's whole path."""
    archive = str(storage.backups.catalog.archive_path(record)) if record.archive else None
    facts = record.to_json() | {"archive": archive, "rows": record.rows}
    del facts["format"]
    if record.verified:
        facts["verified"] = facts["verified"] | {"reason": str(record.verified.reason or "")}
    return facts | {"error": refusals.in_json(dict(record.error)) if record.error else None}


def _verified(record: BackupRecord) -> str:
    look = record.verified
    if look is None:
        return "not yet"
    if look.good:
        return f"checksum equal and read in full, {answers.moment(look.at)}"
    return f"found not good {answers.moment(look.at)}: {look.reason}"


def _copy(copy: Copy) -> str:
    if copy.state is CopyState.COMPLETE:
        return f"there, read back {answers.moment(copy.checked_at)}: {copy.key}"
    said = f"{copy.state.value}, {answers.moment(copy.at)}"
    if copy.error:
        said += f": {refusals.in_words(dict(copy.error))}"
    return f"{said}; tried again by itself {answers.moment(copy.again_at)}" if copy.again_at else said


def _not_good(record: BackupRecord) -> StorageError:
    return Damaged(
        say("The backup %(id)s is %(state)s and will not be used.", id=record.backup_id, state=record.state.value),
        effect=say("The databases are not affected."),
        words=str(record.verified.reason or "") if record.verified else "",
    )


def _copy_whole(source: Path, target: Path, record: BackupRecord, *, force: bool) -> None:
    if target.exists() and not force:
        raise Conflict(
            say("There is already a file %(path)s.", path=str(target)),
            advice=say("Name another file, or add --force to replace it."),
        )
    try:
        descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    except OSError as error:
        raise _not_written(target, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            _copy_checked(source, file, record)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        if isinstance(error, OSError):
            raise _not_written(target, error) from error
        raise


def _copy_checked(source: Path, target: IO[bytes], record: BackupRecord) -> None:
    seen = hashlib.sha256()
    with source.open("rb", buffering=0) as archive:
        while chunk := archive.read(_CHUNK):
            seen.update(chunk)
            target.write(chunk)
    if seen.hexdigest() != record.sha256:
        raise Damaged(
            say("The archive is not what was written: its SHA-256 is %(seen)s.", seen=seen.hexdigest()),
            effect=say("No copy was made."),
            advice=say("Run: pghaven backups verify %(id)s", id=record.backup_id),
        )


def _not_written(target: Path, error: OSError) -> Unavailable:
    free = shutil.disk_usage(target.parent).free if target.parent.is_dir() else 0
    return Unavailable(
        say("%(path)s could not be written: %(reason)s", path=str(target), reason=error.strerror or str(error)),
        effect=say("No copy was made."),
        advice=say("%(bytes)s bytes are free there.", bytes=free) if free else None,
    )
