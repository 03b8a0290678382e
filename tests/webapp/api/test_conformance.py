"""What /openapi.json promises, tried out by schemathesis: no 5xx, and no answer that is not in the document."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from storage.accounts.permissions import Role
from storage.opening import Storage, open_storage
from storage.postgres.connection import Connection
from storage.secret import Secret
from tests.hub import ANA, a_hub
from tests.servers import Server
from tests.webapp.api.conftest import Serving, serve
from tests.webapp.conftest import PASSWORD

pytestmark = pytest.mark.postgres


@pytest.fixture(params=list(Role))
def everything(
    request: pytest.FixtureRequest, api_storage: Storage, server: Server, tmp_path: Path
) -> Iterator[Serving]:
    """A pghaven that carries jobs out, and whose default database is a hub, for an account of each role."""
    with a_hub(server) as hub:
        yield from _serving(hub, request.param, api_storage, tmp_path)


def _serving(hub: Connection, role: Role, api_storage: Storage, tmp_path: Path) -> Iterator[Serving]:
    password = quote(hub.password.reveal if hub.password else "", safe="")
    url = f"postgresql://{hub.user}:{password}@/{hub.dbname}?host={hub.host}&port={hub.port}&sslmode=disable"
    storage = open_storage(
        replace(
            api_storage.settings,
            data_folder=tmp_path / "data",
            database_url=Secret(url),
            database_variable="DATABASE_URL",
            lock_wait_seconds=10,
            stall_seconds=60,
        )
    )
    storage.accounts.add("ana", role, Secret(PASSWORD))
    storage.accounts.link("ana", storage.databases.default().name, ANA)
    storage.runner.start()
    storage.working = True
    yield from serve(storage, token=storage.accounts.create_token("ana"))
    storage.stop()
    shutil.rmtree(tmp_path / "data", ignore_errors=True)


def test_every_answer_is_in_the_document(everything: Serving, tmp_path: Path) -> None:
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    run = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", f"http://127.0.0.1:{everything.port}/openapi.json",
            "--header", f"Authorization: Bearer {everything.token}",
            "--checks", checks, "--max-examples", "12", "--phases", "examples,coverage,fuzzing",
            "--seed", "7", "--request-timeout", "60", "--no-color",
        ],
        capture_output=True, text=True, cwd=tmp_path, timeout=400,
    )  # fmt: skip
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
