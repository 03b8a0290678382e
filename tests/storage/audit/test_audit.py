"""The audit log: what is in a line, that every change of a line is found, and that many may write at once."""

from __future__ import annotations

import ast
import errno
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import reserve
from storage.audit import Audit, chain
from storage.audit.actions import ACTIONS
from storage.clock import utc_now
from storage.locks.filelocks import FileLocks
from tests.conftest import StandingClock

ROOT = Path(__file__).parents[3]


@pytest.fixture
def audit(tmp_path: Path, clock: StandingClock) -> Audit:
    return Audit(tmp_path / "audit", clock=clock, locks=FileLocks(tmp_path / "locks"))


@pytest.fixture
def ten(audit: Audit, clock: StandingClock) -> Audit:
    """Ten lines, five of November and five of December."""
    for number in range(1, 11):
        audit.record("backup_taken", actor="ana", subject=f"b{number}", origin="192.0.2.7", database="shop")
        clock.forward(days=2)
    assert [path.name for path in months(audit)] == ["2026-11.jsonl", "2026-12.jsonl"]
    return audit


def months(audit: Audit) -> list[Path]:
    return sorted(audit.folder.glob("2*.jsonl"))


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def places(audit: Audit) -> list[tuple[str, int]]:
    return [(fault.file, fault.line) for fault in audit.verify().faults]


def test_a_line_says_who_did_what_to_what_from_where_with_which_result(audit: Audit) -> None:
    audit.record("signed_in", actor="ana", subject="ana", origin="192.0.2.7", result="refused", known=True)
    line = json.loads(lines(months(audit)[0])[0])
    assert {**line, "hash": ""} == {
        "number": 1,
        "at": "2026-11-22T13:14:05.000Z",
        "action": "signed_in",
        "actor": "ana",
        "subject": "ana",
        "origin": "192.0.2.7",
        "result": "refused",
        "facts": {"known": True},
        "before": "0" * 64,
        "hash": "",
    }


def test_each_line_holds_the_hash_of_the_line_before_over_the_ends_of_months(ten: Audit) -> None:
    events = list(ten.newest_first())
    assert [event.number for event in events] == list(range(10, 0, -1))
    assert [event.before for event in events[:-1]] == [event.hash for event in events[1:]]


def test_a_log_that_nobody_touched_is_good(ten: Audit) -> None:
    verdict = ten.verify()
    assert (verdict.good, verdict.lines, verdict.faults) == (True, 10, ())
    assert verdict.hash == next(ten.newest_first()).hash


def test_an_empty_log_is_good(audit: Audit) -> None:
    assert audit.verify().good


def _edit(found: list[bytes]) -> list[bytes]:
    return [*found[:2], found[2].replace(b'"ana"', b'"eve"'), *found[3:]]


def _edit_with_a_new_hash(found: list[bytes]) -> list[bytes]:
    return [*found[:2], chain.sealed(json.loads(found[2]) | {"actor": "eve"}) + b"\n", *found[3:]]


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], list[int]]] = {
    "a word edited": (_edit, [3]),
    "a word edited and the line sealed again": (_edit_with_a_new_hash, [4]),
    "a space added": (lambda found: [found[0].replace(b",", b", ", 1), *found[1:]], [1]),
    "a line removed": (lambda found: [*found[:1], *found[2:]], [2]),
    "the first line removed": (lambda found: found[1:], [1]),
    "a line of rubbish put in": (lambda found: [*found[:2], b"hello\n", *found[2:]], [3]),
    "a line put in twice": (lambda found: [*found[:2], found[0], *found[2:]], [3]),
    "two lines changed round": (lambda found: [found[0], found[2], found[1], *found[3:]], [2, 3]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("month", [0, 1])
def test_what_is_changed_in_any_month_is_found_at_its_line(ten: Audit, change: str, month: int) -> None:
    doing, found_at = CHANGES[change]
    path = months(ten)[month]
    path.write_bytes(b"".join(doing(lines(path))))
    assert places(ten) == [(path.name, line) for line in found_at]


@pytest.mark.parametrize("gone", [1, 3])
def test_a_tail_that_was_cut_off_is_found(ten: Audit, gone: int) -> None:
    path = months(ten)[-1]
    path.write_bytes(b"".join(lines(path)[:-gone]))
    assert places(ten) == [(path.name, 6 - gone)]


def test_a_whole_month_that_is_gone_is_found(ten: Audit) -> None:
    last = months(ten)[-1]
    last.unlink()
    assert places(ten) == [(last.name, 1)]


def test_what_is_recorded_after_a_tail_was_cut_off_does_not_hide_it(ten: Audit) -> None:
    path = months(ten)[-1]
    path.write_bytes(b"".join(lines(path)[:-2]))
    ten.record("signed_in", actor="eve")
    assert places(ten) == [(path.name, 4)]


def test_the_last_line_in_place_of_another_is_found(ten: Audit) -> None:
    path = months(ten)[-1]
    found = lines(path)
    path.write_bytes(b"".join([*found[:-1], chain.sealed(json.loads(found[-1]) | {"actor": "eve"}) + b"\n"]))
    assert places(ten) == [(path.name, 5)]


def test_a_lost_head_is_named_and_the_chain_goes_on(ten: Audit) -> None:
    (ten.folder / "head.json").unlink()
    assert places(ten) == [("head.json", 1)]
    ten.record("signed_in", actor="ana")
    assert ten.verify().good


def test_a_line_whose_writer_died_before_the_head_is_followed(ten: Audit) -> None:
    head = ten.folder / "head.json"
    before = head.read_bytes()
    ten.record("signed_in", actor="ana")
    head.write_bytes(before)
    assert ten.verify().good
    ten.record("signed_out", actor="ana")
    assert ten.verify().good
    assert next(ten.newest_first()).number == 12


def test_half_a_line_is_named_and_the_next_one_takes_its_place(ten: Audit) -> None:
    path = months(ten)[-1]
    with path.open("ab") as file:
        file.write(b'{"action":"signed')
    assert places(ten) == [(path.name, 6)]
    ten.record("signed_in", actor="ana")
    assert ten.verify().good


def test_a_clock_that_is_set_back_tears_nothing_apart(ten: Audit, clock: StandingClock) -> None:
    clock.forward(days=-40)
    ten.record("signed_in", actor="ana")
    verdict = ten.verify()
    assert (verdict.good, verdict.lines) == (True, 11)


def _record_many(folder: Path, name: str) -> None:
    audit = Audit(folder / "audit", clock=utc_now, locks=FileLocks(folder / "locks"))
    for number in range(25):
        audit.record("job_ended", actor=name, subject=str(number))


def test_processes_that_record_at_once_make_one_chain(tmp_path: Path) -> None:
    together = multiprocessing.get_context("spawn")
    writers = [together.Process(target=_record_many, args=(tmp_path, f"p{number}")) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    audit = Audit(tmp_path / "audit", clock=utc_now, locks=FileLocks(tmp_path / "locks"))
    verdict = audit.verify()
    assert (verdict.good, verdict.lines) == (True, 100)
    for number in range(4):
        said = [event.subject for event in audit.newest_first() if event.actor == f"p{number}"]
        assert said == [str(subject) for subject in range(24, -1, -1)]


def test_what_finds_no_room_is_told_in_the_log_and_harms_nothing(
    ten: Audit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        ten.record("backup_deleted", actor="ana", subject="b7")
    assert "b7" in caplog.text
    assert ten.verify().good


def test_on_a_full_disk_the_reserve_is_given_up_for_it(
    ten: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reserve.keep(tmp_path, size=4096)
    write = os.write

    def full_while_reserved(descriptor: int, data: bytes) -> int:
        if any(tmp_path.glob(".reserve")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full_while_reserved)
    ten.record("backup_deleted", actor="ana", subject="b7")
    assert next(ten.newest_first()).subject == "b7"
    assert ten.verify().good


def _actions_in_code() -> set[str]:
    """The literal first argument of every call of `audited` and `audit.record` (the second of the terminal's)."""
    found = set()
    for folder in ("storage", "webapp"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    ("audited", "audit.record", "record_event")
                ):
                    found |= {
                        one.value for one in node.args[:2] if isinstance(one, ast.Constant) and "_" in str(one.value)
                    }
    return found


def test_every_action_of_the_code_has_its_words() -> None:
    used = _actions_in_code()
    assert {"signed_in", "backup_downloaded", "restore_requested"} <= used
    assert used <= ACTIONS.keys()
