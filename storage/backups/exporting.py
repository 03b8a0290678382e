"""A dump that goes straight to whoever asked for it and is kept nowhere: at the reader's pace, whole or broken off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psycopg

from storage.backups import dump_errors, manifest, preflight
from storage.clock import Clock
from storage.databases.probing import bounded_session
from storage.databases.profile import DatabaseProfile
from storage.errors import Conflict, StorageError, say
from storage.identifiers import new_id
from storage.jobs.store import JobStore
from storage.jobs.turns import lock_name
from storage.locks.filelocks import FileLocks
from storage.postgres import commands
from storage.postgres.connection import write_pass_file
from storage.postgres.process import Outflow, flowing
from storage.postgres.programs import Installation, for_export
from storage.postgres.watchdog import Watchdog
from storage.settings import Settings
from storage.staging import Staging

logger = logging.getLogger(__name__)

LOOK_SECONDS = 20


class Content(StrEnum):
    """What goes into an export, as claude-code-hub names it. Without their rows, log tables are still made."""

    FULL = "full"
    EXCLUDE_LOGS = "excludeLogs"
    LEDGER_ONLY = "ledgerOnly"

    @property
    def suffix(self) -> str:
        return {Content.FULL: "", Content.EXCLUDE_LOGS: "_no-logs", Content.LEDGER_ONLY: "_ledger-only"}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """Everything an export needs, wired once."""

    locks: FileLocks
    staging: Staging
    settings: Settings
    clock: Clock
    installations: Callable[[], Sequence[Installation]]
    profile_of: Callable[[str], DatabaseProfile]
    logs_among: Callable[[DatabaseProfile, Collection[str]], Collection[str]]

    def open(self, database: str, content: Content, *, by: str) -> Export:
        """Start the dump of a registered database and wait for its first bytes. The caller closes it.

        For the thread that reads it to its end, which pg_dump does not outlive. Raises LockHeld at once when somebody
        works on the database, Unreachable, or what keeps pg_dump from beginning.
        """
        export_id = new_id(self.clock())
        with ExitStack() as opened:
            opened.enter_context(
                self.locks.hold(lock_name(database), holder=f"export {export_id}" + (f" of {by}" if by else ""))
            )
            profile = self.profile_of(database)
            application = f"pghaven export {export_id}"
            # Held as a job's is, so that nobody sweeps the folder away.
            alive = JobStore.lock_name(export_id)
            opened.callback(self.locks.remove, alive)
            opened.enter_context(self.locks.hold(alive, holder=application))
            folder = opened.enter_context(self.staging.work(export_id))
            installation, without = self._look(profile, content, application)
            command = commands.dump_command(
                installation.program("pg_dump"),
                compression=commands.compression_for(installation.major, zstd=installation.zstd),
                snapshot="",
                lock_wait_seconds=self.settings.lock_wait_seconds,
                structure_only=without,
            )
            environment = profile.connection.environment(
                write_pass_file(folder, profile.connection), application=application
            )
            flow = opened.enter_context(flowing(command, environment={**environment, **installation.environment()}))
            export = Export(
                flow,
                database=database,
                role=profile.connection.user,
                folder=folder,
                file_name=file_name(self.clock().strftime("%Y-%m-%dT%H-%M-%S"), content),
                stall_seconds=self.settings.stall_seconds,
            )
            export.first = export.read()
            export.opened = opened.pop_all()
            return export

    def _look(
        self, profile: DatabaseProfile, content: Content, application: str
    ) -> tuple[Installation, list[tuple[str, str]]]:
        """The program for this server, and the tables that go without their rows.

        It is the server's own where it is here: who fetches a dump by a known address may have no other pg_restore.
        """
        with (
            dump_errors.named(self.staging.folder, role=profile.connection.user),
            bounded_session(profile.connection, application=application, seconds=LOOK_SECONDS) as session,
        ):
            manifest.prepare(session)
            session.execute("SELECT set_config('lock_timeout', %s, false)", (f"{self.settings.lock_wait_seconds}s",))
            source = preflight.read_source(session)
            try:
                tables = manifest.read_tables(session)
            except psycopg.errors.LockNotAvailable as error:  # even a table's size needs a lock
                raise Conflict(
                    say("A table is locked by another session."),
                    advice=say("Try again in a minute."),
                ) from error
            preflight.check_rights(tables, preflight.read_closed(session), role=profile.connection.user)
        installation = preflight.choose_program(self.installations(), source.server_major, choose=for_export)
        if content is Content.FULL:
            return installation, []
        logs = self.logs_among(profile, [table.full_name for table in tables])
        return installation, [(table.schema, table.name) for table in tables if table.full_name in logs]


class Export:
    """A dump under way. Holds the database's turn until it is closed."""

    first: bytes
    """The first piece, read already: the dump has begun."""
    opened: ExitStack

    def __init__(
        self, flow: Outflow, *, database: str, role: str, folder: Path, file_name: str, stall_seconds: float
    ) -> None:
        self._flow, self._role, self._folder, self._stall_seconds = flow, role, folder, stall_seconds
        self.database, self.file_name = database, file_name
        self.sent = 0
        self._told = False
        logger.info("export of %s begun", database, extra={"action": "pg_dump_start"})

    def read(self) -> bytes:
        """The next piece, at most a MiB; b"" at the end of a whole dump, and an exception at any other end."""
        watchdog = Watchdog(self._stall_seconds)
        try:
            with dump_errors.named(self._folder, role=self._role):
                chunk = self._flow.read(lambda: watchdog.look("waiting for pg_dump"))
        except StorageError:
            self._tell(logging.WARNING, "failed", "pg_dump_error")
            raise
        self.sent += len(chunk)
        if not chunk:
            self._tell(logging.INFO, "is whole", "pg_dump_complete")
        return chunk

    def end(self) -> None:
        """Have it fail, from any thread: its reader takes nothing any more."""
        self._flow.end()

    def close(self) -> None:
        """End pg_dump if it still runs, and let go of the database. Harmless when repeated."""
        self._tell(logging.INFO, "was broken off", "pg_dump_cancelled")
        self.opened.close()

    def _tell(self, level: int, how: str, action: str) -> None:
        """Say once how it ended."""
        if not self._told:
            self._told = True
            logger.log(level, "export of %s %s after %s bytes", self.database, how, self.sent, extra={"action": action})


def file_name(moment: str, content: Content) -> str:
    """As claude-code-hub names it: backup_2026-01-28T10-30-00_no-logs.dump."""
    return f"backup_{moment}{content.suffix}.dump"
