"""`pghaven tools`: the PostgreSQL programs of this machine, and installing more of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from storage.postgres import places, programs
from storage.postgres import tools as releases
from storage.postgres.programs import Installation
from storage.settings import Settings
from webapp.cli import answers


@click.group()
def tools() -> None:
    """PostgreSQL's own programs: list them, install more."""


@tools.command("list")
@answers.with_json
def list_(as_json: bool) -> None:
    """List the programs that were found, and those that cannot run, with what mends it."""
    settings = Settings.from_environment()
    folder = _tools_folder(settings)
    found = programs.find_installations(settings.pg_bin_dirs, folder)
    broken = programs.find_broken(settings.pg_bin_dirs, folder)
    if as_json:
        trouble = [
            {"folder": str(one.folder), "reason": str(one.reason), "mend": one.command or str(one.mend)}
            for one in broken
        ]
        return answers.document({"programs": [_facts(one) for one in found], "broken": trouble})
    if found:
        rows = [
            (
                str(one.major),
                one.version,
                "yes" if one.has_server else "no",
                "zstd" if one.zstd else "gzip",
                str(one.folder),
            )
            for one in found
        ]
        answers.table(("MAJOR", "VERSION", "SERVER", "COMPRESSION", "FOLDER"), rows)
    else:
        answers.line("No PostgreSQL programs were found. To install them: pghaven tools install 18")
    for one in broken:
        answers.note(f"{one.folder} cannot be used: {one.reason}\n  {one.mend}")
    return None


@tools.command()
@click.argument("major", type=int)
@answers.with_json
def install(major: int, as_json: bool) -> None:
    """Install the programs of PostgreSQL MAJOR (14 to 18) into pghaven's own folder."""
    folder = _tools_folder(Settings.from_environment())
    installed = releases.install(major, folder, lambda message: answers.note(str(message)))
    if as_json:
        return answers.document(_facts(installed))
    return answers.line(f"PostgreSQL {installed.version} is in {installed.folder}")


def _tools_folder(settings: Settings) -> Path:
    return places.tools_folder(settings.private_folder or places.private_folder())


def _facts(one: Installation) -> dict[str, Any]:
    return {
        "major": one.major,
        "version": one.version,
        "folder": str(one.folder),
        "has_server": one.has_server,
        "zstd": one.zstd,
    }
