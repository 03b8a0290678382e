"""The catalog: found, filtered, rebuilt from beside the archives, and settled after a crash at any stroke."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from storage.backups.catalog import Catalog, publish
from storage.backups.record import BackupRecord, BackupState
from storage.clock import utc_now
from tests.builders import a_backup
from tests.storage.backups.conftest import FILL
from tests.storage.backups.test_take import do
from tests.storage.backups.workshop import Workshop


@pytest.fixture
def catalog(storage_folder: Path) -> Catalog:
    return Catalog(storage_folder, clock=utc_now)


def with_archive(catalog: Catalog, **facts: object) -> BackupRecord:
    """A record whose archive is really there, five bytes of it."""
    record = a_backup(database="shop", bytes=5, **facts)  # type: ignore[arg-type]
    record = record.with_(archive=f"archives/shop/{record.backup_id}.dump")
    path = catalog.archive_path(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PGDMP")
    catalog.save(record)
    return record


def test_a_lost_catalog_is_rebuilt_from_beside_the_archives(catalog: Catalog, storage_folder: Path) -> None:
    record = with_archive(catalog)
    for path in (storage_folder / "metadata" / "backups").glob("*.json"):
        path.unlink()
    assert catalog.all() == []
    assert catalog.rebuild() == [record]
    assert catalog.get(record.backup_id) == record


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 99}', b"\x00\xff"])
def test_a_record_that_cannot_be_read_is_put_aside_and_brought_back(
    catalog: Catalog, storage_folder: Path, content: bytes
) -> None:
    record, other = with_archive(catalog), a_backup(database="wiki")
    catalog.save(other)
    path = storage_folder / "metadata" / "backups" / f"{record.backup_id}.json"
    path.write_bytes(content)
    fresh = Catalog(storage_folder, clock=utc_now)
    assert other in fresh.all()
    assert fresh.get(record.backup_id) == record
    assert (path.parent / "quarantine" / path.name).read_bytes() == content


def a_publication(catalog: Catalog) -> tuple[BackupRecord, BackupRecord, Path]:
    """A take just before its last three strokes: the record as it is, as it will be, and the staged archive."""
    taking = a_backup(database="shop", state=BackupState.TAKING, archive="", bytes=0)
    catalog.save(taking)
    whole = taking.with_(state=BackupState.COMPLETE, archive="archives/shop/backup_shop_x.dump", bytes=5)
    staged = catalog.data_folder / "staged.dump"
    staged.write_bytes(b"PGDMP")
    return taking, whole, staged


@pytest.mark.parametrize("strokes", [0, 1, 2, 3])
def test_a_crash_between_the_strokes_of_publishing_ends_whole_or_not_at_all(catalog: Catalog, strokes: int) -> None:
    taking, whole, staged = a_publication(catalog)
    if strokes >= 1:
        catalog.save_copy(whole)
    if strokes >= 2:
        publish(staged, catalog.archive_path(whole))
    if strokes >= 3:
        catalog.save(whole)
    catalog.settle(is_alive=lambda job_id: False)
    after = catalog.get(taking.backup_id)
    assert after.state is (BackupState.COMPLETE if strokes >= 2 else BackupState.INTERRUPTED)
    left = sorted(path.name for path in (catalog.archives / "shop").glob("*")) if strokes else []
    assert left == (["backup_shop_x.dump", "backup_shop_x.json"] if strokes >= 2 else [])


def test_a_take_that_still_runs_elsewhere_is_left_alone(catalog: Catalog) -> None:
    taking, _, _ = a_publication(catalog)
    assert catalog.settle(is_alive=lambda job_id: True) == []
    assert catalog.get(taking.backup_id).state is BackupState.TAKING


@pytest.mark.postgres
@pytest.mark.parametrize("moment", ["dump", "half", "count", "verify"])
def test_kill_9_of_pghaven_leaves_no_process_no_file_and_free_locks(
    workshop: Workshop, tmp_path: Path, moment: str
) -> None:
    do(workshop.connection, FILL % 600000)
    program = tmp_path / "taking.py"
    program.write_text(
        textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(Path.cwd())!r})
        from pathlib import Path
        from storage.postgres.connection import Connection
        from storage.secret import Secret
        from tests.storage.backups.workshop import Workshop
        connection = Connection(host={workshop.connection.host!r}, port={workshop.connection.port},
            user={workshop.connection.user!r}, dbname={workshop.connection.dbname!r},
            password=Secret({workshop.connection.password.reveal if workshop.connection.password else ""!r}))
        workshop = Workshop(folder=Path({str(workshop.folder)!r}), connection=connection, majors={workshop.majors!r})
        job, _ = workshop.backups.take("shop", by="a test", background=False)
        def on_progress(job):
            shown = job.progress
            half = shown.step == "dump" and shown.written and shown.total and shown.done * 2 > shown.total
            if shown.step == {moment!r} or ({moment!r} == "half" and half):
                print(job.job_id, flush=True)
                time.sleep(60)  # here it is killed, and what it had started is still at work
        workshop.runner.run_here(job, on_progress=on_progress)
        """)
    )
    process = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    job_id = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 1
    while (left := processes_naming(f"pghaven {job_id}")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    # What the next start does.
    [job] = workshop.store.mark_interrupted()
    [record] = workshop.catalog.settle(is_alive=lambda job_id: False)
    assert job.job_id == job_id
    assert job.state.value == record.state.value == "interrupted"
    from storage.staging import Staging

    Staging(workshop.folder / "staging").sweep()
    assert workshop.files() == []
    assert not workshop.locks.is_held("database-shop")
    for path in workshop.folder.rglob("*.json"):
        json.loads(path.read_text())
    assert workshop.take()[1].good


def processes_naming(application: str) -> list[str]:
    """Commands of the processes whose environment names one of our sessions."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if application.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found
