"""A PostgreSQL server of our own: making its data folder, starting it as our direct child, ending it.

Used by the embedded server and by the tests. Who shares a running server, and what is in it, is left to `embedded`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from storage.errors import ProgramFailed, StorageError, Unavailable, Unreachable, say
from storage.postgres.account import Account
from storage.postgres.connection import Connection, connect
from storage.postgres.process import die_with_parent, run_program
from storage.postgres.programs import Installation
from storage.secret import Secret

SUPERUSER = "pghaven"
PORT = 5432
"""Only part of the socket's name: the server listens on no network."""

_LONGEST_SOCKET_PATH = 107
_LONGEST_LOG = 1 << 20
_START_SECONDS = 120.0

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "1GB",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One data folder and who runs it with which programs. `folder` belongs to that account, mode 0700."""

    folder: Path
    installation: Installation
    account: Account
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    @property
    def made(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    @property
    def socket_folder(self) -> Path:
        """Beside the data; where that path is too long for a socket, a folder of the account's own in /tmp."""
        beside = self.folder / "run"
        if len(os.fsencode(beside / f".s.PGSQL.{PORT}.lock")) <= _LONGEST_SOCKET_PATH:
            return beside
        mark = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path("/tmp") / f"pghaven-{self.account.uid}-{mark}"  # noqa: S108 - checked by own_folder

    def connection(self, dbname: str = "postgres") -> Connection:
        """How our superuser reaches a database. The password is missing as long as the cluster is not made."""
        with suppress(FileNotFoundError, PermissionError):
            password = Secret(self.password_file.read_text(encoding="utf-8").strip())
            return self._connection(dbname, password)
        return self._connection(dbname, None)

    def _connection(self, dbname: str, password: Secret | None) -> Connection:
        return Connection(
            host=str(self.socket_folder),
            port=PORT,
            user=SUPERUSER,
            dbname=dbname,
            password=password,
            sslmode="disable",
        )

    def environment(self) -> dict[str, str]:
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "LC_ALL": "C", "TZ": "UTC", **self.installation.environment()}


def initdb_command(cluster: Cluster, data: Path, *, locale: str) -> list[str]:
    return [
        str(cluster.installation.program("initdb")),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={cluster.password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        f"--locale={locale}",
        "--data-checksums",
        *(["--no-sync"] if cluster.settings.get("fsync") == "off" else []),
    ]


def server_command(cluster: Cluster) -> list[str]:
    settings = {**SETTINGS, "unix_socket_directories": str(cluster.socket_folder), "port": str(PORT)}
    settings |= cluster.settings
    chosen = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(cluster.installation.program("postgres")), "-D", str(cluster.data), *chosen]


def make(cluster: Cluster) -> None:
    """Make the data folder, whole or not at all; one that is there stays as it is."""
    if cluster.made:
        return
    own_folder(cluster.folder, cluster.account)
    if not cluster.password_file.exists():
        _write_password(cluster)
    draft = cluster.folder / "data.being-made"
    for locale in ("C.UTF-8", "C"):
        shutil.rmtree(draft, ignore_errors=True)
        try:
            run_program(
                initdb_command(cluster, draft, locale=locale),
                environment=cluster.environment(),
                account=cluster.account,
            )
            break
        except ProgramFailed as error:
            if locale == "C" or "invalid locale" not in error.words:
                shutil.rmtree(draft, ignore_errors=True)
                raise
    draft.rename(cluster.data)


def own_folder(folder: Path, account: Account) -> None:
    """Make sure that `folder` is a folder of the account's own that nobody else may enter.

    Raises Unavailable when somebody else made it first: in /tmp anybody may.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        account.give(folder)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid:
        raise Unavailable(
            say("%(folder)s does not belong to %(account)s.", folder=str(folder), account=account.name),
            advice=say("Remove it, or name another folder in PGHAVEN_PRIVATE_FOLDER."),
        )
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def _write_password(cluster: Cluster) -> None:
    draft = cluster.folder / "password.being-made"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(24) + "\n")
    cluster.account.give(draft)
    draft.rename(cluster.password_file)


class ServerProcess:
    """One running server. It ends with us: the kernel sends it SIGINT, a fast shutdown, when we are gone."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._forked = threading.Event()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, *, seconds: float = _START_SECONDS) -> None:
        """Start the server and wait until it answers. Raises Unavailable with its last words when it does not."""
        end_left_over_server(self.cluster.data)
        own_folder(self.cluster.socket_folder, self.cluster.account)
        self._forked.clear()
        self._failure = None
        # The parent-death signal comes when the forking thread ends, so this one stays until its child has ended.
        threading.Thread(target=self._live, name="postgres", daemon=True).start()
        self._forked.wait()
        if self._failure is not None:
            raise Unavailable(
                say("PostgreSQL's server could not be started: %(reason)s", reason=self._failure.strerror or "")
            ) from self._failure
        try:
            self._wait_until_it_answers(time.monotonic() + seconds)
        except BaseException:
            self.stop(patience=5)
            raise

    def stop(self, *, patience: float = 30.0) -> None:
        """End the server: fast, then at once, then by force."""
        process = self._process
        if process is None:
            return
        for number, wait in ((signal.SIGINT, patience), (signal.SIGQUIT, 5.0)):
            with suppress(ProcessLookupError):
                process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(wait)
                return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _live(self) -> None:
        cluster = self.cluster
        try:
            with _open_log(cluster) as log:
                self._process = subprocess.Popen(
                    server_command(cluster),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=cluster.environment(),
                    cwd="/",
                    # A group of its own: Ctrl-C is for us, who end our jobs before the server.
                    start_new_session=True,
                    umask=0o077,
                    user=None if cluster.account.is_ours else cluster.account.uid,
                    group=None if cluster.account.is_ours else cluster.account.gid,
                    extra_groups=None if cluster.account.is_ours else [],
                    # A prctl, nothing that takes a lock; after the change of account, which would undo it.
                    preexec_fn=die_with_parent(signal.SIGINT),
                )
        except OSError as error:
            self._failure = error
            return
        finally:
            self._forked.set()
        self._process.wait()

    def _wait_until_it_answers(self, deadline: float) -> None:
        while True:
            try:
                with connect(self.cluster.connection(), application="pghaven: start", timeout=5):
                    return
            except Unreachable as error:
                if not self.running:
                    raise self._did_not_start() from error
                if error.kind not in ("refused", "starting", "silent") or time.monotonic() > deadline:
                    raise
            time.sleep(0.03)

    def _did_not_start(self) -> StorageError:
        try:
            lines = self.cluster.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return Unavailable(
            say("PostgreSQL's server ended while it was starting."),
            advice=say("Its log says more: %(file)s", file=str(self.cluster.log)),
            words="\n".join(lines[-15:]),
        )


def _open_log(cluster: Cluster) -> _Log:
    with suppress(FileNotFoundError):
        if cluster.log.stat().st_size > _LONGEST_LOG:
            cluster.log.replace(cluster.log.with_suffix(".log.old"))
    return _Log(os.open(cluster.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600))


class _Log:
    """A descriptor for the child, closed here when the child has it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def end_left_over_server(data: Path, *, patience: float = 30.0) -> None:
    """Make way for a start: wait for a server whose owner was killed, and remove what says that it still runs.

    Call only as the holder of the lock on this server: then nobody uses one that runs.
    """
    pid = _pid_in(data)
    if pid is None:
        return
    deadline = time.monotonic() + patience
    number = signal.SIGINT
    while _serves(pid, data):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if time.monotonic() > deadline:
            number, deadline = signal.SIGQUIT, deadline + 5
        time.sleep(0.1)
    # A number that another process has meanwhile would keep the server from starting.
    if _pid_in(data) == pid and Path("/proc").is_dir():
        (data / "postmaster.pid").unlink(missing_ok=True)


def _pid_in(data: Path) -> int | None:
    try:
        return abs(int((data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]))
    except (OSError, ValueError):
        return None


def _serves(pid: int, data: Path) -> bool:
    """Whether that process is a server on this data: a postmaster's working folder is its data folder."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
    except OSError:
        return False
