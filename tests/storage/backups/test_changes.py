"""What changed in each table since the backup before."""

from __future__ import annotations

from datetime import timedelta

from storage.backups.changes import ChangeKind, changes
from storage.backups.record import TableFacts
from storage.backups.trend import trend
from tests.builders import NOON, a_backup, a_table


def compared(now: dict[str, TableFacts], then: dict[str, TableFacts]) -> dict[str, tuple[ChangeKind, int | None]]:
    found = changes(a_backup(tables=now), a_backup(at=NOON - timedelta(days=1), tables=then))
    return {table.name: (table.kind, table.difference) for table in found.tables}


def test_rows_content_new_and_gone_tables_are_told_apart() -> None:
    found = compared(
        {"a": a_table(5), "b": a_table(5, digest="x"), "c": a_table(5), "d": a_table(7)},
        {"a": a_table(8), "b": a_table(5, digest="y"), "c": a_table(5), "e": a_table(3)},
    )
    assert found == {
        "a": (ChangeKind.ROWS, -3),
        "b": (ChangeKind.CONTENT, 0),
        "c": (ChangeKind.SAME, 0),
        "d": (ChangeKind.NEW, 7),
        "e": (ChangeKind.GONE, -3),
    }


def test_without_digests_equal_counts_are_called_the_same() -> None:
    assert compared({"a": a_table(5, digest=None)}, {"a": a_table(5)}) == {"a": (ChangeKind.SAME, 0)}


def test_rows_that_were_left_out_of_either_cannot_be_compared() -> None:
    out = a_table(0, left_out=True)
    assert compared({"a": out}, {"a": a_table(9)}) == {"a": (ChangeKind.UNKNOWN, None)}
    assert compared({"a": a_table(9)}, {"a": out}) == {"a": (ChangeKind.UNKNOWN, None)}


def test_the_first_backup_has_nothing_to_compare_with() -> None:
    found = changes(a_backup(), None)
    assert {table.kind for table in found.tables} == {ChangeKind.UNKNOWN}
    assert found.difference is None


def test_the_largest_come_first_and_the_gone_last() -> None:
    now = {"small": a_table(9, bytes=1), "big": a_table(1, bytes=900), "even": a_table(8, bytes=1)}
    found = changes(a_backup(tables=now), a_backup(tables={"gone": a_table(10**6, bytes=10**9)}))
    assert [table.name for table in found.tables] == ["big", "small", "even", "gone"]


def test_all_rows_are_compared_only_between_backups_of_the_same_sort() -> None:
    earlier = a_backup(tables={"a": a_table(4)})
    assert changes(a_backup(tables={"a": a_table(9)}), earlier).difference == 5
    assert changes(a_backup(tables={"a": a_table(9)}, no_logs=True), earlier).difference is None


def test_the_trend_is_of_good_backups_of_one_sort_oldest_first() -> None:
    records = [
        a_backup(at=NOON - timedelta(days=3), bytes=1),
        a_backup(at=NOON - timedelta(days=2), bytes=2, no_logs=True),
        a_backup(at=NOON, bytes=4),
        a_backup(at=NOON - timedelta(days=1), bytes=3),
    ]
    assert [point.bytes for point in trend(records)] == [1, 3, 4]
    assert [point.bytes for point in trend(records, since=NOON - timedelta(days=2))] == [3, 4]
    assert trend([]) == ()
