"""Uploads over a real connection: what they cost in memory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from storage.postgres.connection import Connection, write_pass_file
from tests.servers import Server
from tests.webapp.api.conftest import Serving, most_memory_grows_by, read_answer

pytestmark = pytest.mark.postgres

EDGE = "a-line-of-no-archive"
HEAD = (
    f'--{EDGE}\r\nContent-Disposition: form-data; name="database"\r\n\r\nelsewhere\r\n'
    f'--{EDGE}\r\nContent-Disposition: form-data; name="archive"; filename="big.dump"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
TAIL = f"\r\n--{EDGE}--\r\n".encode()


def test_an_upload_is_never_in_memory(serving: Serving, large: Connection, server: Server, tmp_path: Path) -> None:
    archive = tmp_path / "big.dump"
    environment = large.environment(write_pass_file(tmp_path, large), application="tests")
    subprocess.run(
        [server.installation.program("pg_dump"), "-Fc", "--compress=0", f"--file={archive}"],
        env={**environment, **server.installation.environment()},
        check=True,
    )
    size = archive.stat().st_size
    assert size > 90_000_000
    headers = (
        f"Content-Type: multipart/form-data; boundary={EDGE}\r\nContent-Length: {len(HEAD) + size + len(TAIL)}\r\n"
        "Accept: application/json\r\n"
    )
    with most_memory_grows_by() as grown:
        with (
            serving.connect("/backups/upload", method="POST", headers=headers) as connection,
            archive.open("rb") as file,
        ):
            connection.sendall(HEAD)
            connection.sendfile(file)
            connection.sendall(TAIL)
            answer = read_answer(connection)
        assert answer.status == 201, answer.body
        assert grown() < 24 << 20
    [kept] = serving.storage.backups.catalog.find(database="elsewhere")
    assert kept.bytes == size
