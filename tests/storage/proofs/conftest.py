"""A haven whose backups can be proven on a server of the test's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.backups.record import BackupRecord
from storage.clock import utc_now
from storage.jobs.model import Job
from storage.postgres.connection import Connection, connect
from storage.proofs.proofs import Proofs
from storage.proofs.prove import Prover
from tests.servers import Server, installation_of, installations
from tests.storage.restores.conftest import SHOP, Haven, a_haven, databases_of


class ProvingHaven:
    """A haven, and the scratch server that its backups are proven on."""

    def __init__(self, haven: Haven, scratch: Server) -> None:
        self.haven, self.scratch = haven, scratch
        self.server: Callable[[], Connection] = lambda: scratch.connection
        self.proofs = Proofs(
            prover=Prover(
                catalog=haven.catalog,
                staging=haven.staging,
                settings=haven.settings,
                clock=utc_now,
                installations=lambda: (scratch.installation, installation_of(16), *installations()),
                server=lambda: self.server(),
            ),
            catalog=haven.catalog,
            jobs=haven.jobs,
            runner=haven.runner,
            clock=utc_now,
            databases=lambda: ["shop"],
            server=lambda: self.server(),
            every=None,
        )

    def prove(self, backup: BackupRecord, **options: Any) -> tuple[Job, BackupRecord]:
        """Carry a proof out; its job and the backup's record as they are afterwards."""
        job, _ = self.proofs.prove(backup.backup_id, by="ana", background=False)
        done = self.haven.runner.run_here(job, **options)
        return done, self.haven.catalog.get(backup.backup_id)

    def left(self) -> set[str]:
        """Databases and roles of proofs that are on the scratch server."""
        with connect(self.scratch.connection, application="tests") as session:
            roles = {name for (name,) in session.execute("SELECT rolname::text FROM pg_roles")}
        found = databases_of(self.scratch.connection) | roles
        return {name for name in found if name.startswith(("pghaven_proof_", "pghaven_load_"))}


@pytest.fixture
def proving(server: Server, storage_folder: Path) -> Iterator[ProvingHaven]:
    """The shop and the scratch server on the newest server."""
    for haven in a_haven(server, storage_folder):
        yield ProvingHaven(haven, server)


@pytest.fixture
def proving_of(server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., ProvingHaven]:
    """proving_of(schema) has another shop; `source` and `scratch` are other servers."""

    def make(schema: str = SHOP, *, source: Server | None = None, scratch: Server | None = None) -> ProvingHaven:
        makes = a_haven(source or server, tmp_path, schema=schema)
        made = next(makes)
        request.addfinalizer(lambda: next(makes, None))
        return ProvingHaven(made, scratch or server)

    return make
