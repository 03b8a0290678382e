"""The one contract of all destinations: a folder and a real S3 server, tested by the same tests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from storage.destinations import testing
from storage.destinations.destination import parse_url
from storage.destinations.store import LEAST_PART, Store, part_size
from storage.errors import Denied, JobCancelled, NotFound, StorageError, Unavailable
from tests.storage.destinations.places import ObjectServer, Place


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three parts of an upload, and a bit."""
    path = tmp_path / "archive"
    path.write_bytes(os.urandom(LEAST_PART * 3 + 12_345))
    return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_was_put_comes_back(place: Place, archive: Path, tmp_path: Path) -> None:
    store = Store(place("one"))
    seen: list[int] = []
    store.put_file("shop/a b%20ü.dump", archive, on_bytes=seen.append)
    assert seen[-1] == archive.stat().st_size
    assert store.size("shop/a b%20ü.dump") == archive.stat().st_size
    assert store.sha256("shop/a b%20ü.dump") == sha256_of(archive)
    store.fetch("shop/a b%20ü.dump", tmp_path / "back")
    assert sha256_of(tmp_path / "back") == sha256_of(archive)


def test_it_lists_and_deletes(place: Place) -> None:
    store = Store(place("two"))
    for key in ("shop/1", "shop/2", "wiki/1"):
        store.put_bytes(key, key.encode())
    assert sorted(entry.key for entry in store.list("shop")) == ["shop/1", "shop/2"]
    assert {entry.key: entry.bytes for entry in store.list()}["wiki/1"] == 6
    store.delete("shop/1")
    store.delete("shop/1")
    assert store.size("shop/1") is None
    with pytest.raises(NotFound):
        store.read("shop/1")
    assert store.read("shop/2") == b"shop/2"


def test_an_upload_that_is_given_up_leaves_nothing(place: Place, archive: Path) -> None:
    store = Store(place("three"))
    looks = []

    def watch() -> None:
        looks.append(1)
        if len(looks) == 20:
            raise JobCancelled("ana")

    with pytest.raises(JobCancelled):
        store.put_file("shop/half", archive, watch=watch)
    assert store.size("shop/half") is None
    assert list(store.list()) == []


def test_trying_it_out_leaves_nothing(place: Place) -> None:
    destination = place("four")
    testing.try_out(destination)
    assert list(Store(destination).list()) == []


def test_a_folder_keeps_copies_for_their_owner_alone_and_nothing_of_what_was_deleted(
    tmp_path: Path, archive: Path
) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    for folder in (tmp_path / "shared", tmp_path / "made"):
        destination = parse_url("folder", str(folder))
        testing.try_out(destination)
        assert list(folder.iterdir()) == []
        store = Store(destination)
        store.put_file("shop/one.dump", archive)
        store.put_bytes("shop/one.dump.json", b"{}")
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
        assert modes == {"shop": 0o700, "one.dump": 0o600, "one.dump.json": 0o600}
        store.delete("shop/one.dump")
        store.delete("shop/one.dump.json")
        assert list(folder.iterdir()) == []
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700


def test_a_wrong_secret_is_told_apart_from_a_server_that_is_not_there(object_server: ObjectServer) -> None:
    with pytest.raises(Denied) as refused:
        testing.try_out(object_server.destination(secret="wrong"))
    assert "SignatureDoesNotMatch" in refused.value.words or "403" in refused.value.words
    nowhere = object_server.destination().with_(options={"endpoint": "http://127.0.0.1:1", "region": "us-east-1"})
    with pytest.raises(Unavailable):
        testing.try_out(nowhere)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        testing.try_out(parse_url("odd", str(tmp_path / "file" / "copies")))


def test_parts_are_large_enough_for_600_gigabytes() -> None:
    assert part_size(1) == LEAST_PART
    size = 600 * 10**9
    assert size / part_size(size) <= 10_000
    assert part_size(size) < 100 << 20
