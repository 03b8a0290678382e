"""Carries out what `retention` decides: after each good backup, every night, and when somebody asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from storage import jsonfiles
from storage.audit import Audit
from storage.backups import retention
from storage.backups.catalog import Catalog
from storage.backups.policies import Policies
from storage.backups.retention import Plan
from storage.backups.trash import Trash
from storage.clock import Clock, from_required_text, to_text
from storage.errors import Conflict, InvalidRecord, NotFound, StorageError, say
from storage.jobs.context import JobContext
from storage.jobs.model import Job, JobKind, JobState
from storage.jobs.runner import JobRunner

logger = logging.getLogger(__name__)

NIGHTLY = time(4)
"""In the zone of the instance: after the backups of the night."""


class Pruner:
    def __init__(
        self,
        *,
        catalog: Catalog,
        policies: Policies,
        trash: Trash,
        runner: JobRunner,
        audit: Audit,
        clock: Clock,
        zone: ZoneInfo,
        databases: Callable[[], Sequence[str]],
        at_terminal: Callable[[], bool],
        ran: Path,
    ) -> None:
        """`databases` are those that are looked after; the backups of others stay. `at_terminal` says whether nobody
        works off the queue here. `ran` is the file that remembers the last nightly run."""
        self.policies, self.trash, self._catalog = policies, trash, catalog
        self._runner, self._audit, self._clock, self._zone = runner, audit, clock, zone
        self._databases, self._at_terminal, self._ran = databases, at_terminal, ran
        runner.register(JobKind.PRUNE, self._prune)
        runner.on_end(self._after)

    def preview(self, database: str, *, at: datetime | None = None, look: bool = True) -> Plan:
        """What a run would do with a database's backups; now, or at a moment to come.

        `look=False` trusts the records, without a look at every archive. Raises InvalidRecord where nobody can tell.
        """
        records = self._catalog.find(database=database)
        if look:
            records = [self._catalog.check_file(record) for record in records]
        return retention.decide(
            retention.facts(records, in_use=self.trash.in_use(database)),
            self.policies.of(database),
            now=at or self._clock(),
            zone=self._zone,
            paused=retention.failing(records),
        )

    def tonight(self, database: str) -> Plan | None:
        """What the next nightly run would do, from the records alone; None where the policy cannot be read."""
        try:
            return self.preview(database, at=self.next_run(), look=False)
        except InvalidRecord as error:
            logger.error("retention of %s: %s", database, error)
            return None

    def next_run(self) -> datetime:
        """When the next nightly run is due."""
        now = self._clock()
        return max(now, self._night_after(self._last_run() or now))

    def run(
        self, database: str, *, by: str, only: Collection[str] | None = None, background: bool = True
    ) -> tuple[Job, bool]:
        """Ask for a run; the job, and False when it had been asked for already. `only` are the backups that somebody
        saw before agreeing: no other one is touched."""
        parameters = {} if only is None else {"only": sorted(only)}
        return self._runner.request(
            JobKind.PRUNE, database=database, parameters=parameters, by=by, background=background
        )

    def nightly(self) -> None:
        """Called every minute: once a night, look at every database."""
        now, last = self._clock(), self._last_run()
        if last is not None and now < self._night_after(last):
            return
        if last is not None:  # else this folder is new: its first night is still to come
            for database in self._databases():
                self._look(database)
        # Not before: after a crash in between, the look is made again at the next start. Once more is no matter.
        jsonfiles.write(self._ran, {"format": 1, "at": to_text(now)})

    def _after(self, job: Job) -> None:
        if job.kind is JobKind.TAKE and job.state is JobState.COMPLETED and job.database in self._databases():
            self._look(job.database)

    def _look(self, database: str) -> None:
        """Ask for a run when it would do something: a job that does nothing is in nobody's history."""
        try:
            plan = self.preview(database)
            if not plan.expired:
                paused = ", because backups are failing" if plan.paused else ""
                logger.info("retention of %s: all %d backups stay%s", database, len(plan.kept), paused)
                return
            at_terminal = self._at_terminal()
            job, new = self.run(database, by="", background=not at_terminal)
            if at_terminal and new:
                self._runner.run_here(job)
        except (StorageError, OSError) as error:
            logger.error("retention of %s: %s", database, error)

    def _prune(self, context: JobContext) -> None:
        database, by = context.job.database, context.job.requested_by
        only = context.job.parameters.get("only")
        context.plan((("decide", say("Decide what stays")), ("trash", say("Move what has expired to the trash"))))
        moved: list[str] = []
        freed = 0
        with self.trash.held():
            context.step("decide")
            plan = self.preview(database)
            expired = [one for one in plan.expired if only is None or one.backup_id in only]
            context.log(f"{len(plan.kept)} stay, {len(expired)} have expired")
            if plan.paused:
                context.log(str(retention.PAUSED))
            context.step("trash")
            for one in expired:
                context.checkpoint()
                reasons = " ".join(map(str, one.reasons))
                try:
                    self.trash.move(self._catalog.get(one.backup_id), by=by, why=one.reasons)
                except (Conflict, NotFound) as error:
                    context.log(f"{one.backup_id} stays: {error}")
                    continue
                moved.append(one.backup_id)
                freed += one.bytes
                context.log(f"{one.backup_id} is in the trash: {reasons}")
                context.result(moved=moved, bytes=freed, kept=len(plan.decisions) - len(moved))
                self._audit.record("backup_deleted", actor=by, subject=one.backup_id, database=database, reason=reasons)
        context.result(moved=moved, bytes=freed, kept=len(plan.decisions) - len(moved))
        self._audit.record("retention_ran", actor=by, subject=database, moved=len(moved), bytes=freed,
                           kept=len(plan.decisions) - len(moved))  # fmt: skip
        logger.info("retention of %s: %d moved to the trash", database, len(moved), extra={"action": "backup_cleanup"})

    def _night_after(self, moment: datetime) -> datetime:
        local = moment.astimezone(self._zone)
        night = datetime.combine(local.date(), NIGHTLY, tzinfo=self._zone)
        if night.astimezone(moment.tzinfo) <= moment:
            night = datetime.combine(local.date() + timedelta(days=1), NIGHTLY, tzinfo=self._zone)
        return night.astimezone(moment.tzinfo)

    def _last_run(self) -> datetime | None:
        try:
            return from_required_text(jsonfiles.read(self._ran)["at"])
        except FileNotFoundError:
            return None
        except (InvalidRecord, KeyError, TypeError, ValueError) as error:
            logger.warning("when retention ran last cannot be read: %s", error)
            return None


def named_by(jobs: Sequence[Job]) -> set[str]:
    """The backups, among other words, that jobs were asked for with. A run of retention needs none of what it names."""
    return {word for job in jobs if job.kind is not JobKind.PRUNE for word in _words(job.parameters)}


def _words(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from _words(inner)
        case list():
            for inner in value:
                yield from _words(inner)
