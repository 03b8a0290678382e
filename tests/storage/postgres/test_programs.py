"""Finding programs on disks made for the purpose, and choosing among them: pure tables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage.postgres import programs
from storage.postgres.programs import BrokenInstallation, Installation


def an_installation(major: int, *, zstd: bool | None = None, has_server: bool = True, folder: str = "") -> Installation:
    zstd = major >= 16 if zstd is None else zstd
    return Installation(
        folder=Path(folder or f"/pg/{major}/bin"), major=major, version=f"{major}.4", has_server=has_server, zstd=zstd
    )


ALL = tuple(an_installation(major) for major in (17, 14, 18, 16, 15))


def major_of(installation: Installation | None) -> int | None:
    return installation.major if installation else None


@pytest.mark.parametrize(
    ("present", "server", "exported", "kept"),
    [
        ((14, 15, 16, 17, 18), 14, 14, 14),
        ((14, 15, 16, 17, 18), 15, 15, 16),
        ((14, 15, 16, 17, 18), 16, 16, 16),
        ((14, 15, 16, 17, 18), 17, 17, 17),
        ((14, 15, 17, 18), 15, 15, 15),  # what 17 makes does not go back into a server 15
        ((16, 18), 14, 16, 16),
        ((14, 18), 15, 18, 18),
        ((15,), 13, 15, 15),
        ((15,), 16, None, None),
        ((), 15, None, None),
    ],
)
def test_a_dump_takes_the_lowest_major_that_is_not_below_the_server_but_16_for_an_archive_of_15_that_is_kept(
    present: tuple[int, ...], server: int, exported: int | None, kept: int | None
) -> None:
    found = [an_installation(major) for major in present]
    assert major_of(programs.for_export(found, server)) == exported
    assert major_of(programs.for_dump(found, server)) == kept


def test_a_server_15_is_dumped_with_16_only_where_that_has_zstd() -> None:
    own, without = an_installation(15), an_installation(16, zstd=False, folder="/a")
    having = an_installation(16, zstd=True, folder="/b")
    assert programs.for_dump([own, without], 15) == own
    assert programs.for_dump([own, without, having], 15) == having
    assert programs.for_dump([own, without, having], 16) == without


@pytest.mark.parametrize(
    ("archive_format", "zstd", "target", "chosen"),
    [
        ((1, 14), False, 14, 14),
        ((1, 14), False, 18, 14),
        ((1, 15), False, 15, 16),
        ((1, 15), True, 15, 16),
        ((1, 16), False, 17, 17),
        ((1, 16), False, 18, 17),
        ((1, 16), False, 16, None),  # 17 reads it, and sends a setting that a server 16 refuses
        ((1, 17), False, 18, None),
    ],
)
def test_a_restore_takes_the_lowest_major_that_reads_the_archive_and_speaks_to_the_target(
    archive_format: tuple[int, int], zstd: bool, target: int, chosen: int | None
) -> None:
    assert major_of(programs.for_restore(ALL, archive_format, zstd, target)) == chosen


def test_an_archive_with_zstd_is_not_given_to_a_program_without_it() -> None:
    without, having = an_installation(16, zstd=False, folder="/a"), an_installation(16, zstd=True, folder="/b")
    assert programs.for_restore([without, having], (1, 15), True, 16) == having
    assert programs.for_restore([without, having], (1, 15), False, 16) == without
    assert programs.for_restore([without], (1, 15), True, 16) is None


def test_the_server_is_the_newest_that_has_one() -> None:
    assert major_of(programs.for_server([*ALL[:2], an_installation(18, has_server=False)])) == 17
    assert programs.for_server([an_installation(18, has_server=False)]) is None


def test_of_equal_majors_the_first_found_is_taken_so_that_configured_folders_win() -> None:
    configured, system = an_installation(16, folder="/mine"), an_installation(16, folder="/system")
    assert programs.for_dump([configured, system], 16) == configured
    assert programs.for_server([configured, system]) == configured


def a_program(folder: Path, name: str, *, says: str, code: int = 0, to: str = "1") -> Path:
    """A stand-in that answers every question with the same words."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}' >&{to}\nexit {code}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without PostgreSQL: an empty PATH and no system folders; the folder is the tools folder."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", ())
    return tmp_path / "tools"


def test_what_is_found_comes_in_order_configured_then_path_then_own(
    nothing_else: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    a_program(tmp_path / "configured", "pg_dump", says="pg_dump (PostgreSQL) 14.23")
    a_program(tmp_path / "on path", "pg_dump", says="pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)")
    a_program(nothing_else / "18.6.0" / "bin", "pg_dump", says="pg_dump (PostgreSQL) 18.6")
    a_program(nothing_else / "18.10.0" / "bin", "pg_dump", says="pg_dump (PostgreSQL) 18.10")
    a_program(nothing_else / ".staging-x" / "bin", "pg_dump", says="pg_dump (PostgreSQL) 17.11")
    monkeypatch.setenv("PATH", f"{tmp_path / 'on path'}{os.pathsep}/nowhere")

    found = programs.find_installations([tmp_path / "configured"], nothing_else)

    assert [(one.major, one.version) for one in found] == [(14, "14.23"), (15, "15.18"), (18, "18.10"), (18, "18.6")]
    assert not any(one.has_server for one in found)


def test_one_folder_under_two_names_is_one_installation(nothing_else: Path, tmp_path: Path) -> None:
    program = a_program(tmp_path / "real", "pg_dump", says="pg_dump (PostgreSQL) 16.4")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "pg_dump").symlink_to(program)
    found = programs.find_installations([tmp_path / "linked", tmp_path / "real"], nothing_else)
    assert [one.folder for one in found] == [tmp_path / "real"]


def test_debians_wrapper_is_not_an_installation(nothing_else: Path, tmp_path: Path) -> None:
    wrapper = a_program(tmp_path / "share", "pg_wrapper", says="pg_dump (PostgreSQL) 15.18")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pg_dump").symlink_to(wrapper)
    assert programs.find_installations([tmp_path / "bin"], nothing_else) == ()


def test_a_program_that_lacks_a_library_is_reported_with_what_mends_it(nothing_else: Path, tmp_path: Path) -> None:
    trouble = "error while loading shared libraries: libssl.so.3: cannot open shared object file"
    a_program(tmp_path / "pg", "pg_dump", says=trouble, code=127, to="2")
    assert programs.find_installations([tmp_path / "pg"], nothing_else) == ()
    (broken,) = programs.find_broken([tmp_path / "pg"], nothing_else)
    assert "libssl.so.3" in str(broken.reason)
    assert broken.mend


def test_clients_stay_usable_where_only_the_server_lacks_a_library(nothing_else: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pg"
    a_program(folder, "pg_dump", says="pg_dump (PostgreSQL) 18.6")
    a_program(folder, "initdb", says="initdb (PostgreSQL) 18.6")
    a_program(folder, "postgres", says="error while loading shared libraries: libxml2.so.2", code=127, to="2")
    installation, broken = programs.look([folder], nothing_else)
    assert isinstance(installation, Installation)
    assert not installation.has_server
    assert isinstance(broken, BrokenInstallation)
    assert "libxml2" in str(broken.reason)


def test_a_configured_folder_without_programs_is_reported(nothing_else: Path, tmp_path: Path) -> None:
    (broken,) = programs.find_broken([tmp_path / "typo"], nothing_else)
    assert broken.folder == tmp_path / "typo"
    assert "PG_BIN_DIRS" in str(broken.mend)


def test_a_program_is_asked_again_when_its_file_has_changed(nothing_else: Path, tmp_path: Path) -> None:
    program = a_program(tmp_path, "pg_dump", says="pg_dump (PostgreSQL) 16.3")
    assert [one.version for one in programs.find_installations([tmp_path], nothing_else)] == ["16.3"]
    program.write_text(program.read_text().replace("16.3", "16.15"))
    os.utime(program, ns=(1, 1))
    assert [one.version for one in programs.find_installations([tmp_path], nothing_else)] == ["16.15"]


def test_zstd_is_what_the_program_can_do_and_not_what_its_version_says(nothing_else: Path, tmp_path: Path) -> None:
    def answering(name: str, words: str) -> Path:
        program = a_program(tmp_path / name, "pg_dump", says=words)
        program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 17.2" || echo "{words}"\n')
        return program.parent

    with_zstd = answering("with", "pg_dump: error: connection to server on socket failed: No such file or directory")
    without = answering("without", "pg_dump: error: this build does not support compression with ZSTD")
    found = programs.find_installations([with_zstd, without], nothing_else)
    assert [one.zstd for one in found] == [True, False]


def test_programs_that_bring_their_own_libpq_get_it_into_their_environment(nothing_else: Path, tmp_path: Path) -> None:
    a_program(tmp_path / "bin", "pg_dump", says="pg_dump (PostgreSQL) 18.6")
    assert programs.find_installations([tmp_path / "bin"], nothing_else)[0].environment() == {}
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libpq.so.5").touch()
    installation = programs.find_installations([tmp_path / "bin"], nothing_else)[0]
    assert installation.environment() == {"LD_LIBRARY_PATH": str(tmp_path / "lib")}
    assert installation.program("psql") == tmp_path / "bin" / "psql"
