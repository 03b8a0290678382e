"""A workshop for tests of backups: the real parts, wired over one database and one data folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storage.backups.backups import Backups
from storage.backups.catalog import Catalog
from storage.backups.record import BackupRecord
from storage.backups.take import Taker
from storage.clock import utc_now
from storage.databases.profile import DatabaseProfile
from storage.jobs.model import Job
from storage.jobs.runner import JobRunner, OnProgress
from storage.jobs.store import JobStore
from storage.locks.filelocks import FileLocks
from storage.postgres.connection import Connection
from storage.postgres.programs import Installation
from storage.settings import Settings
from storage.staging import Staging
from tests.servers import installation_of


@dataclass
class Workshop:
    folder: Path
    connection: Connection
    majors: Sequence[int] = (15,)
    settings: Settings = field(init=False)
    logs: Collection[str] = ()

    def __post_init__(self) -> None:
        self.settings = Settings(data_folder=self.folder, space_reserve=0)
        self.locks = FileLocks(self.folder / "locks")
        self.store = JobStore(self.folder / "metadata" / "jobs", locks=self.locks, clock=utc_now)
        self.runner = JobRunner(self.store, clock=utc_now, workers=2)
        self.catalog = Catalog(self.folder, clock=utc_now)
        self.use()

    def use(self, **settings: object) -> Workshop:
        """Wire everything again, with other settings."""
        from dataclasses import replace

        self.settings = replace(self.settings, **settings)  # type: ignore[arg-type]
        self.backups = Backups(
            catalog=self.catalog,
            taker=Taker(
                catalog=self.catalog,
                locks=self.locks,
                staging=Staging(self.folder / "staging"),
                settings=self.settings,
                clock=utc_now,
                installations=self.installations,
                profile_of=self.profile_of,
                logs_among=lambda profile, tables: [name for name in tables if name in self.logs],
            ),
            runner=self.runner,
            installations=self.installations,
            clock=utc_now,
        )
        return self

    def installations(self) -> tuple[Installation, ...]:
        return tuple(installation_of(major) for major in self.majors)

    def profile_of(self, name: str) -> DatabaseProfile:
        return DatabaseProfile(name=name, connection=self.connection)

    def take(self, *, on_progress: OnProgress = lambda job: None, **options: bool) -> tuple[Job, BackupRecord]:
        job, _ = self.backups.take("shop", by="a test", background=False, **options)
        ended = self.runner.run_here(job, on_progress=on_progress)
        return ended, self.catalog.get(ended.result["backup_id"])

    def verify(self, record: BackupRecord) -> Job:
        job, _ = self.backups.verify(record.backup_id, by="a test", background=False)
        return self.runner.run_here(job)

    def files(self) -> list[str]:
        """Everything that is in the archives and in staging."""
        return sorted(
            str(path.relative_to(self.folder))
            for part in ("archives", "staging")
            for path in (self.folder / part).rglob("*")
            if path.is_file()
        )
