"""Writes the rows that are to go into an archive first, at a destination or here, and reads it back.

The file is compressed with gzip. What is returned was read back whole, so that its rows may go.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from storage.audit import Audit
from storage.backups.verify import file_sha256, other_content
from storage.clock import to_text
from storage.destinations import encryption
from storage.destinations.registry import Destinations
from storage.destinations.store import Store
from storage.errors import Damaged, say
from storage.identifiers import new_id
from storage.jobs.context import JobContext
from storage.jobs.model import Progress
from storage.jsonfiles import sync_folder
from storage.logs.cleanup import rows
from storage.logs.cleanup.archive import HERE, ArchiveFormat, LogArchive, LogArchives
from storage.logs.cleanup.request import NOTHING_DELETED, CleanupRequest
from storage.logs.cleanup.target import LogTarget
from storage.postgres.snapshot import Session
from storage.postgres.watchdog import patiently
from storage.staging import Staging

FACTS = ".facts.json"
"""What is known of an archive lies beside it, for whoever finds it there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiver:
    archives: LogArchives
    destinations: Destinations
    staging: Staging
    audit: Audit

    def archive(
        self,
        context: JobContext,
        session: Session,
        target: LogTarget,
        request: CleanupRequest,
        condition: sql.Composable,
        *,
        destination: str,
        form: ArchiveFormat,
        expected: int,
    ) -> LogArchive:
        """Archive all rows of the condition as they are at one moment, and remember their versions in the session's
        temporary table. Raises Damaged when what was read back is not what was written."""
        archive_id = new_id(context.now())
        columns = rows.fields(session, target)
        with self.staging.work(context.job.job_id) as folder:
            path = folder / "rows"
            written = self._write(context, session, target, condition, columns, form, path, expected)
            key = f"logs/{context.job.database}/{_in_a_path(target.table)}_{archive_id}.{form.value}.gz"
            recipients = self.destinations.get(destination).recipients if destination else ()
            if recipients:
                key += encryption.SUFFIX
                encryption.encrypt(path, folder / "encrypted", recipients, watch=context.checkpoint)
                path = folder / "encrypted"
            archive = LogArchive(
                archive_id=archive_id,
                database=context.job.database,
                table=target.full,
                columns=tuple(field.name for field in columns),
                form=form,
                request=request.to_json(),
                rows=written,
                bytes=path.stat().st_size,
                sha256=file_sha256(path, watch=context.checkpoint),
                destination=destination,
                key=key,
                encrypted=bool(recipients),
                made_at=context.now(),
                made_by=context.job.requested_by,
                job_id=context.job.job_id,
            )
            self._publish(context, path, archive)
        self.archives.save(archive)
        self._receipt(archive)
        context.log(
            f"{archive.rows} rows archived in {archive.bytes} bytes as {archive.key} at {destination or 'home'},"
            f" SHA-256 {archive.sha256}, read back"
        )
        return archive

    def _write(
        self,
        context: JobContext,
        session: Session,
        target: LogTarget,
        condition: sql.Composable,
        columns: tuple[rows.Field, ...],
        form: ArchiveFormat,
        path: Path,
        expected: int,
    ) -> int:
        """The file, and the table of versions, both from one snapshot; returns how many rows."""

        def work() -> int:
            with session.transaction():
                session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                session.execute("SET LOCAL statement_timeout = 0")
                session.execute("SET LOCAL enable_seqscan = on")
                session.execute(rows.remember(target, condition))
                session.execute(sql.SQL("CREATE INDEX ON {} (number)").format(rows.ARCHIVED))
                row = session.execute(sql.SQL("SELECT count(*) FROM {}").format(rows.ARCHIVED)).fetchone()
                copied = _copy(session, rows.copy_out(target, condition, columns, form), path, report)
            assert row is not None
            if copied != row[0]:
                raise Damaged(
                    say("The archive has %(copied)s rows, and %(rows)s were to be archived.", copied=copied,
                        rows=row[0]),
                    effect=NOTHING_DELETED,
                )  # fmt: skip
            return copied

        def report(done: int) -> None:
            # Not as rows: those are the ones that are gone.
            context.report(Progress(step="archive", done=done, total=max(expected, 1) * 2, item=target.full))

        return patiently(session, work, watch=context.checkpoint)

    def _publish(self, context: JobContext, path: Path, archive: LogArchive) -> None:
        facts = json.dumps(archive.to_json(), ensure_ascii=False, indent=1).encode()
        if archive.destination == HERE:
            place = self.archives.path(archive)
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.replace(path, place)
            place.with_name(place.name + FACTS).write_bytes(facts)
            sync_folder(place.parent)
            found = file_sha256(place, watch=context.checkpoint)
        else:
            store = Store(self.destinations.get(archive.destination))
            store.put_file(archive.key, path, watch=context.checkpoint)
            store.put_bytes(archive.key + FACTS, facts)
            found = store.sha256(archive.key, watch=context.checkpoint)
        if found != archive.sha256:
            raise Damaged(
                say("What was read back of the archive is not what was written."),
                effect=NOTHING_DELETED,
                words=str(other_content(found, archive.sha256)),
            )

    def _receipt(self, archive: LogArchive) -> None:
        """The audit log says what was archived, before anything is deleted."""
        self.audit.record(
            "log_rows_archived",
            actor=archive.made_by,
            subject=archive.archive_id,
            database=archive.database,
            table=archive.table,
            rows=archive.rows,
            bytes=archive.bytes,
            sha256=archive.sha256,
            destination=archive.destination or "here",
            key=archive.key,
            at=to_text(archive.made_at),
        )


def _in_a_path(table: str) -> str:
    """What a table is called, of letters that lead nowhere: it may be called anything, ../x too."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", table)


def _copy(session: Session, statement: sql.Composed, path: Path, report: Callable[[int], None]) -> int:
    """Compress what COPY sends into a new file that survives a power cut; returns how many rows there were."""
    copied = 0
    with path.open("xb") as file:
        with (
            gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed,
            session.cursor() as cursor,
        ):
            with cursor.copy(statement) as copy:
                for piece in copy:
                    packed.write(piece)
                    copied += 1
                    if copied % 5000 == 0:
                        report(copied)
            total = cursor.rowcount
        file.flush()
        os.fsync(file.fileno())
    return total


def check_here(archives: LogArchives, archive: LogArchive, watch: Callable[[], None]) -> Path:
    """The file of an archive in the data folder, equal to what was written. Raises Damaged where it is not."""
    path = archives.path(archive)
    if not path.exists():
        raise Damaged(say("The archive's file is not at its place: %(path)s", path=str(path)))
    check(archive, path, watch)
    return path


def check(archive: LogArchive, path: Path, watch: Callable[[], None]) -> None:
    found = file_sha256(path, watch=watch)
    if found != archive.sha256:
        raise Damaged(
            say("The archive is not what was written. It is not put back."),
            words=str(other_content(found, archive.sha256)),
        )
