from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from storage.postgres.connection import Connection, connect
from tests.archives import dump
from tests.servers import Server
from tests.webapp.cli.conftest import Ended, Terminal, url_of, wait_until

pytestmark = pytest.mark.postgres


def left_in(folder: Path) -> list[str]:
    """What is on disk of takes: drafts, archives, their records."""
    return [str(path.relative_to(folder)) for name in ("staging", "archives") for path in (folder / name).rglob("*.*")]


def take(terminal: Terminal, *options: str) -> dict[str, Any]:
    return dict(terminal("backups", "take", "shop", *options, "--json").good().json)


def test_a_backup_taken_at_the_terminal_is_complete_verified_and_described(
    with_shop: Terminal, shop: Connection
) -> None:
    backup = take(with_shop)
    assert (backup["database"], backup["state"]) == ("shop", "complete")
    archive = Path(backup["archive"])
    assert archive.is_absolute()
    assert archive.stat().st_size == backup["bytes"]
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == backup["sha256"]
    rows = {name: table["rows"] for name, table in backup["tables"].items()}
    assert rows == {"public.customers": 40, "public.orders": 200, "public.visits": 60}
    assert all(table["digest"] for table in backup["tables"].values())
    assert backup["verified"]["good"]


def test_without_logs_the_log_tables_have_no_rows_and_without_digests_nothing_has_a_digest(
    with_shop: Terminal,
) -> None:
    tables = take(with_shop, "--no-logs")["tables"]
    assert (tables["public.visits"]["rows"], tables["public.orders"]["rows"]) == (0, 200)
    tables = take(with_shop, "--no-digests")["tables"]
    assert {table["digest"] for table in tables.values()} == {None}


def test_an_archive_from_elsewhere_is_taken_in_and_comes_back(
    with_shop: Terminal, shop: Connection, tmp_path: Path, server: Server
) -> None:
    file = tmp_path / "theirs.dump"
    file.write_bytes(dump(server, shop))
    facts = with_shop("backups", "upload", str(file), "--database", "elsewhere", "--json").good().json
    assert (facts["kind"], facts["database"], facts["brought"]["name"]) == ("uploaded", "elsewhere", "theirs.dump")
    assert Path(facts["archive"]).read_bytes() == file.read_bytes()
    again = with_shop("backups", "upload", str(file), "--database", "elsewhere", "--json")
    assert (again.code, facts["id"] in again.json["error"]["cause"]) == (4, True)
    listed = with_shop("backups", "list", "elsewhere").good().out
    assert "uploaded" in listed
    shown = with_shop("backups", "show", facts["id"]).good().out
    assert "Not made by pghaven; no manifest." in shown
    assert "public.orders" in shown
    backup_id = with_shop("backups", "upload", str(file), "--database", "shop", "--json").good().json["id"]
    restored = with_shop("restores", "run", backup_id, "--into", f"{shop.dbname}_again").good().out
    server.drop_database(f"{shop.dbname}_again")
    assert "3 tables, 300 rows, counted only, because there is no manifest to compare with" in restored
    assert "all as in" not in restored


def test_what_is_no_archive_is_refused_at_the_terminal_by_its_name(with_shop: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "dump.sql"
    file.write_text("-- PostgreSQL database dump\n")
    ended = with_shop("backups", "upload", str(file), "--database", "shop")
    assert ended.code == 5
    assert "Nothing was kept of the upload. dump.sql is not an archive of pg_dump: it is plain SQL." in ended.err
    assert left_in(with_shop.folder) == []


def test_the_list_is_newest_first_and_knows_the_same_as_show(with_shop: Terminal) -> None:
    first, second = take(with_shop), take(with_shop)
    listed = with_shop("backups", "list", "shop", "--json").good().json
    assert [backup["id"] for backup in listed] == [second["id"], first["id"]]
    assert with_shop("backups", "show", first["id"], "--json").good().json == first
    words = with_shop("backups", "list").good().out
    assert words.index(second["id"]) < words.index(first["id"])
    shown = with_shop("backups", "show", first["id"]).good().out
    assert first["sha256"] in shown
    assert "public.customers" in shown


def test_a_bit_that_flipped_is_found_and_the_backup_is_not_used_any_more(with_shop: Terminal, tmp_path: Path) -> None:
    good, bad = take(with_shop), take(with_shop)
    assert with_shop("backups", "verify", bad["id"]).good().out.startswith(f"{bad['id']} is good")
    archive = Path(bad["archive"])
    damaged = bytearray(archive.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    archive.write_bytes(damaged)
    ended = with_shop("backups", "verify", bad["id"], "--json")
    assert ended.code == 7
    assert ended.json["error"]["kind"] == "Damaged"
    assert ended.json["backup"]["state"] == "damaged"
    for command in (("backups", "download", bad["id"]), ("restores", "run", bad["id"], "--into", "never")):
        refused = with_shop(*command)
        assert refused.code in (4, 7), refused.err
        assert good["id"] in refused.err


def test_an_archive_that_was_removed_is_missing_in_the_list(with_shop: Terminal) -> None:
    backup = take(with_shop)
    Path(backup["archive"]).unlink()
    assert [one["state"] for one in with_shop("backups", "list", "--json").good().json] == ["missing"]


def test_a_download_is_the_archive_and_never_replaces_a_file_unasked(with_shop: Terminal, tmp_path: Path) -> None:
    backup = take(with_shop)
    target = tmp_path / "copy.dump"
    facts = with_shop("backups", "download", backup["id"], "-o", str(target), "--json").good().json
    assert facts["sha256"] == backup["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    target.write_text("mine")
    assert with_shop("backups", "download", backup["id"], "-o", str(target)).code == 4
    assert target.read_text() == "mine"
    with_shop("backups", "download", backup["id"], "-o", str(target), "--force").good()
    assert target.read_bytes() == Path(backup["archive"]).read_bytes()
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_server_that_is_not_there_is_said_in_words_and_nothing_is_left(with_shop: Terminal) -> None:
    with_shop("databases", "add", "gone", "postgresql://x@127.0.0.1:1/gone", "--no-test").good()
    ended = with_shop("backups", "take", "gone", "--json")
    assert ended.code == 6
    assert "127.0.0.1:1" in ended.json["error"]["message"]
    assert left_in(with_shop.folder) == []


def test_progress_is_on_standard_error_in_milestones(with_shop: Terminal) -> None:
    ended = with_shop("backups", "take", "shop").good()
    assert ended.err.strip()
    assert "\r" not in ended.err
    assert "\x1b" not in ended.err
    assert "backed up and verified" in ended.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_the_middle_of_a_take_leaves_nothing_behind(
    with_shop: Terminal, shop: Connection, number: signal.Signals
) -> None:
    with connect(shop, application="tests", autocommit=False) as session:
        session.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")  # the dump waits here until it is cancelled
        process = with_shop.start("backups", "take", "shop", "--json")
        wait_until(lambda: _waits_for_a_lock(shop))
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert json.loads(out)["error"]["kind"] == "JobCancelled"
    assert "Traceback" not in err
    assert left_in(with_shop.folder) == []
    wait_until(lambda: _sessions_of_pghaven(shop) == 0)
    assert [backup["state"] for backup in with_shop("backups", "list", "--json").good().json] == ["cancelled"]
    assert take(with_shop)["state"] == "complete"


def test_ctrl_c_while_rows_are_being_written_ends_the_program_and_its_session(
    with_shop: Terminal, shop: Connection
) -> None:
    with connect(shop, application="tests") as session:
        session.execute(
            "INSERT INTO visits SELECT now(), md5(n::text) || md5((-n)::text) FROM generate_series(1, 800000) n"
        )
    process = with_shop.start("backups", "take", "shop", "--no-digests")
    wait_until(lambda: any(path.stat().st_size > 1 << 20 for path in (with_shop.folder / "staging").rglob("*.*")))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert out == ""
    assert "Stopping" in err
    assert left_in(with_shop.folder) == []
    wait_until(lambda: _sessions_of_pghaven(shop) == 0)


def test_who_asks_for_the_backup_that_is_being_taken_watches_it_to_its_end(
    with_shop: Terminal, shop: Connection
) -> None:
    with connect(shop, application="tests", autocommit=False) as session:
        session.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        first = with_shop.start("backups", "take", "shop", "--json")
        wait_until(lambda: _waits_for_a_lock(shop))
        second = with_shop.start("backups", "take", "shop", "--json")
        job = with_shop("jobs", "list", "--active", "--json").good().json
        wait_until(lambda: second.poll() is not None or _is_watching(second))
        session.rollback()
    ends = [Ended(process.wait(60), *process.communicate()) for process in (first, second)]
    assert len(job) == 1
    assert [end.good().json["id"] for end in ends] == [ends[0].json["id"]] * 2


def test_a_job_of_another_process_is_cancelled_from_here(with_shop: Terminal, shop: Connection) -> None:
    with connect(shop, application="tests", autocommit=False) as session:
        session.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        process = with_shop.start("backups", "take", "shop")
        wait_until(lambda: _waits_for_a_lock(shop))
        (job,) = with_shop("jobs", "list", "--active", "--json").good().json
        with_shop("jobs", "cancel", job["id"]).good()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Cancelled by" in err
    shown = with_shop("jobs", "show", job["id"]).good().out
    assert "cancelled" in shown
    assert with_shop("jobs", "cancel", job["id"]).code == 4


def test_the_connection_is_tested_in_words_and_the_password_is_never_shown(
    with_shop: Terminal, shop: Connection
) -> None:
    terminal, url = with_shop, url_of(shop)
    added = terminal("databases", "add", "market", url, "--json").good()
    assert added.json["test"]["kind"] == "ok"
    assert terminal("databases", "test", "shop", "--json").good().json["server_version"]
    status = terminal("databases", "status", "shop", "--json").good().json
    assert (status["available"], status["table_count"]) == (True, 3)
    wrong = terminal("databases", "test", url.replace(":", ":wrong", 2).replace("wrong//", "//", 1))
    assert wrong.code == 6
    assert shop.password is not None
    for ended in (added, wrong, terminal("databases", "list", "--json"), terminal("databases", "status")):
        assert shop.password.reveal not in ended.out + ended.err


def _waits_for_a_lock(connection: Connection) -> bool:
    with connect(connection, application="tests") as session:
        waiting = session.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE NOT l.granted AND a.datname = current_database()"
        ).fetchone()
    return bool(waiting and waiting[0])


def _sessions_of_pghaven(connection: Connection) -> int:
    with connect(connection, application="tests") as session:
        found = session.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'pghaven%'"
        ).fetchone()
    return int(found[0]) if found else 0


def _is_watching(process: subprocess.Popen[str]) -> bool:
    assert process.stderr
    return "already does this" in process.stderr.readline()
