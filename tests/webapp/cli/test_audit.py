"""The audit log at the terminal: what commands leave in it, and the line that somebody edited."""

from __future__ import annotations

import json
from pathlib import Path

from tests.webapp.cli.conftest import NOWHERE, Terminal


def test_what_a_command_did_is_listed_with_who_was_at_the_terminal(terminal: Terminal) -> None:
    terminal("databases", "add", "shop", NOWHERE, "--no-test")
    terminal("databases", "remove", "shop", "--yes")
    found = json.loads(terminal("audit", "list", "--json").out)
    assert [(one["action"], one["subject"], one["origin"]) for one in found] == [
        ("database_removed", "shop", "terminal"),
        ("database_added", "shop", "terminal"),
    ]
    assert found[0]["actor"].endswith("(terminal)")
    today = found[0]["at"][:10]
    assert json.loads(terminal("audit", "list", "--from", today, "--until", today, "--json").out) == found
    assert json.loads(terminal("audit", "list", "--until", "2026-01-01", "--json").out) == []
    assert json.loads(terminal("audit", "list", "--from", "2999-01-01", "--json").out) == []
    only = terminal("audit", "list", "--action", "database_added").out
    assert "database_added" in only and "database_removed" not in only


def test_verify_names_the_file_and_the_line_that_was_edited(terminal: Terminal) -> None:
    terminal("databases", "add", "shop", NOWHERE, "--no-test")
    terminal("databases", "remove", "shop", "--yes")
    good = terminal("audit", "verify")
    assert (good.code, "as it was written: 2 lines" in good.out) == (0, True)
    path = next(Path(terminal.environment["BACKUP_STORAGE_PATH"]).glob("metadata/audit/2*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"database_removed"', b'"database_changed"'))
    bad = terminal("audit", "verify")
    assert bad.code == 7
    assert f"{path.name}:2: This line is not as it was written." in bad.err
    facts = json.loads(terminal("audit", "verify", "--json").out)
    assert facts["faults"] == [{"file": path.name, "line": 2, "what": "This line is not as it was written."}]
