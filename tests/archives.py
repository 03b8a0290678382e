"""Archives that are not what pg_dump would write: made from real ones, byte by byte."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from storage.postgres.archive import MAGIC
from storage.postgres.connection import Connection, write_pass_file
from tests.servers import Server

VIEW_FOR_SPITE = "CREATE VIEW spite AS SELECT '" + "x" * 2000 + "'::text AS room;"
"""A view whose definition has room for other statements."""


def with_statement(archive: bytes, statement: str) -> bytes:
    """The archive with `statement` in place of the definition of the view `spite`. In the list of pg_restore it is
    still that view; the length stays the same, so that nothing else has to be changed."""
    begins = archive.index(b"CREATE VIEW public.spite")
    length = int.from_bytes(archive[begins - 4 : begins], "little")
    assert archive[begins - 5] == 0 and b"x" * 2000 in archive[begins : begins + length]
    return archive[:begins] + statement.encode().ljust(length) + archive[begins + length :]


def of_version(archive: bytes, major: int, minor: int) -> bytes:
    """The archive, saying that its format has another version."""
    at = len(MAGIC)
    return archive[:at] + bytes((major, minor)) + archive[at + 2 :]


def dump(server: Server, connection: Connection, *options: str) -> bytes:
    """What pg_dump writes in the custom format, without pghaven."""
    with tempfile.TemporaryDirectory() as folder:
        environment = connection.environment(write_pass_file(Path(folder), connection), application="tests")
        done = subprocess.run(
            [server.installation.program("pg_dump"), "--format=custom", *options],
            env=environment | server.installation.environment(),
            check=True,
            capture_output=True,
        )
    return done.stdout
