"""The part of a take that happens at one moment of the database: the dump and the manifest, side by side.

What comes of it lies in the job's staging folder; `take` reads it back and publishes it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg import sql

from storage.backups import fingerprint, manifest, preflight
from storage.backups.manifest import Table
from storage.backups.progress import TakeProgress
from storage.backups.reading_back import ReadBack
from storage.backups.record import BackupRecord, SourceFacts, TableFacts
from storage.databases.profile import DatabaseProfile
from storage.errors import Conflict, StorageError, say, say_count, size_in_words
from storage.jobs.context import JobContext
from storage.postgres import commands
from storage.postgres.connection import connect, write_pass_file
from storage.postgres.copying import Copying, CopyMonitor
from storage.postgres.process import run_program
from storage.postgres.programs import Installation, newest_readable_format
from storage.postgres.snapshot import Session, export
from storage.postgres.watchdog import Pending, Watchdog, patiently
from storage.settings import Settings

Result = TypeVar("Result")

_TABLE_BEGINS = re.compile(r'dumping contents of table "(.+)"$')


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpRequest:
    """What is to be dumped, and what the dump may use."""

    profile: DatabaseProfile
    logs_among: Callable[[Collection[str]], Collection[str]] | None
    """Which of the tables are logs to be left out; None leaves nothing out."""
    installations: Sequence[Installation]
    settings: Settings
    archives: Path
    """Where the archive will be kept: the disk whose space counts."""
    last_size: int | None
    """Bytes of the last archive of the same kind."""
    folder: Path
    """The job's staging folder."""
    application: str
    """The name of our sessions on the server."""
    unhurried: bool = False
    """Whether to count after the dump and not beside it: the processors have something else to do as well."""


class Dump:
    """One dump and its manifest. `progress` and `reading` are there once it runs; reading back ends with the block."""

    progress: TakeProgress
    reading: ReadBack
    _installation: Installation
    _session: Session

    def __init__(self, request: DumpRequest, context: JobContext) -> None:
        self._request, self._context = request, context
        self._connection = request.profile.connection
        self._opened = ExitStack()
        self.archive = request.folder / "archive.dump"

    def __enter__(self) -> Dump:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def make(self, record: BackupRecord, session: Session) -> BackupRecord:
        """Dump and count; returns the record with everything that was found. `session` is at its moment."""
        self._session = session
        context, request = self._context, self._request
        watchdog = Watchdog(request.settings.stall_seconds)

        def watch() -> None:
            context.checkpoint()
            watchdog.look("waiting for the server")

        source, tables, closed = patiently(session, lambda: self._unlocked(self._look), watch=watch)
        self._installation = preflight.choose_program(request.installations, source.server_major)
        preflight.check_rights(tables, closed, role=self._connection.user)
        needed = preflight.space_needed(
            database_size=source.size, last_archive=request.last_size, reserve=request.settings.space_reserve
        )
        free = preflight.check_space(request.archives, needed)
        context.log(
            f"server {source.server_version}, pg_dump {self._installation.version}; "
            f"{size_in_words(free)} free, about {size_in_words(needed)} needed"
        )
        without = self._left_out(tables)
        snapshot = patiently(session, lambda: self._unlocked(lambda: self._hold(tables)), watch=watch)
        context.log(f"snapshot {snapshot} exported; the manifest counts in the same snapshot")
        self.progress = TakeProgress(
            tables, without=without, digests=request.profile.digests, expected_bytes=request.last_size
        )
        context.step(
            "dump", say_count("Dump %(count)s table", "Dump %(count)s tables", count=len(tables) - len(without))
        )
        with ExitStack() as counted:
            begin = partial(counted.enter_context, Pending(session, lambda: self._count(tables, without)))
            counting = None if request.unhurried else begin()
            compression, size, sha256 = self._run_dump(snapshot, tables, without)
            context.step("count")
            schema, facts = self._wait_for(counting or begin())
        context.report(self.progress.value("count"))
        return record.with_(
            bytes=size,
            sha256=sha256,
            program=f"pg_dump {self._installation.version}",
            compression=compression,
            archive_format=newest_readable_format(self._installation.major),
            snapshot=snapshot,
            source=source,
            schema_fingerprint=schema,
            tables=facts,
        )

    def _look(self) -> tuple[SourceFacts, tuple[Table, ...], preflight.Closed]:
        manifest.prepare(self._session)
        seconds = self._request.settings.lock_wait_seconds
        self._session.execute("SELECT set_config('lock_timeout', %s, false)", (f"{seconds}s",))
        # One process counts beside the one that dumps. Counting is the shorter of the two: helpers would only take the
        # processors from the dump, a tenth of the whole time on two, and more than these two from the applications.
        self._session.execute("SELECT set_config('max_parallel_workers_per_gather', '0', false)")
        session = self._session
        return preflight.read_source(session), manifest.read_tables(session), preflight.read_closed(session)

    def _left_out(self, tables: Sequence[Table]) -> frozenset[str]:
        if self._request.logs_among is None:
            return frozenset()
        logs = frozenset(self._request.logs_among([table.full_name for table in tables]))
        for name in sorted(logs):
            self._context.log(f"left out, structure kept: {name}")
        return logs

    def _hold(self, tables: Sequence[Table]) -> str:
        """Lock the tables against changes of their definition, as pg_dump will, and export the snapshot.

        Locking here first means that a table locked by somebody else is named, instead of a program that waits.
        """
        for table in tables:
            self._session.execute(lock_statement(table))
        return export(self._session)

    def _unlocked(self, work: Callable[[], Result]) -> Result:
        """Do some work; when a lock was waited for in vain, say whose. Even a table's size needs a lock."""
        try:
            return work()
        except psycopg.errors.LockNotAvailable as error:
            raise self._locked() from error

    def _locked(self) -> StorageError:
        row = None
        with (
            suppress(StorageError, psycopg.Error),
            connect(self._connection, application=self._request.application) as other,
        ):
            row = other.execute(_LOCK_HOLDER).fetchone()
        advice = say("Take the backup again when that session has ended. LOCK_WAIT_SECONDS sets how long to wait.")
        if row is None:
            return Conflict(say("A table is locked by another session."), advice=advice)
        table, holder, process, since = row
        return Conflict(
            say(
                "The table %(table)s is locked by another session: %(holder)s, process %(process)s, since %(since)s.",
                table=table,
                holder=holder,
                process=process,
                since=since,
            ),
            advice=advice,
        )

    def _count(self, tables: Sequence[Table], without: Collection[str]) -> tuple[str, dict[str, TableFacts]]:
        schema = fingerprint.read(self._session)
        facts = manifest.count_all(
            self._session,
            tables,
            without=without,
            digests=self._request.profile.digests,
            on_table=lambda table, found: self.progress.counted(table.full_name, found.rows),
        )
        return schema, facts

    def _run_dump(self, snapshot: str, tables: Sequence[Table], without: Collection[str]) -> tuple[str, int, str]:
        compression = commands.compression_for(self._installation.major, zstd=self._installation.zstd)
        command = commands.dump_command(
            self._installation.program("pg_dump"),
            compression=compression,
            snapshot=snapshot,
            lock_wait_seconds=self._request.settings.lock_wait_seconds,
            structure_only=[(table.schema, table.name) for table in tables if table.full_name in without],
        )
        environment = self._connection.environment(
            write_pass_file(self._request.folder, self._connection), application=self._request.application
        )
        hasher, size, lines, copied = hashlib.sha256(), 0, 0, ("", 0)
        watchdog = Watchdog(self._request.settings.stall_seconds)
        # pg_dump writes the names without quotes, so that two tables may have the same line; they come one by one.
        names: dict[str, list[str]] = {}
        for table in tables:
            names.setdefault(f"{table.schema}.{table.name}", []).append(table.full_name)

        def on_line(line: str) -> None:
            nonlocal lines
            lines += 1
            if (begins := _TABLE_BEGINS.search(line)) and (meant := names.get(begins[1])):
                self.progress.table_begins(meant.pop())
                self._context.log(line)
            elif "error" in line.lower() or "warning" in line.lower():
                self._context.log(line)

        def note(copying: Copying) -> None:
            nonlocal copied
            copied = (copying.table, copying.bytes)
            self.progress.copied(copying.table, copying.rows)

        def watch() -> None:
            self._context.checkpoint()
            watchdog.look((size, lines, copied))
            self._context.report(self.progress.value("dump"))

        with (
            open(self.archive, "xb", buffering=0, opener=_private) as file,
            CopyMonitor(self._connection, application=self._request.application, on_copying=note),
        ):
            self.reading = self._opened.enter_context(ReadBack(self.archive, self._installation))

            def on_output(chunk: bytes) -> None:
                nonlocal size
                write_all(file.fileno(), chunk)
                hasher.update(chunk)
                size += len(chunk)
                self.progress.written(size)

            run_program(
                command,
                environment={**environment, **self._installation.environment()},
                on_line=on_line,
                on_output=on_output,
                watch=watch,
            )
            os.fsync(file.fileno())
        self.reading.written(size)
        self.progress.dump_ended()
        return compression, size, hasher.hexdigest()

    def _wait_for(self, counting: Pending[Result]) -> Result:
        # The server works on one statement and sends nothing meanwhile: that it is alive is seen on another connection.
        watchdog = Watchdog(self._request.settings.stall_seconds)

        def watch() -> None:
            self._context.checkpoint()
            shown = self.progress.value("count")
            watchdog.look((monitor.answers, shown.done))
            self._context.report(shown)

        application = self._request.application
        with CopyMonitor(self._connection, application=application, on_copying=lambda copying: None) as monitor:
            return counting.wait(watch)


def lock_statement(table: Table) -> sql.Composed:
    return sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.Identifier(table.schema, table.name))


def _private(path: str, flags: int) -> int:
    # Readable by us alone, wherever it is copied to afterwards.
    return os.open(path, flags, 0o600)


def write_all(descriptor: int, chunk: bytes) -> None:
    """os.write until everything is written: on a disk that is nearly full it may take less than asked."""
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


_LOCK_HOLDER = """
SELECT n.nspname || '.' || c.relname, coalesce(nullif(a.application_name, ''), a.usename::text, '?'), a.pid,
       to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE l.granted AND l.mode = 'AccessExclusiveLock' AND c.relkind IN ('r', 'p') AND a.datname = current_database()
ORDER BY a.xact_start LIMIT 1
"""
