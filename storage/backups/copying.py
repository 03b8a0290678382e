"""Copying archives to destinations, looking at the copies, and bringing archives back.

A copy that fails never makes the backup less good: it is noted in the record, and tried again with growing pauses.
Beside each copy lies the backup's record, from which `copies_found` rebuilds the catalog.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from storage import reserve
from storage.backups import copies
from storage.backups.catalog import Catalog, publish
from storage.backups.copies import Copy, CopyState, due_again
from storage.backups.preflight import check_space, disk_full
from storage.backups.record import BackupRecord, BackupState
from storage.backups.verify import file_sha256, installation_for, other_content, verify_archive
from storage.clock import Clock
from storage.destinations import encryption
from storage.destinations.destination import Destination
from storage.destinations.registry import Destinations
from storage.destinations.store import Store
from storage.errors import Conflict, Damaged, Denied, NotFound, StorageError, Unavailable, say
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobKind, Progress
from storage.jobs.runner import JobRunner
from storage.postgres.programs import Installation
from storage.secret import Secret
from storage.staging import Staging

logger = logging.getLogger(__name__)

COPIER = "copies"
"""Who asks for copies that nobody asked for, as their jobs name it."""


class Copying:
    def __init__(
        self,
        *,
        catalog: Catalog,
        destinations: Destinations,
        runner: JobRunner,
        staging: Staging,
        installations: Callable[[], Sequence[Installation]],
        clock: Clock,
    ) -> None:
        self.catalog, self.destinations, self.runner = catalog, destinations, runner
        self._staging, self._installations, self._clock = staging, installations, clock
        self._identities: dict[tuple[str, str], Secret] = {}
        """The secret keys that jobs were given; in memory alone."""
        runner.register(JobKind.COPY, self._copy)
        runner.register(JobKind.FETCH, self._fetch)

    # Asking

    def copy(self, backup_id: str, destination: str, *, by: str, background: bool = True) -> tuple[Job, bool]:
        """Ask for a copy; or, where it is there already, for reading it in full."""
        record = self.catalog.get(backup_id)
        self.destinations.get(destination)
        if not record.archive:
            raise Conflict(say("This backup has no archive to copy: it is %(state)s.", state=record.state.value))
        parameters = {"backup_id": backup_id, "destination": destination}
        return self.runner.request(
            JobKind.COPY, database=record.database, parameters=parameters, by=by, background=background
        )

    def verify(self, backup_id: str, destination: str, *, by: str, background: bool = True) -> tuple[Job, bool]:
        """Ask for the copy at a destination to be read in full, whether the archive is here or not. Raises NotFound
        where there is no good one."""
        _good_copy(self.catalog.get(backup_id), destination)
        return self.copy(backup_id, destination, by=by, background=background)

    def fetch(
        self, backup_id: str, destination: str, *, by: str, identity: Secret | None = None, background: bool = True
    ) -> tuple[Job, bool]:
        """Ask for an archive to be brought back; Conflict when the one that is here is good. `identity` is the secret
        key that opens an encrypted copy."""
        record = self.catalog.check_file(self.catalog.get(backup_id))
        if record.good:
            raise Conflict(say("The archive is here, and is as it was written."))
        self.destinations.get(destination)
        _good_copy(record, destination)
        # A key of an earlier job that never came to use it is forgotten here.
        self._identities.pop((backup_id, destination), None)
        if identity:
            self._identities[backup_id, destination] = identity
        parameters = {"backup_id": backup_id, "destination": destination}
        return self.runner.request(
            JobKind.FETCH, database=record.database, parameters=parameters, by=by, background=background
        )

    def look(self) -> None:
        """Ask for the copies that are missing: of backups that were taken since a destination was added, wherever they
        were taken, and of those whose last try failed and whose pause is over. Call it often."""
        now, destinations = self._clock(), self.destinations.all()
        if not destinations:
            return
        for record in self.catalog.find(states={BackupState.COMPLETE}):
            for destination in destinations:
                if destination.takes(record.database) and _is_due(record, destination, now):
                    self.copy(record.backup_id, destination.name, by=COPIER)

    # Doing

    def _copy(self, context: JobContext) -> None:
        context.plan((("copy", say("Copy the archive")), ("check", say("Read the copy back"))))
        record = self.catalog.get(str(context.job.parameters["backup_id"]))
        destination = self.destinations.get(str(context.job.parameters["destination"]))
        context.result(backup_id=record.backup_id, destination=destination.name)
        before = record.copy_at(destination.name)
        try:
            if before is not None and before.state is CopyState.COMPLETE:
                copy = before
            else:
                copy = self._written(context, record, destination, before)
            self._check(context, record, destination, copy)
        except StorageError as error:
            self._note_failure(record, destination, before, error)
            raise

    def _written(
        self, context: JobContext, record: BackupRecord, destination: Destination, before: Copy | None
    ) -> Copy:
        context.step("copy")
        path = self.catalog.good_archive(record)
        store = Store(destination)
        key = f"{record.database}/{path.name}"
        with self._staging.work(context.job.job_id) as folder:
            sha256 = record.sha256
            if destination.recipients:
                key += encryption.SUFFIX
                path = self._encrypted(context, path, folder / "encrypted", destination.recipients)
                sha256 = file_sha256(path, watch=context.checkpoint)
            size = path.stat().st_size
            store.put_file(key, path, watch=context.checkpoint, on_bytes=_reporter(context, "copy", size))
        context.log(f"{size} bytes written to {destination.name} as {key}")
        return Copy(
            destination=destination.name,
            state=CopyState.FAILED,
            key=key,
            bytes=size,
            sha256=sha256,
            encrypted=bool(destination.recipients),
            at=self._clock(),
            tries=before.tries if before is not None else 0,
        )

    def _check(self, context: JobContext, record: BackupRecord, destination: Destination, copy: Copy) -> None:
        context.step("check")
        store = Store(destination)
        try:
            found = store.sha256(
                copy.key, watch=context.checkpoint, on_bytes=_reporter(context, "check", copy.bytes, copy.bytes)
            )
        except NotFound as error:
            self._keep(record, self._damaged(copy))
            raise Damaged(
                say("The copy is no longer at %(name)s.", name=destination.name),
                effect=say("The backup itself is as it was."),
                advice=say("It is copied again by itself."),
            ) from error
        if found != copy.sha256:
            self._keep(record, self._damaged(copy))
            raise Damaged(
                say("The copy at %(name)s is not what was written.", name=destination.name),
                effect=say("The backup itself is as it was."),
                advice=say("It is copied again by itself."),
                words=str(other_content(found, copy.sha256)),
            )
        checked = copy.with_(state=CopyState.COMPLETE, checked_at=self._clock(), tries=0, error=None)
        if copy.state is not CopyState.COMPLETE:
            # Only now: a catalog that is rebuilt from there believes what stands beside a copy.
            store.put_bytes(copy.key + copies.RECORD, _beside(record, checked))
        self._keep(record, checked)
        context.log(f"SHA-256 of the copy equal to what was written: {found}")

    def _fetch(self, context: JobContext) -> None:
        context.plan((("fetch", say("Bring the archive back")), ("check", say("Read the archive back"))))
        context.step("fetch")
        record = self.catalog.get(str(context.job.parameters["backup_id"]))
        copy = _good_copy(record, str(context.job.parameters["destination"]))
        context.result(backup_id=record.backup_id)
        with self._staging.work(context.job.job_id) as folder:
            fetched = folder / "fetched"
            # An encrypted copy and what is in it lie side by side for a while.
            check_space(folder, copy.bytes + (record.bytes if copy.encrypted else 0))
            report = _reporter(context, "fetch", copy.bytes)
            Store(self.destinations.get(copy.destination)).fetch(
                copy.key, fetched, watch=context.checkpoint, on_bytes=report
            )
            if copy.encrypted:
                fetched = self._decrypted(context, fetched, folder / "archive")
            context.step("check")
            verification = verify_archive(
                fetched,
                sha256=record.sha256,
                size=record.bytes,
                installation=installation_for(record, tuple(self._installations())),
                clock=self._clock,
                watch=context.checkpoint,
            )
            if not verification.good:
                self._keep(record, copy.with_(state=CopyState.DAMAGED, checked_at=self._clock()))
                raise Damaged(
                    say("The copy at %(name)s is not what was written.", name=copy.destination),
                    effect=say("Nothing was brought back."),
                    words=str(verification.reason),
                )
            publish(fetched, self.catalog.archive_path(record))
        self.catalog.record_verification(record, verification)
        context.log(f"the archive is back from {copy.destination}, and is as it was written")

    def _encrypted(self, context: JobContext, source: Path, target: Path, recipients: Sequence[str]) -> Path:
        check_space(target.parent, source.stat().st_size)
        with _written_here(target):
            encryption.encrypt(source, target, recipients, watch=context.checkpoint)
        return target

    def _decrypted(self, context: JobContext, source: Path, target: Path) -> Path:
        job = context.job
        identity = self._identities.pop((str(job.parameters["backup_id"]), str(job.parameters["destination"])), None)
        if identity is None:
            raise Denied(
                say("This copy is encrypted, and no key was given to read it."),
                effect=say("Nothing was brought back."),
                advice=say("Run: pghaven backups fetch ID --identity FILE, with the file of the secret key."),
            )
        with _written_here(target):
            encryption.decrypt(source, target, identity.reveal, watch=context.checkpoint)
        source.unlink()
        return target

    def _damaged(self, copy: Copy) -> Copy:
        now = self._clock()
        return copy.with_(state=CopyState.DAMAGED, at=now, checked_at=now, tries=copy.tries + 1)

    def _keep(self, record: BackupRecord, copy: Copy) -> None:
        self.catalog.change(record.backup_id, lambda current: current.with_copy(copy))

    def _note_failure(
        self, record: BackupRecord, destination: Destination, before: Copy | None, error: StorageError
    ) -> None:
        if isinstance(error, Damaged):
            return  # noted where it was found
        copy = before or Copy(destination=destination.name, state=CopyState.FAILED)
        if copy.state is CopyState.COMPLETE:
            return  # that it could not be read now says nothing of it
        failed = copy.with_(state=CopyState.FAILED, at=self._clock(), tries=copy.tries + 1, error=error.to_json())
        self._keep(record, failed)


@contextmanager
def _written_here(path: Path) -> Iterator[None]:
    """Say of a disk of this machine that it is full, or cannot be written."""
    try:
        yield
    except OSError as error:
        if reserve.is_full(error):
            raise disk_full(path.parent, free=0, needed=1) from error
        raise Unavailable(
            say("%(path)s could not be written: %(reason)s", path=str(path), reason=error.strerror or str(error))
        ) from error


def _is_due(record: BackupRecord, destination: Destination, now: datetime) -> bool:
    copy = record.copy_at(destination.name)
    if copy is None:
        # A backup's time is in whole seconds.
        return destination.added_at is None or record.started_at >= destination.added_at.replace(microsecond=0)
    return due_again(copy, now)


def _good_copy(record: BackupRecord, destination: str) -> Copy:
    copy = record.copy_at(destination)
    if copy is None or copy.state is not CopyState.COMPLETE:
        raise NotFound(say("There is no good copy of this backup at “%(name)s”.", name=destination[:80]))
    return copy


def _beside(record: BackupRecord, copy: Copy) -> bytes:
    return json.dumps(record.with_copy(copy).to_json(), ensure_ascii=False).encode()


def _reporter(context: JobContext, step: str, size: int, before: int = 0) -> Callable[[int], None]:
    """Reports of one of two readings of equal length."""

    def report(done: int) -> None:
        total = max(size * 2, 1)
        context.report(Progress(step=step, done=before + done, total=total, written=done, expected=size))

    return report
