"""Cutting pg_restore's text into pieces: every row arrives, and pieces end where they say they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Damaged
from storage.restores.archived_rows import pieces

ROW = st.text(alphabet="a\\.\t", max_size=6).filter(lambda row: row != "\\.").map(str.encode)


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    chunks = []
    for size in sizes:
        chunks.append(stream[:size])
        stream = stream[size:]
    return [*chunks, *(stream[at : at + 7] for at in range(0, len(stream), 7))]


@given(rows=st.lists(ROW, max_size=12), sizes=st.lists(st.integers(0, 9), max_size=12), after=st.binary(max_size=9))
def test_rows_come_whole_however_the_stream_is_cut(rows: list[bytes], sizes: list[int], after: bytes) -> None:
    text = b"".join(row + b"\n" for row in rows)
    found = list(pieces(cut(text + b"\\.\n\n" + after, sizes)))
    assert b"".join(piece for piece, _ in found) == text
    so_far = b""
    for piece, row_ends in found:
        so_far += piece
        assert row_ends == so_far.endswith(b"\n")


@given(rows=st.lists(ROW, max_size=12), sizes=st.lists(st.integers(0, 9), max_size=12))
def test_rows_that_break_off_are_refused(rows: list[bytes], sizes: list[int]) -> None:
    with pytest.raises(Damaged, match="in the middle of the rows"):
        list(pieces(cut(b"".join(row + b"\n" for row in rows) + b"\\.", sizes)))


def test_a_long_row_is_not_gathered() -> None:
    chunk = b"x" * 1000
    found = list(pieces([chunk] * 50 + [b"\n\\.\n"]))
    assert max(len(piece) for piece, _ in found) == 1000
    assert [row_ends for _, row_ends in found] == [False] * 50 + [True]
