"""pg_restore's argument list and the plain names of its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import Damaged, Denied, ProgramFailed, StorageError, Unavailable
from storage.postgres import restoring


def test_the_command_holds_constants_and_our_own_paths_alone() -> None:
    command = restoring.restore_command(
        Path("/bin/pg_restore"), Path("/data/x.dump"), jobs=2, no_owner=True, sections=("data",), entries=Path("/s/e")
    )
    assert command == [
        "/bin/pg_restore",
        "--dbname=connect_timeout=10",
        "--no-password",
        "--verbose",
        "--exit-on-error",
        "--no-subscriptions",
        "--jobs=2",
        "--no-owner",
        "--section=data",
        "--use-list=/s/e",
        "/data/x.dump",
    ]


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ('ERROR:  extension "postgis" is not available', Unavailable, "postgis"),
        ('ERROR:  could not open extension control file "/usr/share/postgresql/15/extension/vector.control": No such '
         "file or directory", Unavailable, "vector"),
        ('ERROR:  role "app" does not exist', Unavailable, 'CREATE ROLE "app"'),
        ('ERROR:  could not extend file "base/1/2": No space left on device', Unavailable, "disk is full"),
        ('ERROR:  unrecognized configuration parameter "transaction_timeout"', Unavailable, "do not go together"),
        ("pg_restore: error: could not read from input file: end of file", Damaged, "archive is damaged"),
        ("pg_restore: error: could not uncompress data: incorrect data check", Damaged, "archive is damaged"),
        ("ERROR:  must be owner of table users", Denied, "lacks a right"),
        ("ERROR:  permission denied for schema public", Denied, "lacks a right"),
        ("server closed the connection unexpectedly", Unavailable, "connection to the server was lost"),
        ('ERROR:  relation "status" does not exist', StorageError, "without their schema"),
        ("ERROR:  function status_name(integer) does not exist", StorageError, "without their schema"),
        ("ERROR:  something nobody thought of", StorageError, "could not restore"),
    ],
)  # fmt: skip
def test_each_cause_has_its_own_name_and_keeps_the_words_of_postgresql(
    line: str, kind: type[StorageError], words: str
) -> None:
    said = [f"pg_restore: error: could not execute query: {line}", *["Command was: CREATE FUNCTION f()"] * 40]
    refusal = restoring.explain(ProgramFailed("pg_restore", 1, tuple(said[-30:])), said)
    assert type(refusal) is kind
    assert words in str(refusal)
    assert line in refusal.words


def test_a_pg_restore_that_was_killed_is_said_to_be_killed() -> None:
    refusal = restoring.explain(ProgramFailed("pg_restore", -9, ("pg_restore: launching item 1 TABLE DATA x",)))
    assert "killed by signal 9" in str(refusal)


def test_lines_of_parallel_restores_say_what_began_and_ended() -> None:
    assert restoring.finished_item("pg_restore: finished item 3303 TABLE DATA users") == 3303
    assert restoring.launched_item("pg_restore: launching item 3303 TABLE DATA users") == 3303
    assert restoring.finished_item("pg_restore: processing data for table") is None
