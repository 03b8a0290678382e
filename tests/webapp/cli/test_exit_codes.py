from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from storage import errors
from storage.errors import Conflict, LockHeld, ProgramFailed, StorageError, Unreachable, say
from webapp.cli import main, refusals


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound(say("x")), 3),
        (Conflict(say("x")), 4),
        (LockHeld("shop", "somebody"), 4),
        (errors.Invalid(say("x")), 5),
        (errors.InvalidRecord(say("x")), 5),
        (errors.Unavailable(say("x")), 6),
        (Unreachable("password", say("x")), 6),
        (errors.Damaged(say("x")), 7),
        (errors.Denied(say("x")), 8),
        (errors.JobCancelled("ana"), 130),
        (ProgramFailed("pg_dump", 1, ()), 1),
        (StorageError(say("x")), 1),
    ],
)
def test_every_refusal_has_one_exit_code(error: StorageError, code: int) -> None:
    assert refusals.exit_code(error) == code


def test_a_kind_read_from_a_newer_record_counts_as_failed() -> None:
    assert refusals.exit_code_of_kind("SomethingNew") == refusals.FAILED


def test_help_names_every_exit_code() -> None:
    help_text = CliRunner().invoke(main, ["--help"]).stdout
    for code in {refusals.DONE, refusals.USAGE, *refusals.EXIT_CODES.values()}:
        assert re.search(rf"^ *{code}  ", help_text, re.MULTILINE), f"{code} is not explained"


def test_a_refusal_says_first_what_happened_to_the_data() -> None:
    words = refusals.in_words(Conflict(say("It is taken."), advice=say("Try later.")).to_json())
    assert words == "Nothing was changed. It is taken. Try later."


def test_what_a_server_said_cannot_move_the_cursor() -> None:
    error = ProgramFailed("pg_dump", 1, ("\x1b[2Jgone \x07",))
    assert "\x1b" not in refusals.in_words(error.to_json())
    assert "\\x1b[2Jgone \\x07" in refusals.in_words(error.to_json())


def test_a_command_that_was_not_understood_ends_with_2_and_in_json_too() -> None:
    outcome = CliRunner().invoke(main, ["backups", "tak", "--json"])
    assert outcome.exit_code == 2
    assert '"kind": "Usage"' in outcome.stdout
    outcome = CliRunner().invoke(main, ["backups", "tak"])
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert "tak" in outcome.stderr
