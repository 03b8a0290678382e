"""`pghaven schedules`: looking at schedules and changing them."""

from __future__ import annotations

from tests.webapp.cli.conftest import Terminal


def test_every_database_has_a_schedule_and_it_can_be_changed(terminal: Terminal) -> None:
    (listed,) = terminal("schedules", "list", "--json").good().json
    assert (listed["database"], listed["cron"], len(listed["next"])) == ("nothing", "0 2 * * *", 5)
    ended = terminal("schedules", "set", "nothing", "--cron", "30 1 * * 1-5", "--zone", "Europe/Berlin").good()
    assert "nothing: Monday to Friday at 01:30 (Europe/Berlin)." in ended.out and "Next: " in ended.out
    runs = terminal("schedules", "next", "nothing", "--count", "3", "--json").good().json
    assert len(runs) == 3 and all("T01:30:00+0" in run["local"] for run in runs)
    assert "30 1 * * 1-5" in terminal("schedules", "list").good().out
    moved = terminal("schedules", "set", "nothing", "--zone", "Asia/Tokyo", "--json").good().json
    assert (moved["cron"], moved["zone"]) == ("30 1 * * 1-5", "Asia/Tokyo")
    assert terminal("schedules", "set", "nothing").code == 2


def test_a_pause_is_in_the_list_until_it_is_ended(terminal: Terminal) -> None:
    paused = terminal("schedules", "pause", "nothing", "--until", "2999-01-01", "--json").good().json
    assert paused["paused_until"] == "2999-01-01T00:00:00.000Z" and paused["next"][0]["at"].startswith("2999-01-01T02")
    assert "2999-01-01" in terminal("schedules", "list").good().out
    assert terminal("schedules", "resume", "nothing", "--json").good().json["paused_until"] is None


def test_what_is_no_schedule_is_refused(terminal: Terminal) -> None:
    for wrong in (("--cron", "0 2 * *"), ("--cron", "0 2 * * *", "--zone", "Mars/Olympus")):
        ended = terminal("schedules", "set", "nothing", *wrong)
        assert ended.code == 5 and ended.err.startswith("Nothing was changed."), ended.err
    assert terminal("schedules", "pause", "nothing", "--until", "2001-01-01").code == 5
