"""Loading an archive into the empty database beside the target, with parallel jobs.

In one go where possible: pg_restore then makes the indexes of one table while another is still loading. Section by
section where functions have to be amended in between (`generated`), and where one table holds most of the rows: several
sessions then load it together (`parallel_copy`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.backups.record import BackupRecord
from storage.errors import ProgramFailed
from storage.jobs.context import JobContext
from storage.postgres import restoring, timeouts
from storage.postgres.archive import Archive, Entry
from storage.postgres.connection import Connection, connect, write_pass_file
from storage.postgres.copying import Copying, CopyMonitor
from storage.postgres.process import run_program
from storage.postgres.programs import Installation
from storage.postgres.quoting import full_name
from storage.postgres.watchdog import Watchdog, patiently
from storage.restores import facts, generated, parallel_copy
from storage.restores.archived_rows import Source
from storage.restores.parallel_copy import ParallelCopy
from storage.restores.progress import RestoreProgress

_KEPT_LINES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What is to be loaded, and what the load may use. `connection` leads to the database beside the target."""

    connection: Connection
    server_major: int
    installation: Installation
    path: Path
    archive: Archive
    backup: BackupRecord
    folder: Path
    """The job's staging folder."""
    jobs: int
    no_owner: bool
    no_privileges: bool
    stall_seconds: int
    application: str
    left_out: frozenset[int] = frozenset()
    """Dump ids of entries that are passed over."""


def load(request: LoadRequest, progress: RestoreProgress, context: JobContext) -> None:
    """Load everything. Raises what `restoring.explain` makes of pg_restore's errors."""
    called = generated.functions_called(request.archive.entries)
    entries = [entry for entry in request.archive.entries if entry.dump_id not in request.left_out]
    # What stands in the archive of a stranger goes through pg_restore alone; it has no manifest to tell sizes either.
    large = parallel_copy.dominating(entries, request.backup.tables, jobs=request.jobs) if request.backup.ours else None

    def note(copying: Copying) -> None:
        progress.copying(copying.table, copying.rows)

    with CopyMonitor(request.connection, application=request.application, on_copying=note) as monitor:
        loading = _Loading(request, progress, context, monitor)
        try:
            if called:
                loading.by_sections(called)
            elif large:
                loading.beside_large(large)
            else:
                loading.restore()
        except ProgramFailed as error:
            raise restoring.explain(error, loading.errors) from error
    progress.loaded()
    context.report(progress.value("load"))


def _has_cores_left(request: LoadRequest) -> bool:
    """Whether the server's machine has more cores than we have jobs; of another machine that is assumed."""
    return not facts.on_this_machine(request.connection) or (os.cpu_count() or 1) > request.jobs


class _Loading:
    def __init__(
        self, request: LoadRequest, progress: RestoreProgress, context: JobContext, monitor: CopyMonitor
    ) -> None:
        self._request, self._progress, self._context, self._monitor = request, progress, context, monitor
        self._watchdog = Watchdog(request.stall_seconds)
        self._large: ParallelCopy | None = None
        self._lines = 0
        self.errors: list[str] = []
        self._kinds = {entry.dump_id: entry for entry in request.archive.entries}
        self._options = restoring.options(
            workers_for_indexes=_has_cores_left(request), server_major=request.server_major
        )
        self._environment = {
            **request.connection.environment(
                write_pass_file(request.folder, request.connection),
                application=request.application,
                options=self._options,
            ),
            **request.installation.environment(),
        }

    def restore(self, *, sections: Sequence[str] = (), entries: Iterable[int] | None = None) -> None:
        """One run of pg_restore, of everything or a part."""
        request = self._request
        chosen = None
        if entries is None and request.left_out:
            entries = self._kinds
        if entries is not None:
            chosen = request.folder / "entries"
            wanted = (dump_id for dump_id in entries if dump_id not in request.left_out)
            chosen.write_text("".join(f"{dump_id};\n" for dump_id in wanted))
        command = restoring.restore_command(
            request.installation.program("pg_restore"),
            request.path,
            jobs=request.jobs,
            no_owner=request.no_owner,
            no_privileges=request.no_privileges,
            sections=sections,
            entries=chosen,
        )
        run_program(command, environment=self._environment, on_line=self._on_line, watch=self._watch)

    def beside_large(self, large: Entry) -> None:
        """The rows of one large table by sessions of our own, and beside them everybody else's by pg_restore."""
        request, name = self._request, full_name(large.schema, large.name)
        self.restore(sections=("pre-data",))
        with ParallelCopy(
            Source(
                entry=large,
                path=request.path,
                installation=request.installation,
                chosen=request.folder / "large",
            ),
            request.connection,
            sessions=request.jobs,
            application=request.application,
            options=self._options,
            on_rows=lambda rows: self._progress.copying(name, rows),
        ) as self._large:
            others = (dump_id for dump_id in self._kinds if dump_id != large.dump_id)
            self.restore(sections=("data",), entries=others)
            self._large.wait(self._watch)
        self._progress.finished(large.dump_id)
        self._context.log(f"table data {name} done, by {request.jobs} sessions")
        self.restore(sections=("post-data",))

    def by_sections(self, called: frozenset[generated.Function]) -> None:
        """Pre-data, data and post-data by themselves; the functions `called` have a search_path from the first to the
        last, and the tables whose generated columns call them come last and are made again."""
        request = self._request
        with connect(request.connection, application=request.application) as session:
            # It does nothing while pg_restore works.
            patiently(session, lambda: timeouts.lift(session), watch=self._watch)
            for chunk in generated.chunks(request.archive.entries, called):
                self.restore(sections=("pre-data",), entries=chunk)
                amended = patiently(session, lambda: generated.amend(session, called), watch=self._watch)
            self._context.log(
                f"{amended.functions} functions got a search_path for the load; "
                f"{len(amended.tables)} tables have generated columns that call them"
            )
            last = [
                entry.dump_id
                for entry in request.archive.entries
                if entry.kind == "TABLE DATA"
                and full_name(entry.schema, entry.name) in amended.tables | amended.checked
            ]
            if last:
                first = [entry.dump_id for entry in request.archive.entries if entry.dump_id not in last]
                self.restore(sections=("data",), entries=first)
                self.restore(sections=("data",), entries=last)
                patiently(
                    session,
                    lambda: generated.regenerate(session, amended, request.backup.tables, log=self._context.log),
                    watch=self._watch,
                )
            else:
                self.restore(sections=("data",))
            self.restore(sections=("post-data",))
            patiently(session, lambda: generated.take_back(session, called), watch=self._watch)

    def _on_line(self, line: str) -> None:
        self._lines += 1
        if (self.errors or restoring.IS_ERROR.match(line)) and len(self.errors) < _KEPT_LINES:
            self.errors.append(line)
        if (dump_id := restoring.finished_item(line)) is not None:
            self._progress.finished(dump_id)
            entry = self._kinds.get(dump_id)
            if entry and entry.kind in ("TABLE DATA", "INDEX", "CONSTRAINT"):
                self._context.log(f"{entry.kind.lower()} {entry.schema}.{entry.name} done")
        elif (dump_id := restoring.launched_item(line)) is not None:
            self._progress.launched(dump_id)
        elif "error" in line.lower() or "warning" in line.lower():
            self._context.log(line)

    def _watch(self) -> None:
        self._context.checkpoint()
        if self._large is not None:
            self._large.check()
        self._watchdog.look((self._monitor.answers, self._lines))
        self._context.report(self._progress.value("load"))
