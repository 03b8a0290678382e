"""Opens the data folder: the only place that builds the capabilities and wires them to each other."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from zoneinfo import ZoneInfo

from storage.accounts.accounts import Accounts
from storage.alerts import environment as alert_environment
from storage.alerts.alerts import Alerts
from storage.alerts.model import Alert
from storage.alerts.outbox import Delivery, DeliveryState
from storage.alerts.wording import Wording
from storage.applications import demo, maps
from storage.audit import Audit
from storage.backups.backups import Backups
from storage.backups.catalog import Catalog
from storage.backups.copies_expiring import CopyRetention
from storage.backups.copying import Copying
from storage.backups.exporting import Exporter
from storage.backups.policies import Policies
from storage.backups.prune import Pruner, named_by
from storage.backups.rereading import Rereading
from storage.backups.take import Taker
from storage.backups.trash import Trash
from storage.backups.upload import Uploads
from storage.clock import Clock, to_text, utc_now
from storage.databases import log_tables
from storage.databases.environment import RememberedEnvironment, RememberedRedis
from storage.databases.profile import DatabaseProfile
from storage.databases.registry import Demos, Registry, from_environment
from storage.databases.status import DatabaseStatuses
from storage.databases.testing import Tester
from storage.destinations.registry import Destinations
from storage.errors import Conflict, LockHeld, StorageError, Unavailable, named, say
from storage.jobs.ends import record_end
from storage.jobs.model import Job
from storage.jobs.runner import JobRunner
from storage.jobs.store import JobStore
from storage.locks.bothlocks import BothLocks
from storage.locks.filelocks import FileLocks, HeldLock
from storage.locks.redislocks import RedisLocks
from storage.logs.cleanup.cleanups import Cleanups
from storage.logs.generator.generators import Generators
from storage.logs.logs import Logs
from storage.lookout import Lookout
from storage.postgres import embedded, places, programs
from storage.postgres.connection import Connection, parse_url
from storage.postgres.embedded import EmbeddedServer
from storage.postgres.programs import Installation
from storage.proofs.proofs import Proofs
from storage.proofs.prove import Prover
from storage.restores.restores import Restores
from storage.schedules.pings import Pings
from storage.schedules.scheduler import Asked, Scheduler
from storage.schedules.schedules import Schedules
from storage.secret import SecretBox, load_or_make_key
from storage.settings import Settings
from storage.staging import Staging
from storage.upkeep import Upkeep

logger = logging.getLogger(__name__)

CATALOGUES = Path(__file__).parent.parent / "webapp" / "translations"
"""The compiled translations are data: letters are written in them, too, and no code of the web is needed for it."""
SLOT_ASKED_BEFORE = timedelta(days=1)
"""How far a clock that went wrong may have dated a slot's job before the slot itself."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where what is not data lies; for the System page."""

    private: Path
    tools: Path
    embedded: Path

    @classmethod
    def of(cls, settings: Settings) -> Places:
        private = settings.private_folder or places.private_folder()
        return cls(private, places.tools_folder(private), places.embedded_folder(private))


def open_storage(settings: Settings, *, clock: Clock = utc_now, beside: bool = False) -> Storage:
    """Build everything over one data folder; starts nothing. Raises what keeps the folder from being used.

    `beside` the web process of the folder, what that was told of Redis holds here, too.
    """
    return Storage(settings, clock=clock, beside=beside)


class Storage:
    """One data folder, opened. What the web and the terminal reach storage through.

    A web process calls `start`, one at a time for a data folder; terminal commands run beside it without. `stop` ends
    whatever was started, and does no harm where nothing was.
    """

    def __init__(self, settings: Settings, *, clock: Clock, beside: bool = False) -> None:
        self.settings, self.clock = settings, clock
        folder = _prepare(settings.data_folder)
        metadata = folder / "metadata"
        self.places = Places.of(settings)
        key = settings.secret_key.reveal if settings.secret_key else load_or_make_key(folder / "secret.key")
        self.box = SecretBox(key)
        self._remembered_redis = RememberedRedis(metadata / "redis.json", box=self.box)
        redis_url = settings.redis_url or (self._remembered_redis.url() if beside else None)
        self.redis = RedisLocks(redis_url) if redis_url else None
        """Where other boxes see whose turn it is; None where there are no others."""
        self.locks = BothLocks(folder / "locks", self.redis) if self.redis else FileLocks(folder / "locks")
        self.audit = Audit(metadata / "audit", clock=clock, locks=self.locks)
        self.staging = Staging(folder / "staging")
        self.jobs = JobStore(metadata / "jobs", locks=self.locks, clock=clock)
        self.runner = JobRunner(self.jobs, clock=clock, workers=settings.parallel_jobs)
        self.runner.on_end(self._audit_end)
        self._environment = self._given_database()
        self._remembered = RememberedEnvironment(metadata / "environment.json", box=self.box)
        self.embedded_trouble: StorageError | None = None
        """Why the embedded server could not be started."""
        self.databases = self._registry(metadata / "databases")
        self.statuses = DatabaseStatuses(before=self._reach)
        self._maps = maps.load_maps(folder / "applications")
        self._logs_among = log_tables.Among(self._maps)
        self.backups = self._backups(folder)
        self.exporter = self._exporter(folder)
        self.uploads = self._uploads()
        self.destinations = Destinations(
            metadata / "destinations", box=self.box, clock=clock, locks=self.locks, data_folder=folder
        )
        self.copying = Copying(
            catalog=self.backups.catalog,
            destinations=self.destinations,
            runner=self.runner,
            staging=self.staging,
            installations=self.programs,
            clock=clock,
        )
        self.copy_retention = CopyRetention(
            catalog=self.backups.catalog,
            destinations=self.destinations,
            clock=clock,
            zone=ZoneInfo(settings.time_zone),
            in_use=lambda name: named_by(self.jobs.active(name)),
        )
        self.trash = self._trash()
        self.retention = self._retention(metadata)
        self.restores = self._restores(metadata / "restores")
        self.proofs = self._proofs()
        self.rereading = Rereading(metadata / "rereading.json", backups=self.backups, jobs=self.jobs, clock=clock)
        self.logs = Logs(
            profile_of=self.profile,
            applications=self._maps,
            clock=clock,
            cleanup=self._cleanups(folder),
            generator=self._generators(),
            folder=folder / "exports",
            runner=self.runner,
            jobs=self.jobs,
            staging=self.staging,
        )
        self.accounts = Accounts(metadata, locks=self.locks, clock=clock, idle_seconds=settings.session_idle_seconds)
        self.schedules = self._schedules(metadata / "schedules")
        self.scheduler = self._scheduler()
        self.pings = Pings(lambda database: self.schedules.of(database).ping_url)
        self.runner.on_begin(self.pings.job_began)
        self.runner.on_end(self.pings.job_ended)
        self.lookout = self._lookout()
        self.alerts = self._alerts(metadata / "alerts")
        self.runner.on_end(self._tell_of_end)
        self.upkeep = self._upkeep()
        self.ticker = self.upkeep.ticker()
        self._instance: HeldLock | None = None
        self.opened_at = clock()
        self.working = False
        """Whether jobs are carried out: between the end of `start` and the beginning of `stop`."""

    @cached_property
    def embedded(self) -> EmbeddedServer | None:
        """pghaven's own server, started or not; None where no program could run it. Looked for when first asked."""
        try:
            return embedded.open_embedded(self.programs(), self.places.embedded, self.clock)
        except Unavailable as error:
            logger.error("embedded server: %s", error)
            return None

    def programs(self) -> tuple[Installation, ...]:
        """The PostgreSQL programs that this machine has now."""
        return programs.find_installations(self.settings.pg_bin_dirs, self.places.tools)

    def profile(self, name: str) -> DatabaseProfile:
        """The profile of a database that is about to be used: its server is started where it is ours to start."""
        profile = self.databases.get(name)
        return profile.with_(connection=self._reach(profile.connection))

    def use_embedded(self) -> EmbeddedServer:
        """The embedded server, running and with its demo databases. Raises Unavailable when it cannot run."""
        if self.embedded is None:
            raise Unavailable(
                say("There are no programs of a PostgreSQL server on this machine."),
                advice=say("Run: pghaven tools install 18"),
            )
        self.embedded.ensure_running()
        if self._default_database() is None:
            for name in demo.NAMES:
                self.embedded.provide(name, lambda name=name: demo.script(name))  # type: ignore[misc]
        return self.embedded

    # The life of a web process

    def claim(self) -> None:
        """Become this data folder's instance, and nothing more yet. Raises Conflict, naming the one that it has."""
        if self._instance is None:
            self._instance = self._become_the_instance()

    def tell_where(self, url: str) -> None:
        """Let a second instance that is refused say where the first one can be reached."""
        if self._instance is not None:
            self._instance.holder_is(f"{self._who()}, at {url}")

    def start(self) -> None:
        """Become this data folder's instance: put in order what a crash left, and begin to work by ourselves."""
        self.claim()
        self._remember_environment()
        self.upkeep.put_in_order()
        with named("ADMIN_PASSWORD"):
            self.accounts.start(admin_password=self.settings.admin_password)
        if self.settings.database_url is None:
            self._start_embedded()
        self.restores.reconcile()
        self.proofs.sweep()
        if self.redis:
            self.redis.look()
        self.pings.start()
        self.runner.start()
        self.upkeep.retry_scheduled()
        self.upkeep.ask_for_first_backups(embedded=self.embedded_trouble is None)
        self.schedules.make_missing()
        self.alerts.start()
        self.ticker.start()
        self.working = True

    def stop(self) -> None:
        """End everything that was started; running jobs get the grace of the settings, then end as interrupted."""
        self.working = False
        # Called in the opposite order, each whatever the one before it raised: a server of ours must not outlive us.
        with ExitStack() as parts:
            if self._instance is not None:
                parts.callback(self._instance.release)
                self._instance = None
            if "embedded" in self.__dict__ and self.embedded is not None:
                parts.callback(self.embedded.stop)
            parts.callback(self.pings.stop)
            parts.callback(self.alerts.stop)
            parts.callback(self.runner.stop, grace=self.settings.stop_grace_seconds)
            parts.callback(self.ticker.stop)

    def _who(self) -> str:
        return f"process {os.getpid()} on {socket.gethostname()} since {to_text(self.opened_at)}"

    def _become_the_instance(self) -> HeldLock:
        try:
            return self.locks.take("instance", holder=self._who())
        except LockHeld as error:
            raise Conflict(
                say("%(folder)s belongs to another pghaven: %(holder)s.",
                    folder=str(self.settings.data_folder), holder=error.holder),
                effect=say("pghaven was not started."),
                advice=say("Use that one, or name another folder in BACKUP_STORAGE_PATH."),
            ) from None  # fmt: skip

    def _audit_end(self, job: Job) -> None:
        record_end(self.audit, job)

    def _is_alive(self, job_id: str) -> bool:
        return self.locks.is_held(self.jobs.lock_name(job_id))

    def _start_embedded(self) -> None:
        # Without its demo databases pghaven still has work to do, and its pages say what is missing.
        try:
            self.use_embedded()
        except StorageError as error:
            logger.error("embedded server: %s %s", error, error.words)
            self.embedded_trouble = error
        else:
            self.embedded_trouble = None

    # Building

    def _registry(self, folder: Path) -> Registry:
        return Registry(
            folder,
            box=self.box,
            clock=self.clock,
            locks=self.locks,
            test=Tester(self.programs, before=self._reach),
            environment=self._default_database,
            demos=Demos(names=demo.NAMES, connection=self._demo_connection),
            in_use=self._in_use,
            backed_up_as=self._backed_up_as,
            on_removed=lambda name: self.accounts.unlink_all(name),
        )

    def _given_database(self) -> DatabaseProfile | None:
        url = self.settings.database_url
        if url is None:
            return None
        return from_environment(url, self.settings.database_variable, self.settings.session_store_url)

    def _default_database(self) -> DatabaseProfile | None:
        """That of our own environment, else that of the web process of this folder, running or not."""
        return self._environment or self._remembered.profile()

    def _remember_environment(self) -> None:
        self._remembered_redis.remember(self.settings.redis_url)
        if self._environment is None:
            self._remembered.forget()
        else:
            self._remembered.remember(self._environment, variable=self.settings.database_variable)

    def _backed_up_as(self, name: str) -> str:
        newest = self.backups.catalog.newest_good(name)
        return newest.source.database if newest else ""

    def _in_use(self, name: str) -> StorageError | None:
        """Why a database has to stay where it is: a job is at work on it, or its server is not in order yet."""
        for job in self.jobs.active(name):
            if self._is_alive(job.job_id):
                return Conflict(
                    say("A job of %(name)s is waiting or running.", name=name),
                    advice=say("Wait for its end, or cancel it."),
                )
        if record := self.restores.unsettled(name):
            return Conflict(
                say("A restore of %(target)s did not reach its end, and its server could not be put in order yet.",
                    target=record.target),
                advice=say("pghaven tries every minute: make the server reachable. A new user or password may be "
                           "entered meanwhile."),
            )  # fmt: skip
        return None

    def _demo_connection(self, name: str) -> Connection | None:
        return self.embedded.connection(name) if self.embedded else None

    def _reach(self, connection: Connection) -> Connection:
        """Start the embedded server when it is the one meant and nobody has: at the terminal, on first use.

        Returns the connection as it is then: before its first start, a server has no password.
        """
        if self._instance is not None or not connection.host.startswith("/"):
            return connection
        if self.embedded is None or connection.host != self.embedded.connection().host:
            return connection
        server = self.embedded if self.embedded.started else self.use_embedded()
        return server.connection(connection.dbname)

    def _backups(self, folder: Path) -> Backups:
        catalog = Catalog(folder, clock=self.clock)
        taker = Taker(
            catalog=catalog,
            locks=self.locks,
            staging=self.staging,
            settings=self.settings,
            clock=self.clock,
            installations=self.programs,
            profile_of=self.profile,
            logs_among=self._logs_among,
        )
        return Backups(catalog=catalog, taker=taker, runner=self.runner, installations=self.programs, clock=self.clock)

    def _exporter(self, folder: Path) -> Exporter:
        return Exporter(
            locks=self.locks,
            staging=self.staging,
            settings=self.settings,
            clock=self.clock,
            installations=self.programs,
            profile_of=self.profile,
            logs_among=self._logs_among,
        )

    def _uploads(self) -> Uploads:
        return Uploads(
            catalog=self.backups.catalog,
            staging=self.staging,
            locks=self.locks,
            clock=self.clock,
            installations=self.programs,
            limit=self.settings.upload_limit,
        )

    def _restores(self, folder: Path) -> Restores:
        return Restores(
            folder,
            catalog=self.backups.catalog,
            jobs=self.jobs,
            runner=self.runner,
            locks=self.locks,
            staging=self.staging,
            settings=self.settings,
            clock=self.clock,
            installations=self.programs,
            profile_of=self.profile,
            logs_among=self._logs_among,
            application_of=partial(maps.recognise, self._maps),
            take_snapshot=self.backups.snapshot,
        )

    def _schedules(self, folder: Path) -> Schedules:
        return Schedules(
            folder,
            locks=self.locks,
            clock=self.clock,
            zone=self.settings.time_zone,
            registered=lambda: {profile.name: profile.added_at for profile in self.databases.all()},
        )

    def _scheduler(self) -> Scheduler:
        window = timedelta(hours=self.settings.catchup_hours)
        return Scheduler(self.schedules, ask=self._ask_for_slot, clock=self.clock, window=window)

    def _ask_for_slot(self, name: str, at: datetime) -> Asked:
        """Ask for the backup that fills a slot, unless it was asked for before, by a process that crashed then."""
        slot = to_text(at)
        for job in self.jobs.newest_first():
            if job.requested_at < at - SLOT_ASKED_BEFORE:
                break
            if job.database == name and job.parameters.get("slot") == slot:
                return Asked(job_id=job.job_id)
        job, new = self.backups.take_scheduled(name, slot or "")
        if new or not job.parameters.get("slot"):
            return Asked(job_id=job.job_id)  # one that a person asked for, and that waits or runs, fills the slot, too
        return Asked(job_id=job.job_id, busy_since=job.started_at or job.requested_at)

    def _trash(self) -> Trash:
        return Trash(
            self.backups.catalog,
            locks=self.locks,
            clock=self.clock,
            in_use=lambda name: named_by(self.jobs.active(name)),
            registered=lambda name: name in self._names(),
        )

    def _retention(self, metadata: Path) -> Pruner:
        return Pruner(
            catalog=self.backups.catalog,
            policies=Policies(metadata / "retention", clock=self.clock),
            trash=self.trash,
            runner=self.runner,
            audit=self.audit,
            clock=self.clock,
            zone=ZoneInfo(self.settings.time_zone),
            databases=self._names,
            at_terminal=lambda: self._instance is None,
            ran=metadata / "retention_ran.json",
        )

    def _cleanups(self, folder: Path) -> Cleanups:
        return Cleanups(
            folder,
            profile_of=self.profile,
            applications=self._maps,
            databases=self._names,
            destinations=self.destinations,
            runner=self.runner,
            locks=self.locks,
            staging=self.staging,
            audit=self.audit,
            clock=self.clock,
            zone=ZoneInfo(self.settings.time_zone),
        )

    def _generators(self) -> Generators:
        return Generators(profile_of=self.profile, applications=self._maps, runner=self.runner, locks=self.locks)

    def _names(self) -> list[str]:
        return [profile.name for profile in self.databases.all()]

    def _proofs(self) -> Proofs:
        url = self.settings.scratch_database_url
        with named("SCRATCH_DATABASE_URL"):
            configured = parse_url(url.reveal) if url else None

        def server() -> Connection:
            return configured or self.use_embedded().connection()

        prover = Prover(
            catalog=self.backups.catalog,
            staging=self.staging,
            settings=self.settings,
            clock=self.clock,
            installations=self.programs,
            server=server,
        )
        days = self.settings.prove_every_days
        return Proofs(
            prover=prover,
            catalog=self.backups.catalog,
            jobs=self.jobs,
            runner=self.runner,
            clock=self.clock,
            databases=lambda: [profile.name for profile in self.databases.all()],
            server=server,
            every=timedelta(days=days) if days else None,
        )

    def _lookout(self) -> Lookout:
        return Lookout(
            catalog=self.backups.catalog,
            jobs=self.jobs,
            schedules=self.schedules,
            audit=self.audit,
            settings=self.settings,
            clock=self.clock,
            databases=self.databases.all,
            profile_of=self.profile,
        )

    def _alerts(self, folder: Path) -> Alerts:
        return Alerts(
            folder,
            box=self.box,
            clock=self.clock,
            zone=self.settings.time_zone,
            language=self.settings.alert_language,
            hold=lambda: self.locks.hold("alerts", holder=f"process {os.getpid()}", wait=True),
            wording=Wording(CATALOGUES, zone=self.settings.time_zone, instance=socket.gethostname()),
            from_environment=alert_environment.targets(self.settings, self.box),
            on_done=self._audit_alert,
        )

    def _upkeep(self) -> Upkeep:
        return Upkeep(
            settings=self.settings,
            clock=self.clock,
            locks=self.locks,
            redis=self.redis,
            audit=self.audit,
            staging=self.staging,
            jobs=self.jobs,
            runner=self.runner,
            databases=self.databases,
            backups=self.backups,
            trash=self.trash,
            retention=self.retention,
            copying=self.copying,
            copy_retention=self.copy_retention,
            restores=self.restores,
            proofs=self.proofs,
            rereading=self.rereading,
            logs=self.logs,
            scheduler=self.scheduler,
            alerts=self.alerts,
            lookout=self.lookout,
            is_alive=self._is_alive,
            embedded=lambda: self.embedded,
        )

    def _audit_alert(self, alert: Alert, delivery: Delivery) -> None:
        good = delivery.state is DeliveryState.DELIVERED
        self.audit.record(
            "alert_sent",
            actor="",
            subject=delivery.target,
            result="ok" if good else "failed",
            event=alert.event.value,
            database=alert.database,
        )

    def _tell_of_end(self, job: Job) -> None:
        self.alerts.job_ended(self.lookout.job_end(job))


def _prepare(folder: Path) -> Path:
    """Make the data folder ours alone. Raises Unavailable when it cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
        for part in ("metadata", "archives", "staging", "locks"):
            (folder / part).mkdir(exist_ok=True, mode=0o700)
            (folder / part).chmod(0o700)
    except OSError as error:
        raise Unavailable(
            say("The data folder %(folder)s cannot be used: %(reason)s",
                folder=str(folder), reason=error.strerror or str(error)),
            effect=say("pghaven was not started."),
            advice=say("Make it writable for this account, or name another folder in BACKUP_STORAGE_PATH."),
        ) from error  # fmt: skip
    return folder
