"""pghaven's own PostgreSQL server, shared by the processes of this box: started when first needed, stopped with whoever
started it. What databases it holds is decided by others; `provide` makes one from SQL, whole or not at all.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from storage import jsonfiles
from storage.clock import Clock, to_text
from storage.errors import Invalid, Unavailable, Unreachable, say
from storage.postgres import places, programs
from storage.postgres.account import Account, server_account
from storage.postgres.cluster import Cluster, ServerProcess, make, own_folder
from storage.postgres.connection import Connection, connect, describe
from storage.postgres.programs import Installation

logger = logging.getLogger(__name__)

READY_SECONDS = 150.0
OTHERS_SECONDS = 10.0
"""How long a stop waits for other processes that use the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedFacts:
    """For the System page."""

    folder: Path
    programs: Path
    version: str
    socket: Path
    account: str
    running: bool
    ours: bool
    """Whether this process started it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which programs run the embedded server; `remark` says why not the newest, or what stays behind."""

    installation: Installation
    remark: str = ""


def choose(installations: Sequence[Installation], majors_with_data: Sequence[int]) -> Choice | None:
    """The newest programs with a server; but the ones that fit the data there is. None without any server."""
    able = [one for one in installations if one.has_server]
    newest = programs.for_server(able)
    if newest is None:
        return None
    fitting = [one for one in able if one.major in majors_with_data]
    present = programs.for_server(fitting)
    if present is None:
        left = ", ".join(map(str, sorted(majors_with_data)))
        return Choice(
            installation=newest,
            remark=f"the data of PostgreSQL {left} stays where it is: its programs are gone" if left else "",
        )
    if present.major == newest.major:
        return Choice(installation=newest)
    return Choice(
        installation=present,
        remark=f"its data is of PostgreSQL {present.major}, although there are programs of {newest.major}",
    )


def open_embedded(
    installations: Sequence[Installation], folder: Path, clock: Clock, *, others_seconds: float = OTHERS_SECONDS
) -> EmbeddedServer | None:
    """The embedded server of this data folder, not started; None where no program could run it.

    `folder` holds a folder for each major. Programs that the server's account cannot reach are passed over.
    """
    account = server_account()
    reachable = [one for one in installations if account.is_ours or places.reachable_by_others(one.folder)]
    choice = choose(reachable, _majors_with_data(folder))
    if choice is None:
        return None
    if choice.remark:
        logger.warning("embedded server: PostgreSQL %s: %s", choice.installation.version, choice.remark)
    return EmbeddedServer(choice.installation, folder, clock, account=account, others_seconds=others_seconds)


def _majors_with_data(folder: Path) -> list[int]:
    try:
        return [int(path.parts[-3]) for path in folder.glob("[0-9]*/data/PG_VERSION")]
    except OSError:
        return []


class EmbeddedServer:
    """Safe to use from several threads, and beside other processes.

    Three lock files in `folder`: `runner` is held by the process whose child the server is, `users` is shared by all
    who use it, `making` by whoever makes a database.
    """

    def __init__(
        self,
        installation: Installation,
        folder: Path,
        clock: Clock,
        *,
        account: Account | None = None,
        others_seconds: float = OTHERS_SECONDS,
    ) -> None:
        self.folder, self._clock, self._others_seconds = folder, clock, others_seconds
        self._account = account or server_account()
        self._cluster = Cluster(
            folder=folder / str(installation.major), installation=installation, account=self._account
        )
        self._process: ServerProcess | None = None
        self._runner: int | None = None
        self._user: int | None = None
        self._remote: Connection | None = None
        self._lock = threading.RLock()

    @property
    def installation(self) -> Installation:
        return self._cluster.installation

    @property
    def started(self) -> bool:
        """Whether this process uses the server: `ensure_running` was called, and `stop` not yet."""
        return self._user is not None

    def connection(self, dbname: str = "postgres") -> Connection:
        """How a database of the server is reached; says nothing about whether the server runs."""
        remote = self._remote
        return remote.to(dbname) if remote else self._cluster.connection(dbname)

    def ensure_running(self) -> Connection:
        """Start the server, or use the one that another process runs. Cheap when it runs already."""
        with self._lock:
            if self._process is not None and self._process.running:
                return self.connection()
            deadline = time.monotonic() + READY_SECONDS
            self._prepare_folder()
            self._share(deadline)
            while not (self._use_running() or self._run()):
                if time.monotonic() > deadline:
                    raise Unavailable(
                        say("The embedded server of another process does not answer."),
                        advice=say("End the other pghaven, then try again."),
                    )
                time.sleep(0.1)
            return self.connection()

    def stop(self) -> None:
        """Let go of the server; end it when it is our child, after those who still use it, within bounds."""
        with self._lock:
            if self._user is None:
                return
            if self._process is not None:
                self._wait_for_others()
                (self.folder / "server.json").unlink(missing_ok=True)
                self._process.stop()
            for descriptor in (self._runner, self._user):
                if descriptor is not None:
                    os.close(descriptor)
            self._process = self._remote = self._runner = self._user = None

    def describe(self) -> EmbeddedFacts:
        """What the System page says. Starts nothing."""
        process = self._process
        ours = process is not None and process.running
        return EmbeddedFacts(
            folder=self._cluster.folder,
            programs=self.installation.folder,
            version=self.installation.version,
            socket=Path(self.connection().host),
            account=self._account.name,
            running=ours or self._is_run_by_another(),
            ours=ours,
        )

    def provide(self, dbname: str, script: Callable[[], str]) -> bool:
        """Make a database from SQL, once: whoever drops it later does not get it again. True when it was made now.

        It is made under another name and renamed, so that a kill leaves no half of it; `script` is asked for only
        when it is needed. The server must be running.
        """
        mark = self._cluster.folder / "provided" / dbname
        if mark.exists():
            return False
        with self._making():
            if mark.exists():
                return False
            made = self._make_database(dbname, script)
            own_folder(mark.parent, self._account)
            mark.write_text(f"{to_text(self._clock())}\n", encoding="utf-8")
        return made

    # Starting and sharing

    def _prepare_folder(self) -> None:
        try:
            places.make_passable_folder(self.folder.parent)
            own_folder(self.folder, self._account)
        except OSError as error:
            raise Unavailable(
                say("%(folder)s cannot be used for the embedded server: %(reason)s",
                    folder=str(self.folder), reason=error.strerror or ""),
                advice=say("Name another folder in PGHAVEN_PRIVATE_FOLDER."),
            ) from error  # fmt: skip
        if not self._account.is_ours and not places.reachable_by_others(self.folder.parent):
            raise Unavailable(
                say("The account %(account)s, which runs PostgreSQL for root, cannot get to %(folder)s.",
                    account=self._account.name, folder=str(self.folder)),
                advice=say("Name a folder that every account can pass through in PGHAVEN_PRIVATE_FOLDER."),
            )  # fmt: skip

    def _share(self, deadline: float) -> None:
        """Become a user, before looking whether it runs: who runs it waits for its users before ending it."""
        if self._user is not None:
            return
        descriptor = _open_lock(self.folder / "users.lock")
        while not _lock(descriptor, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Unavailable(say("Another pghaven has been stopping the embedded server for too long."))
            time.sleep(0.05)
        self._user = descriptor

    def _run(self) -> bool:
        """Start the server as our child; False when another process is about to run it, or to end it."""
        if self._runner is None:
            descriptor = _open_lock(self.folder / "runner.lock")
            if not _lock(descriptor, fcntl.LOCK_EX):
                os.close(descriptor)
                return False
            self._runner = descriptor
        self._remote = None
        try:
            (self.folder / "server.json").unlink(missing_ok=True)
            make(self._cluster)
            process = ServerProcess(self._cluster)
            process.start()
        except BaseException:
            os.close(self._runner)
            self._runner = None
            raise
        self._process = process
        self._publish(process)
        logger.info(
            "embedded server: PostgreSQL %s as %s in %s",
            self.installation.version, self._account.name, self._cluster.folder,
        )  # fmt: skip
        return True

    def _publish(self, process: ServerProcess) -> None:
        connection = self._cluster.connection()
        jsonfiles.write(
            self.folder / "server.json",
            {
                "format": 1,
                "socket": connection.host,
                "port": connection.port,
                "user": connection.user,
                "major": self.installation.major,
                "account": self._account.name,
                "pid": process.pid,
                "owner": os.getpid(),
                "started_at": to_text(self._clock()),
            },
            durable=False,
        )

    def _use_running(self) -> bool:
        """Use the server of another process when it says where it is and answers."""
        if self._runner is not None or not self._is_run_by_another():
            return False
        try:
            data = jsonfiles.read(self.folder / "server.json")
            cluster = Cluster(
                folder=self.folder / str(data["major"]), installation=self.installation, account=self._account
            )
            connection = cluster.connection()
            with connect(connection, application="pghaven: look", timeout=5):
                self._remote = connection
                return True
        except (FileNotFoundError, Invalid, KeyError, Unreachable):
            return False

    def _is_run_by_another(self) -> bool:
        if self._runner is not None:
            return False
        try:
            descriptor = os.open(self.folder / "runner.lock", os.O_RDWR)
        except OSError:
            return False
        try:
            return not _lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def _wait_for_others(self) -> None:
        assert self._user is not None
        deadline = time.monotonic() + self._others_seconds
        # Asking for the whole of the lock gives up our share of it for a moment, and that is all right: we are ending.
        while not _lock(self._user, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                logger.warning("embedded server: another process still uses it; it is stopped all the same")
                return
            time.sleep(0.1)

    # Databases

    @contextmanager
    def _making(self) -> Iterator[None]:
        descriptor = _open_lock(self.folder / "making.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make_database(self, dbname: str, script: Callable[[], str]) -> bool:
        draft = f"{dbname}_being_made"
        final_name, draft_name = sql.Identifier(dbname), sql.Identifier(draft)
        try:
            with connect(self.connection(), application="pghaven: make a database") as session:
                found = session.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [dbname]).fetchone()
                if found:
                    return False
                logger.info("embedded server: making the database %s", dbname)
                session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(draft_name))
                session.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(draft_name))
                with connect(self.connection(draft), application="pghaven: make a database") as inside:
                    with inside.transaction():
                        inside.execute(script().encode())
                    inside.execute("ANALYZE")
                session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(draft_name, final_name))
        except psycopg.Error as error:
            raise describe(error, doing=say("The database %(name)s could not be made.", name=dbname)) from error
        return True


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _lock(descriptor: int, operation: int) -> bool:
    """flock without waiting. A look at a lock holds it for a moment, so a few tries."""
    for _ in range(5):
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.002)
    return False
