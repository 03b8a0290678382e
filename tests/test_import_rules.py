"""The rules of who may import whom: storage knows no web, imports go down, capabilities of the web stay apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
STORAGE, WEBAPP = ROOT / "storage", ROOT / "webapp"

WEB_ONLY = {"flask", "flask_babel", "flask_login", "flask_wtf", "htmx_flask", "werkzeug", "jinja2", "click", "rich",
            "waitress", "webapp"}  # fmt: skip

LAYERS: dict[str, float] = {
    "errors": 0, "clock": 0, "identifiers": 0, "settings": 0, "secret": 0, "crashpoints": 0, "reserve": 0,
    "destinations": 1.5, "locks": 1, "staging": 1, "jsonfiles": 1, "audit": 1.5, "alerts": 1.5,
    "postgres": 2, "schema": 2,
    "schedules": 3.2, "jobs": 3, "databases": 3.5, "applications": 3,
    "backups": 4, "restores": 4.5, "proofs": 4.7, "bundles": 4, "sync": 4, "logs": 4.3, "accounts": 4,
    "lookout": 4.8, "upkeep": 4.9, "opening": 5,
}  # fmt: skip
"""Imports go from higher to lower numbers; within one number only a folder's own modules."""

CAPABILITIES = {path.name for path in WEBAPP.iterdir() if (path / "__init__.py").exists()} - {"cli", "translations"}


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it; relative ones are written out."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                start = ".".join(package[: len(package) - level + 1]) if level else ""
                origin = ".".join(part for part in (start, module or "") if part)
                yield from (f"{origin}.{alias.name}" for alias in names)


def modules(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.py")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def part_of_storage(name: str) -> str | None:
    head, _, rest = name.partition(".")
    return rest.partition(".")[0] if head == "storage" and rest else None


def test_storage_knows_nothing_of_the_web() -> None:
    guilty = {
        (named(path), name) for path in modules(STORAGE) for name in imports(path) if name.partition(".")[0] in WEB_ONLY
    }
    assert guilty == set()


def test_every_part_of_storage_has_its_place() -> None:
    parts = {path.stem for path in STORAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} <= LAYERS.keys()


def test_inside_storage_imports_go_down() -> None:
    guilty = set()
    for path in modules(STORAGE):
        ours = path.relative_to(STORAGE).parts[0].removesuffix(".py")
        if ours == "__init__":
            continue
        for name in imports(path):
            theirs = part_of_storage(name)
            if theirs and theirs != ours and LAYERS[theirs] >= LAYERS[ours] and LAYERS[ours] != 0:
                guilty.add((named(path), name))
    assert guilty == set()


def test_the_foundation_imports_nothing_but_itself() -> None:
    foundation = {part for part, layer in LAYERS.items() if layer == 0}
    guilty = {
        (named(path), name)
        for part in foundation
        for path in [STORAGE / f"{part}.py"]
        if path.exists()
        for name in imports(path)
        if (theirs := part_of_storage(name)) and theirs not in foundation
    }
    assert guilty == set()


def test_a_capability_of_the_web_imports_no_other() -> None:
    guilty = set()
    for capability in CAPABILITIES:
        for path in modules(WEBAPP / capability):
            for name in imports(path):
                parts = name.split(".")
                if parts[0] == "webapp" and len(parts) > 1 and parts[1] in CAPABILITIES - {capability}:
                    guilty.add((named(path), name))
    assert guilty == set()


def test_only_the_openers_import_opening() -> None:
    """Everybody else is handed what it needs."""
    guilty = {named(path) for path in modules(STORAGE) for name in imports(path) if part_of_storage(name) == "opening"}
    assert guilty <= {"storage/opening.py"}


def test_libpqs_programs_are_started_in_one_folder_only() -> None:
    guilty = {
        named(path)
        for path in modules(STORAGE)
        if path.relative_to(STORAGE).parts[0] != "postgres"
        and any(name.partition(".")[0] == "subprocess" for name in imports(path))
    }
    assert guilty == set()
