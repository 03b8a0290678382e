"""Rules for the repository as a whole: what may not be in a file of it, and that set-up fetches only what is locked."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "yarnpkg" + ".com")
INDEX_OPTION = re.compile(r"(--(extra-)?index-url|--find-links)[ =]\S|^registry\s*=", re.MULTILINE)
HOME_OF_SOMEBODY = re.compile(r"(?<![\w.])/(root|work|opt/wheels|farm|home/(?!ada|user|pghaven|you)\w+)/\w")


def texts() -> Iterator[tuple[str, str]]:
    """Every file that is in git, or would be added, with its text."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout")
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file() and path != Path(__file__):
            yield name, path.read_bytes().decode("utf-8", "ignore")


def test_no_file_holds_the_address_of_a_package_registry() -> None:
    guilty = [name for name, text in texts() if INDEX_OPTION.search(text) or any(host in text for host in REGISTRIES)]
    assert guilty == []


def test_no_file_holds_a_path_of_one_machine() -> None:
    guilty = {name: match[0] for name, text in texts() if (match := HOME_OF_SOMEBODY.search(text))}
    assert guilty == {}


@pytest.mark.parametrize(
    "lock", ["requirements.lock", "tests/requirements.lock", ".ci/nodejs.lock", "storage/postgres/tools.lock"]
)
def test_everything_in_a_lock_has_an_exact_version_and_hashes(lock: str) -> None:
    blocks = re.split(r"\n(?=\w)", (ROOT / lock).read_text())
    for block in (block for block in blocks if not block.startswith("#")):
        assert re.match(r"[\w.-]+==\d", block), block[:60]
        assert "--hash=sha256:" in block, block[:60]


def test_the_tests_run_on_the_same_versions_as_the_program() -> None:
    def pins(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))

    assert pins("requirements.lock").items() <= pins("tests/requirements.lock").items()


def test_front_end_assets_are_locked_with_their_integrity_and_htmx_is_of_the_second_major() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    fetched = {name.removeprefix("node_modules/"): package for name, package in packages.items() if name}
    assert set(fetched) == {"@picocss/pico", "htmx.org", "uplot"}
    assert all(package["integrity"].startswith("sha512-") for package in fetched.values())
    assert fetched["htmx.org"]["version"].startswith("2.")


def test_git_ignores_the_data_and_not_the_code_of_the_same_name() -> None:
    def ignored(path: str) -> bool:
        return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False).returncode == 0

    assert ignored("backups/metadata/backups/x.json")
    assert ignored("static/vendor/htmx.min.js")
    assert not ignored("backups/README.md")
    assert not ignored("storage/backups/take.py")
    assert not ignored("templates/backups/show.html")


def test_every_command_of_the_makefile_says_what_it_does() -> None:
    rules = re.findall(r"^(?!setup-dev)([a-z-]+):(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"setup", "run", "test", "check", "bench", "lock"} <= {name for name, _ in rules}
    assert [name for name, rest in rules if "## " not in rest] == []
