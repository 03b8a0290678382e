from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.webapp.cli.test_json import commands
from webapp.cli import main


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_says_what_it_is_for_and_takes_json(name: str) -> None:
    outcome = CliRunner().invoke(main, [*name.split(), "--help"])
    assert outcome.exit_code == 0
    sentence = outcome.stdout.split("\n\n")[1].strip()
    assert sentence[0].isupper(), sentence
    assert "--json" in outcome.stdout


def test_every_option_says_what_it_does() -> None:
    silent = [
        f"{name} {option.opts[0]}"
        for name, command in commands()
        for option in command.params
        if option.param_type_name == "option" and not getattr(option, "help", "") and option.name != "role"
    ]
    assert silent == []


def test_a_group_alone_lists_its_verbs() -> None:
    outcome = CliRunner().invoke(main, ["backups"])
    assert outcome.exit_code == 2
    assert "take" in outcome.stderr + outcome.stdout


def test_commands_do_not_wait_for_flask() -> None:
    ask = "import sys, webapp.cli; print('flask' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", ask], text=True) == "False\n"
