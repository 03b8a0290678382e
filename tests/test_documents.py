"""The documents are true: every command, setting and permission is described, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from storage.accounts.permissions import PERMISSIONS, Role
from storage.settings import Settings
from tests.webapp.cli.test_json import commands

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "backups/README.md", "docs/faults.md")


class Listening(Mapping[str, str]):
    """An environment in which nothing is set, that remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def settings_asked_for() -> set[str]:
    environment = Listening()
    Settings.from_environment(environment)
    return environment.asked


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"`pghaven {name}" in README


@pytest.mark.parametrize("page", PAGES)
def test_every_option_that_a_page_names_is_one_of_its_command(page: str) -> None:
    known = dict(commands())
    wrong, seen = [], 0
    for line in (ROOT / page).read_text("utf-8").splitlines():
        for call in re.split(r"\bpghaven (?=[a-z])", line)[1:]:
            words = re.findall(r"[a-z-]+", call.partition("`")[0])
            command = next((known[name] for n in (3, 2, 1) if (name := " ".join(words[:n])) in known), None)
            if command is not None:
                seen += 1
                there = {"--help", "--json"} | {opt for parameter in command.params for opt in parameter.opts}
                named = re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", call)
                wrong += [(line, option) for option in named if option not in there]
    assert wrong == []
    assert seen > 20 or page != "README.md"


def test_every_setting_is_described_in_the_readme_and_no_other() -> None:
    table = README.split("## Settings")[1].split("\n## ")[0]
    described = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert described == settings_asked_for()


def test_every_permission_is_in_the_table_of_roles_with_whom_it_is_given_to() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| (yes|no) \| (yes|no) \|$", README, re.MULTILINE)
    told = {name: (admin == "yes", user == "yes") for name, admin, user in rows}
    assert told == {name: (Role.ADMIN in roles, Role.USER in roles) for name, roles in PERMISSIONS.items()}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_to_one(page: str) -> None:
    folder = (ROOT / page).parent
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8"))
    assert [link for link in links if not (folder / link).exists()] == []


def test_every_path_that_contributing_names_is_there() -> None:
    text = re.sub("## Not there yet.*?(?=## )", "", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), flags=re.DOTALL)
    paths = re.findall(r"`((?:storage|webapp|templates|static|tests|docs|benchmarks)/[\w./-]*)`", text)
    there = [path for path in paths if "NAME" not in path]
    assert there
    assert [path for path in there if not (ROOT / path).exists()] == []


def test_everything_in_the_data_folder_is_described() -> None:
    page = (ROOT / "backups/README.md").read_text("utf-8")
    told = {name for path in re.findall(r"`([^`]+)`", page) for name in path.split("/")}
    sources = [ROOT / "storage/opening.py", ROOT / "storage/backups/catalog.py", ROOT / "storage/accounts/accounts.py",
               *(ROOT / "storage/logs/cleanup").glob("cleanups.py")]  # fmt: skip
    made = {
        name
        for path in sources
        for name in re.findall(
            r'\b(?:metadata|folder|data_folder)(?: / "metadata")? / "([\w.]+)"', path.read_text("utf-8")
        )
    }
    assert {"archives", "destinations", "alerts", "retention", "exports"} <= made
    assert made - told == set()


def test_every_test_that_the_page_of_faults_names_is_there_and_every_fault_has_one() -> None:
    page = (ROOT / "docs/faults.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 44))
    assert [number for number, row in rows if "::test_" not in row] == []
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", page)
    there = {path: (ROOT / "tests" / path).read_text("utf-8") for path, _ in named}
    assert [(path, name) for path, name in named if f"\ndef {name}(" not in there[path]] == []


def test_every_criterion_of_story_1_7_has_a_test_that_names_it() -> None:
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"def test_story_1_7_ac(\d)_", tests))
    assert named == {"1", "2", "3", "4", "5", "6"}
