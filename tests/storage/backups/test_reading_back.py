"""Reading back beside the writing: says what a reading afterwards would say, also of archives that are broken."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from storage.backups.reading_back import ReadBack
from tests.storage.backups.conftest import FILL
from tests.storage.backups.test_take import do, programs_running
from tests.storage.backups.workshop import Workshop

pytestmark = pytest.mark.postgres


@pytest.fixture
def archive(workshop: Workshop) -> bytes:
    do(workshop.connection, FILL % 30000)
    _, record = workshop.take()
    return workshop.catalog.archive_path(record).read_bytes()


def read_while_written(workshop: Workshop, path: Path, content: bytes) -> tuple[str, str]:
    """Write a file in pieces, slower than it is read, and read it back meanwhile."""
    path.touch()
    with ReadBack(path, workshop.installations()[0]) as reading, path.open("ab", buffering=0) as file:
        piece = len(content) // 7 + 1
        for begin in range(0, len(content), piece):
            file.write(content[begin : begin + piece])
            time.sleep(0.03)
        reading.written(len(content))
        return reading.result(lambda: None)


def test_a_good_archive_is_read_in_full(workshop: Workshop, archive: bytes, tmp_path: Path) -> None:
    found, reason = read_while_written(workshop, tmp_path / "a", archive)
    assert (found, reason) == (hashlib.sha256(archive).hexdigest(), None)


@pytest.mark.parametrize("cut", [10, 5000, -20])
def test_an_archive_that_ends_too_early_cannot_be_decoded(
    workshop: Workshop, archive: bytes, tmp_path: Path, cut: int
) -> None:
    found, reason = read_while_written(workshop, tmp_path / "a", archive[:cut])
    assert found == hashlib.sha256(archive[:cut]).hexdigest()
    assert "pg_restore cannot read it in full" in str(reason)


def test_what_follows_the_point_where_pg_restore_gives_up_is_still_hashed(
    workshop: Workshop, archive: bytes, tmp_path: Path
) -> None:
    content = b"no archive at all" + archive * 40
    found, reason = read_while_written(workshop, tmp_path / "a", content)
    assert found == hashlib.sha256(content).hexdigest()
    assert "pg_restore cannot read it in full" in str(reason)


def test_a_reading_that_is_given_up_ends_at_once(workshop: Workshop, archive: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(archive[:-1000])
    started = time.monotonic()
    with ReadBack(path, workshop.installations()[0]):
        time.sleep(0.3)
        assert programs_running("pg_restore")
    assert time.monotonic() - started < 3
    assert not programs_running("pg_restore")
    assert not [thread for thread in threading.enumerate() if thread.name in ("reading back", "decoding")]
