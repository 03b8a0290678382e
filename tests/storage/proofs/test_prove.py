"""A backup is proven by what comes out of it: on a real server, as a role without special rights, leaving nothing."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage.backups.proof import Outcome
from storage.backups.record import BackupRecord, BackupState
from storage.errors import Conflict, Unavailable, say
from storage.jobs.model import JobState
from storage.postgres.connection import connect
from storage.proofs import certificate
from storage.secret import Secret
from tests.archives import VIEW_FOR_SPITE, with_statement
from tests.servers import Server, open_folder
from tests.storage.proofs.conftest import ProvingHaven
from tests.storage.restores.conftest import SHOP, Haven
from tests.storage.restores.test_restricted import bring, dumped

pytestmark = pytest.mark.postgres


def test_a_good_backup_is_proven_and_nothing_is_left(proving: ProvingHaven) -> None:
    backup = proving.haven.take()
    job, record = proving.prove(backup)
    proof = record.proof
    assert job.state is JobState.COMPLETED, (job.error, proving.haven.log(job))
    assert proof is not None and proof.good and proof.outcome is Outcome.WHOLE
    assert (proof.tables, proof.rows, proof.same_schema) == (2, 2200, True)
    assert (proof.missing, proof.without, proof.reason) == ((), (), None)
    assert proof.server_version.startswith(str(proving.scratch.major))
    assert proof.program.startswith("pg_restore ")
    assert (proof.job_id, proof.by) == (job.job_id, "ana")
    assert proving.left() == set()
    assert job.result["scratch"] == ""


def test_the_certificate_tells_when_the_record_was_changed_afterwards(proving: ProvingHaven) -> None:
    _, record = proving.prove(proving.haven.take())
    assert record.proof is not None
    assert certificate.unchanged(record, record.proof)
    assert certificate.document(record, record.proof)["tables"][0]["table"] == "public.orders"
    table = replace(record.tables["public.orders"], rows=1)
    assert not certificate.unchanged(record.with_(tables={**record.tables, "public.orders": table}), record.proof)
    assert not certificate.unchanged(record.with_(sha256="0" * 64), record.proof)


def test_the_role_is_not_a_superuser_and_owns_what_it_restores(proving_of: Callable[..., ProvingHaven]) -> None:
    proving = proving_of(
        SHOP
        + """
        CREATE FUNCTION who() RETURNS text STABLE LANGUAGE sql AS
        $$ SELECT current_user || (SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles
                                   WHERE rolname = current_user) $$;
        CREATE MATERIALIZED VIEW witness AS SELECT who() AS name;
        CREATE FUNCTION check_witness() RETURNS bool LANGUAGE plpgsql AS $$
        BEGIN
            IF current_database() LIKE 'pghaven%' THEN RAISE EXCEPTION 'ran as %', public.who(); END IF;
            RETURN true;
        END $$;
        CREATE TABLE tells (n int CHECK (check_witness()));
        INSERT INTO tells VALUES (1);
        """
    )
    job, record = proving.prove(proving.haven.take())
    assert job.error is not None and "false" in job.error["words"] and "ran as pghaven_load_" in job.error["words"]
    assert record.proof is not None and record.proof.outcome is Outcome.FAILED
    assert proving.left() == set()


@pytest.fixture
def witness() -> Iterator[Path]:
    """A file that is not there, in a folder in which the server's account may write."""
    folder = open_folder("pghaven-witness-")
    folder.chmod(0o777)
    yield folder / "was-here"
    shutil.rmtree(folder)


def test_an_archive_that_starts_a_program_fails_and_leaves_no_file(proving: ProvingHaven, witness: Path) -> None:
    haven = proving.haven
    haven.run(VIEW_FOR_SPITE)
    backup = haven.take()
    path = haven.catalog.archive_path(backup)
    path.write_bytes(with_statement(path.read_bytes(), f"COPY (SELECT 'x') TO PROGRAM 'cat > {witness}';"))
    backup = as_written(proving, backup)
    job, record = proving.prove(backup)
    assert job.error is not None and job.error["kind"] == "Denied"
    assert "pg_execute_server_program" in job.error["words"]
    assert not witness.exists()
    assert record.state is BackupState.COMPLETE and record.proof is not None
    assert record.proof.outcome is Outcome.FAILED
    assert proving.left() == set()


def as_written(proving: ProvingHaven, backup: BackupRecord) -> BackupRecord:
    """The record of an archive that was changed, as if it had been written so."""
    content = proving.haven.catalog.archive_path(backup).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return proving.haven.catalog.change(
        backup.backup_id, lambda record: record.with_(sha256=sha256, bytes=len(content))
    )


@pytest.mark.parametrize("change", [{"rows": 1999}, {"digest": "1:0000000000000000"}])
def test_a_table_that_is_not_the_manifests_fails_the_proof_and_not_the_archive(
    proving: ProvingHaven, change: dict[str, object]
) -> None:
    backup = proving.haven.take()
    table = replace(backup.tables["public.orders"], **change)  # type: ignore[arg-type]
    proving.haven.catalog.change(
        backup.backup_id, lambda record: record.with_(tables={**record.tables, "public.orders": table})
    )
    job, record = proving.prove(backup)
    assert job.error is not None and "public.orders" in str(job.error["cause"])
    assert "not proven" in str(job.error["effect"])
    assert record.state is BackupState.COMPLETE
    assert record.proof is not None and not record.proof.good and record.proof.outcome is Outcome.FAILED
    assert record.proof.reason is not None and record.proof.certificate == ""
    assert proving.left() == set()


def test_an_archive_whose_bytes_have_changed_is_damaged_and_not_tried(proving: ProvingHaven) -> None:
    backup = proving.haven.take()
    path = proving.haven.catalog.archive_path(backup)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    job, record = proving.prove(backup)
    assert job.error is not None and job.error["kind"] == "Damaged"
    assert record.state is BackupState.DAMAGED and record.proof is None
    with pytest.raises(Conflict):
        proving.proofs.prove(backup.backup_id, by="ana")


EXTENDED = (
    SHOP
    + """
CREATE EXTENSION dblink;
CREATE EXTENSION pg_trgm;
CREATE TABLE linked (id int, at dblink_pkey_results);
CREATE VIEW on_linked AS SELECT id FROM linked;
CREATE TABLE words (word text);
CREATE INDEX words_trgm ON words USING gin (word gin_trgm_ops);
INSERT INTO linked VALUES (1, NULL);
INSERT INTO words VALUES ('haven');
CREATE ROLE app_of_proof_tests;
ALTER TABLE words ENABLE ROW LEVEL SECURITY;
ALTER TABLE words FORCE ROW LEVEL SECURITY;
CREATE POLICY only_app ON words TO app_of_proof_tests USING (word <> '');
"""
)


def test_what_only_a_superuser_may_create_is_named_and_the_rest_is_compared(
    proving_of: Callable[..., ProvingHaven], server: Server, server_of: Callable[[int], Server]
) -> None:
    elsewhere = server_of(17 if server.major != 17 else 16)
    proving = proving_of(EXTENDED, source=elsewhere if elsewhere.major < server.major else server)
    try:
        job, record = proving.prove(proving.haven.take())
        proof = record.proof
        assert job.state is JobState.COMPLETED, (job.error, proving.haven.log(job))
        assert proof is not None and proof.good and proof.outcome is Outcome.PART
        said = [str(message) for message in proof.missing]
        assert "extension dblink, which only a superuser may create" in said
        assert not [text for text in said if "pg_trgm" in text], "any role may create it"
        assert proof.without == ("public.linked",)
        assert proof.tables == 3
        assert certificate.document(record, proof)["missing"] == said
        if proving.haven.connection.address != proving.scratch.connection.address:
            assert "row security policy words only_app, for a role app_of_proof_tests" in said
        assert proving.left() == set()
    finally:
        proving.haven.run("DROP OWNED BY app_of_proof_tests; DROP ROLE app_of_proof_tests")


def test_what_16_dumps_of_a_server_15_is_proven_on_another_15(
    proving_of: Callable[..., ProvingHaven], server_of: Callable[[int], Server]
) -> None:
    proving = proving_of(source=server_of(15), scratch=server_of(15))
    backup = Haven(proving.haven.folder, proving.haven.connection, majors=(15, 16)).take()
    assert backup.program.startswith("pg_dump 16.") and backup.compression == "zstd:1"
    job, record = proving.prove(backup)
    assert job.state is JobState.COMPLETED, (job.error, proving.haven.log(job))
    proof = record.proof
    assert proof is not None and proof.outcome is Outcome.WHOLE and proof.same_schema
    assert proof.server_version.startswith("15.") and proof.program.startswith("pg_restore 16.")


def test_a_backup_of_a_newer_server_is_said_by_name_and_nothing_is_held_against_it(
    proving_of: Callable[..., ProvingHaven], server_of: Callable[[int], Server]
) -> None:
    proving = proving_of(source=server_of(17), scratch=server_of(15))
    job, record = proving.prove(proving.haven.take())
    assert job.error is not None and job.error["kind"] == "Unavailable"
    assert job.error["cause"]["facts"] == {"source": 17, "server": 15}
    assert record.proof is not None and record.proof.outcome is Outcome.UNTRIED
    assert record.state is BackupState.COMPLETE


def test_a_proof_that_could_not_be_tried_takes_nothing_from_one_that_came_off(proving: ProvingHaven) -> None:
    _, proven = proving.prove(proving.haven.take())

    def gone() -> None:
        raise Unavailable(say("There are no programs of a PostgreSQL server on this machine."))

    proving.server = gone  # type: ignore[assignment]
    job, record = proving.prove(proven)
    assert job.state is JobState.FAILED
    assert record.proof is not None and proven.proof is not None
    assert record.proof.tried_at is not None
    assert replace(record.proof, tried_at=None) == proven.proof


def test_a_scratch_server_may_be_reached_as_an_ordinary_role(proving: ProvingHaven) -> None:
    with connect(proving.scratch.connection, application="tests") as session:
        session.execute("CREATE ROLE prover LOGIN CREATEDB PASSWORD 'secret'")
    try:
        proving.server = lambda: replace(proving.scratch.connection, user="prover", password=Secret("secret"))
        job, record = proving.prove(proving.haven.take())
        assert job.state is JobState.COMPLETED, (job.error, proving.haven.log(job))
        assert record.proof is not None and record.proof.outcome is Outcome.WHOLE
        with connect(proving.scratch.connection, application="tests") as session:
            session.execute("ALTER ROLE prover NOCREATEDB")
        job, _ = proving.prove(record)
        assert job.error is not None and "may not create databases" in str(job.error["cause"])
        assert proving.left() == set()
    finally:
        with connect(proving.scratch.connection, application="tests") as session:
            session.execute("DROP ROLE prover")


def test_a_cancelled_proof_says_nothing_of_the_backup_and_leaves_nothing(proving: ProvingHaven) -> None:
    backup = proving.haven.take()
    job, _ = proving.proofs.prove(backup.backup_id, by="ana", background=False)

    def cancel_the_load(now: object) -> None:
        if proving.left():
            proving.haven.jobs.ask_to_stop(job.job_id, by="ben")

    done = proving.haven.runner.run_here(job, on_progress=cancel_the_load)
    assert done.state is JobState.CANCELLED
    assert proving.haven.catalog.get(backup.backup_id).proof is None
    assert proving.left() == set()


def test_an_uploaded_archive_is_counted_and_never_called_equal(proving: ProvingHaven) -> None:
    backup = bring(proving.haven, dumped(proving.haven))
    job, record = proving.prove(backup)
    assert job.state is JobState.COMPLETED, (job.error, proving.haven.log(job))
    assert record.proof is not None and record.proof.outcome is Outcome.PART
    assert (record.proof.tables, record.proof.rows, record.proof.same_schema) == (2, 2200, None)
    assert [str(message) for message in record.proof.missing] == [
        "a manifest to compare with: the backup was not taken here"
    ]
    assert not [line for line in proving.haven.log(job) if "equal to the manifest" in line]
    assert proving.left() == set()
