"""Puts the rows of an archive into their table again: all that are missing, or, where anything fails, none."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from storage.clock import Clock
from storage.databases.profile import DatabaseProfile
from storage.destinations import encryption
from storage.destinations.registry import Destinations
from storage.destinations.store import Store
from storage.errors import Damaged, Denied, Message, say
from storage.jobs.context import JobContext
from storage.jobs.model import Progress
from storage.jobs.turns import turn
from storage.locks.filelocks import FileLocks
from storage.logs.cleanup import archiving, rows, statistics
from storage.logs.cleanup.archive import HERE, ArchiveFormat, LogArchive, LogArchives
from storage.logs.cleanup.target import LogTarget
from storage.postgres.connection import connect, describe
from storage.postgres.snapshot import Session
from storage.postgres.watchdog import patiently
from storage.secret import Secret
from storage.staging import Staging

APPLICATION = "pghaven log archive"
_SETTINGS = "-c TimeZone=UTC -c DateStyle=ISO -c lock_timeout=10s"
_PIECE = 1 << 18

STEPS: tuple[tuple[str, Message], ...] = (
    ("check", say("Read the archive")),
    ("rows", say("Put the rows back")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PuttingBack:
    archives: LogArchives
    destinations: Destinations
    staging: Staging
    locks: FileLocks
    clock: Clock
    profile_of: Callable[[str], DatabaseProfile]
    find: Callable[[Session, LogArchive], LogTarget]

    def run(self, context: JobContext, *, identity: Secret | None) -> None:
        context.plan(STEPS)
        archive = self.archives.get(str(context.job.parameters["archive_id"]))
        context.result(archive_id=archive.archive_id, table=archive.table)
        with turn(self.locks, context), self.staging.work(context.job.job_id) as folder:
            context.step("check")
            path = self._file(context, archive, folder, identity)
            context.step("rows")
            inserted = self._insert(context, archive, path)
        at = self.clock()
        self.archives.change(
            archive.archive_id,
            lambda one: one.with_(put_back_at=at, put_back_rows=one.put_back_rows + inserted),
        )
        context.result(rows=inserted, skipped=archive.rows - inserted)
        context.log(f"{inserted} rows put back into {archive.table}, {archive.rows - inserted} were there")

    def _file(self, context: JobContext, archive: LogArchive, folder: Path, identity: Secret | None) -> Path:
        """The archive as plain gzip, equal to what was written."""
        if archive.destination == HERE:
            path = archiving.check_here(self.archives, archive, context.checkpoint)
        else:
            path = folder / "fetched"
            store = Store(self.destinations.get(archive.destination))
            store.fetch(archive.key, path, watch=context.checkpoint)
            archiving.check(archive, path, context.checkpoint)
        if not archive.encrypted:
            return path
        if identity is None:
            raise Denied(
                say("This archive is encrypted, and no key was given to read it."),
                advice=say("Run: pghaven logs put-back ID --identity FILE, with the file of the secret key."),
            )
        encryption.decrypt(path, folder / "decrypted", identity.reveal, watch=context.checkpoint)
        return folder / "decrypted"

    def _insert(self, context: JobContext, archive: LogArchive, path: Path) -> int:
        connection = self.profile_of(archive.database).connection
        try:
            with connect(connection, application=APPLICATION, options=_SETTINGS) as session:
                target = self.find(session, archive)
                columns = rows.chosen(rows.fields(session, target), archive.columns, archive.table)
                with session.transaction():
                    return patiently(
                        session,
                        lambda: _load(session, context, archive, target, columns, path),
                        watch=context.checkpoint,
                    )
        except psycopg.Error as error:
            raise describe(error, doing=say("The rows could not be put back.")) from error


def _load(
    session: Session,
    context: JobContext,
    archive: LogArchive,
    target: LogTarget,
    columns: tuple[rows.Field, ...],
    path: Path,
) -> int:
    session.execute(rows.stage(target, columns))
    if archive.form is ArchiveFormat.NDJSON:
        session.execute(rows.LINES)
    with session.cursor() as cursor, cursor.copy(rows.copy_in(columns, archive.form)) as copy:
        try:
            with path.open("rb") as packed, gzip.GzipFile(fileobj=packed) as file:
                while piece := file.read(_PIECE):
                    copy.write(piece)
                    total = archive.bytes * 2
                    context.report(Progress(step="rows", done=packed.tell(), total=total, item=archive.table))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Damaged(say("The archive cannot be read to its end."), words=str(error)) from error
    if archive.form is ArchiveFormat.NDJSON:
        session.execute(rows.take_apart(columns))
    return _merge(session, target, columns)


def _merge(session: Session, target: LogTarget, columns: tuple[rows.Field, ...]) -> int:
    """Insert what is missing, and take it off the sums; returns how many rows came back."""
    daily = statistics.of(target)
    if daily is not None and not statistics.is_there(session, daily):
        daily = None
    if daily is not None:
        session.execute(daily.merge())
    insert = rows.put_back(target, columns, rows.keys(session, target))
    if daily is None:
        statement = sql.SQL("WITH come AS ({} RETURNING true) SELECT count(*) FROM come").format(insert)
    else:
        statement = sql.SQL("WITH come AS ({insert} RETURNING {values}), {groups}, less AS ({less}) {totals}").format(
            insert=insert,
            values=daily.returned(),
            groups=daily.groups(sql.Identifier("come")),
            less=daily.take_away(),
            totals=statistics.TOTALS,
        )
    row = session.execute(statement).fetchone()
    if daily:
        session.execute(daily.forget_empty())
    assert row is not None
    return int(row[0])
