"""Records as files: whole or not there, read strictly, followed when another process changes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage import jsonfiles
from storage.errors import InvalidRecord, NotFound
from storage.jsonfiles import Records


@dataclass(frozen=True)
class Note:
    name: str
    text: str

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "text": self.text}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Note:
        return cls(data["name"], data["text"])


def notes(folder: Path, **more: Any) -> Records[Note]:
    return Records(folder, decode=Note.from_json, encode=Note.to_json, identify=lambda note: note.name, **more)


def test_what_was_saved_is_read_back_with_mode_0600(tmp_path: Path) -> None:
    records = notes(tmp_path)
    records.save(Note("a", "“quoted” 数据"))
    assert records.get("a") == Note("a", "“quoted” 数据")
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600


def test_records_are_listed_in_the_order_of_their_ids(tmp_path: Path) -> None:
    records = notes(tmp_path)
    for name in ("20261122-b", "20261121-c", "20261122-a"):
        records.save(Note(name, ""))
    assert [note.name for note in records.all()] == ["20261121-c", "20261122-a", "20261122-b"]


def test_a_change_by_another_process_is_seen(tmp_path: Path) -> None:
    ours, theirs = notes(tmp_path), notes(tmp_path)
    ours.save(Note("a", "before"))
    assert [note.text for note in ours.all()] == ["before"]
    theirs.save(Note("a", "after"))
    theirs.save(Note("b", "new"))
    assert [note.text for note in ours.all()] == ["after", "new"]
    theirs.delete("a")
    assert [note.name for note in ours.all()] == ["b"]


def test_a_file_that_cannot_be_read_is_put_aside_and_hides_no_other(tmp_path: Path) -> None:
    damaged: list[str] = []
    records = notes(tmp_path, on_damaged=lambda path, error: damaged.append(path.name))
    records.save(Note("good", ""))
    (tmp_path / "half.json").write_text('{"name": "ha')
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "other.json").write_text('{"nothing": "known"}')
    (tmp_path / "empty.json").write_text("")
    assert [note.name for note in records.all()] == ["good"]
    assert sorted(damaged) == ["empty.json", "half.json", "list.json", "other.json"]
    assert sorted(path.name for path in (tmp_path / "quarantine").iterdir()) == sorted(damaged)


def test_one_that_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"name": "ha')
    with pytest.raises(InvalidRecord, match=r"half\.json"):
        notes(tmp_path).get("half")


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", "..", "missing"])
def test_an_id_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.json").write_text('{"name": "o", "text": "secret"}')
    (tmp_path / "in").mkdir()
    with pytest.raises(NotFound):
        notes(tmp_path / "in").get(name)


def test_a_kill_at_any_moment_leaves_the_old_record_or_the_new(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from storage import jsonfiles
number = 0
while True:
    number += 1
    jsonfiles.write(Path(sys.argv[1]), {"number": number, "again": number, "filler": "x" * 20000})
"""
    target = tmp_path / "record.json"
    last = 0
    for delay in (0.15, 0.16, 0.17, 0.18, 0.2):
        writer = subprocess.Popen([sys.executable, "-c", code, str(target)])
        while not target.exists():
            time.sleep(0.01)
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        data = jsonfiles.read(target)
        assert data["number"] == data["again"]
        last = max(last, data["number"])
    assert last > 1
    jsonfiles.sweep_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_the_draft_of_a_process_that_lives_is_not_swept(tmp_path: Path) -> None:
    ours = tmp_path / f".a.json.{os.getpid()}.abc.draft"
    dead = subprocess.Popen(["true"])
    dead.wait()
    theirs, older = tmp_path / f".a.json.{dead.pid}.abc.draft", tmp_path / ".a.json.abc.draft"
    for path in (ours, theirs, older):
        path.touch()
    jsonfiles.sweep_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [ours.name]


def test_a_write_that_fails_leaves_no_draft(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        jsonfiles.write(tmp_path / "a.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ten_thousand_records_are_listed_again_in_300_ms(tmp_path: Path) -> None:
    records = notes(tmp_path)
    for number in range(10_000):
        jsonfiles.write(tmp_path / f"{number:05}.json", {"name": f"{number:05}", "text": ""}, durable=False)
    records.all()
    started = time.thread_time()
    assert len(records.all()) == 10_000
    assert time.thread_time() - started < 0.3


def test_changes_of_another_process_are_seen_at_once_also_after_the_folder_has_rested(tmp_path: Path) -> None:
    ours, theirs = notes(tmp_path), notes(tmp_path)
    for round_ in range(20):
        theirs.save(Note(f"n{round_:02}", ""))
        time.sleep(0.06 if round_ % 3 == 0 else 0)
        assert len(ours.all()) == len(ours.all()) == round_ + 1
    theirs.delete("n00")
    assert len(ours.all()) == 19
