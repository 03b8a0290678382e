"""The account of a restore: from pg_restore's lines and the server's view, never backwards, full at the end."""

from __future__ import annotations

from storage.backups.record import TableFacts
from storage.postgres.archive import Entry
from storage.restores.carry import split_list
from storage.restores.compare import differences
from storage.restores.progress import RestoreProgress, table_of
from tests.builders import a_backup


def an_entry(dump_id: int, kind: str, name: str, definition: str = "") -> Entry:
    return Entry(
        dump_id=dump_id,
        kind=kind,
        schema="public",
        name=name,
        owner="app",
        definition=definition,
        section="",
        has_data=False,
    )


ENTRIES = (
    an_entry(1, "TABLE DATA", "orders"),
    an_entry(2, "TABLE DATA", "users"),
    an_entry(3, "INDEX", "orders_a", "CREATE INDEX orders_a ON public.orders USING btree (a);"),
)
BACKUP = a_backup(
    bytes=1_000_000,
    tables={
        "public.orders": TableFacts(rows=100_000, digest=None, bytes=10_000_000),
        "public.users": TableFacts(rows=10, digest=None, bytes=8192),
    },
)


def test_rows_copied_and_finished_entries_move_the_bar() -> None:
    progress = RestoreProgress(BACKUP, ENTRIES, now=lambda: 0.0)
    shown = [progress.value("load").done]
    progress.copying("public.orders", 50_000)
    value = progress.value("load")
    assert (value.item, value.rows, value.written) == ("public.orders", 50_000, 5_000_000)
    shown.append(value.done)
    for act in (lambda: progress.finished(1), lambda: progress.finished(2), lambda: progress.finished(3)):
        act()
        shown.append(progress.value("load").done)
    progress.hashed(1_000_000)
    assert progress.value("load").expected == 10_008_192
    progress.loaded()
    compared = progress.value("compare")
    assert (compared.written, compared.expected) == (None, None)  # all have arrived, while the bar goes on
    for table in BACKUP.tables:
        progress.checked(table)
    last = progress.value("compare")
    shown.append(last.done)
    assert shown == sorted(set(shown))
    assert last.percent == 100


def test_what_the_server_says_late_never_moves_the_bar_back() -> None:
    progress = RestoreProgress(BACKUP, ENTRIES, now=lambda: 0.0)
    progress.copying("public.orders", 90_000)
    before = progress.value("load").done
    progress.copying("public.orders", 10)
    assert progress.value("load").done == before


def test_an_index_is_known_to_be_of_its_table_also_with_quoted_names() -> None:
    assert table_of(ENTRIES[2]) == "public.orders"
    quoted = an_entry(
        4, "CONSTRAINT", "x", 'ALTER TABLE ONLY "my app"."a ""b"""\n    ADD CONSTRAINT x PRIMARY KEY (id);'
    )
    assert table_of(quoted) == 'my app."a ""b"""'


def test_differences_are_tables_missing_extra_or_not_equal() -> None:
    one, other = TableFacts(rows=1, digest="1:a"), TableFacts(rows=1, digest="1:b")
    expected = {"equal": one, "changed": one, "missing": one, "counted": TableFacts(rows=1, digest=None)}
    found = {"equal": one, "changed": other, "extra": one, "counted": other}
    assert [difference.table for difference in differences(expected, found)] == ["changed", "extra", "missing"]


def test_lists_of_names_are_read_as_the_catalogue_writes_them() -> None:
    assert split_list('"$user", public, "a b", "q""q"') == ["$user", "public", "a b", 'q"q']
    assert split_list("public") == ["public"]
    assert split_list("") == []
    assert split_list('""') == [""]
