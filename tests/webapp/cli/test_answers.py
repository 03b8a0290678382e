from __future__ import annotations

import pytest

from webapp.cli import answers


@pytest.mark.parametrize(
    ("count", "words"), [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_400_000_000, "1.4 GB")]
)
def test_sizes_have_their_unit(count: int | None, words: str) -> None:
    assert answers.size(count) == words


@pytest.mark.parametrize(
    ("duration", "words"),
    [(None, "–"), (1.23, "1.2 s"), (133, "2 min 13 s"), (119.9, "2 min 0 s"), (7260, "2 h 1 min")],
)
def test_durations_are_rounded_to_what_a_person_wants(duration: float | None, words: str) -> None:
    assert answers.seconds(duration) == words


def test_columns_stand_under_each_other_in_chinese_too(capsys: pytest.CaptureFixture[str]) -> None:
    answers.table(("NAME", "ROWS"), [("商店", "5"), ("shop", "12")], right=("ROWS",))
    assert capsys.readouterr().out.splitlines() == ["NAME  ROWS", "商店     5", "shop    12"]


def test_nothing_is_cut_and_nothing_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    answers.table(("NAME",), [("x" * 300,), ("a\x1b[1mb\nc",)])
    assert capsys.readouterr().out.splitlines()[1:] == ["x" * 300, "a\\x1b[1mb c"]
