"""Real PostgreSQL servers for the tests: one of each major for a whole run, started when the first test asks.

Debian's programs where the major is theirs, else those of `pghaven tools install`, kept in a folder of the temporary
files between runs. Passwords are asked for (scram), so that a bug with passwords shows; fsync is off.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from psycopg import sql

from storage.postgres import cluster, places, programs, tools
from storage.postgres.account import server_account
from storage.postgres.cluster import Cluster, ServerProcess
from storage.postgres.connection import Connection, connect
from storage.postgres.programs import Installation

MAJORS = (14, 15, 16, 17, 18)
FOR_TESTS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_prepared_transactions": "5",
}

_numbers = itertools.count(1)


def open_folder(prefix: str) -> Path:
    """A new folder that the server's account can pass through, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    folder.chmod(0o711)
    return folder


@cache
def tools_folder() -> Path:
    """Where the programs of other majors are kept: PGHAVEN_TEST_TOOLS, or a folder of ours in /tmp."""
    folder = Path(os.environ.get("PGHAVEN_TEST_TOOLS") or f"/tmp/pghaven-test-tools-{os.getuid()}")
    places.make_passable_folder(folder)
    assert folder.stat().st_uid == os.getuid(), f"{folder} belongs to somebody else"
    return folder


@cache
def installations() -> tuple[Installation, ...]:
    own = places.tools_folder(places.private_folder())
    bin_dirs = [Path(part) for part in os.environ.get("PG_BIN_DIRS", "").split(os.pathsep) if part]
    found = programs.find_installations([*bin_dirs, *programs.tools_bin_folders(tools_folder())], own)
    reach = server_account()
    return tuple(one for one in found if reach.is_ours or places.reachable_by_others(one.folder))


@cache
def installation_of(major: int) -> Installation:
    """Programs with a server of this major; fetched when the machine has none."""
    for one in installations():
        if one.major == major and one.has_server:
            return one
    fetched = tools.install(major, tools_folder())
    installations.cache_clear()
    return fetched


def newest_installation() -> Installation:
    return programs.for_server(installations()) or installation_of(18)


class Server:
    """A running server and its databases."""

    def __init__(self, installation: Installation, folder: Path, *, settings: Mapping[str, str] = FOR_TESTS) -> None:
        self.installation = installation
        self.cluster = Cluster(
            folder=folder / str(installation.major),
            installation=installation,
            account=server_account(),
            settings=settings,
        )
        cluster.make(self.cluster)
        self.process = ServerProcess(self.cluster)
        self.process.start()

    @property
    def major(self) -> int:
        return self.installation.major

    @property
    def connection(self) -> Connection:
        """To the database postgres, as superuser."""
        return self.cluster.connection()

    def create_database(
        self, name: str = "", *, template: str = "", owner: str = "", by_files: bool = False
    ) -> Connection:
        """`by_files` copies the files of a template, which is quicker for large ones; from PostgreSQL 15 on."""
        name = name or f"test_{next(_numbers)}"
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        if by_files:
            statement += sql.SQL(" STRATEGY file_copy")
        if owner:
            statement += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
        with connect(self.connection, application="tests") as session:
            session.execute(statement)
        return self.connection.to(name)

    def drop_database(self, name: str) -> None:
        with connect(self.connection, application="tests") as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def a_database(self, name: str = "") -> Iterator[Connection]:
        connection = self.create_database(name)
        try:
            yield connection
        finally:
            self.drop_database(connection.dbname)

    def stop(self) -> None:
        self.process.stop()


class Servers:
    """All servers of one run."""

    def __init__(self) -> None:
        self._folder = open_folder("pghaven-tests-")
        self._servers: dict[int, Server] = {}

    def of(self, major: int) -> Server:
        if major not in self._servers or not self._servers[major].process.running:
            self._servers[major] = Server(installation_of(major), self._folder)
        return self._servers[major]

    def newest(self) -> Server:
        return self.of(newest_installation().major)

    def stop(self) -> None:
        for server in self._servers.values():
            server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
