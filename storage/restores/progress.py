"""How far a restore is: a pure account, fed by pg_restore's lines, by the server's view of COPY, and by the comparison.

Weights, after measurements: a table's rows count its size once, an index twice its own size, comparing and analysing a
table a third of its size, hashing the archive a twentieth of it, a snapshot 1.3 times the size of all tables, merging
once that size. The size of an index is not in the manifest and is guessed from the rows, at 25 bytes each.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from storage.backups.record import BackupRecord, TableFacts
from storage.jobs.model import Progress
from storage.postgres.archive import Entry
from storage.postgres.quoting import full_name

_INDEX, _INDEX_ROW, _CHECK, _HASH = 2.0, 25, 0.33, 0.05
_SNAPSHOT = 1.3
_LEAST = 8192
_WINDOW = 5.0
"""Seconds over which the speed is measured."""
_NAME = r'(?:"((?:[^"]|"")+)"|([^\s".(]+))'
_ON_TABLE = re.compile(rf" ON (?:ONLY )?{_NAME}\.{_NAME} USING ")
_OF_TABLE = re.compile(rf"ALTER TABLE (?:ONLY )?{_NAME}\.{_NAME}\s")


class RestoreProgress:
    def __init__(
        self,
        backup: BackupRecord,
        entries: tuple[Entry, ...],
        *,
        snapshot: bool = False,
        merge: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """With a `snapshot` the present database is dumped first; it is taken to be as large as the backup's was."""
        self._now, self._began = now, now()
        self._tables = {name: facts for name, facts in backup.tables.items() if not facts.left_out}
        self._archive = backup.bytes
        self._items = {entry.dump_id: _weight(entry, backup.tables) for entry in entries}
        self._data = {
            full_name(entry.schema, entry.name): entry.dump_id for entry in entries if entry.kind == "TABLE DATA"
        }
        self._names = {dump_id: name for name, dump_id in self._data.items()}
        self._check = {name: max(facts.bytes, _LEAST) * _CHECK for name, facts in self._tables.items()}
        self._snapshot = sum(facts.bytes for facts in self._tables.values()) * _SNAPSHOT if snapshot else 0.0
        self._snapshotted = self._merged = 0.0
        self._total = sum(self._items.values()) + sum(self._check.values()) + self._archive * _HASH or 1.0
        self._merge = (sum(facts.bytes for facts in self._tables.values()) or self._total) if merge else 0.0
        self._total += self._snapshot + self._merge
        self._hashed = 0
        self._finished: set[int] = set()
        self._copied: dict[str, int] = {}
        self._item = ""
        self._checked: set[str] = set()
        self._loaded = False
        self._speeds: deque[tuple[float, float]] = deque()
        self._highest = 0.0
        self._lock = threading.Lock()

    def hashed(self, done: int) -> None:
        self._hashed = done

    def snapshotted(self, share: float) -> None:
        """How much of the snapshot is taken, 0 to 1."""
        self._snapshotted = max(self._snapshotted, min(share, 1.0))

    def merged(self, table: str, share: float) -> None:
        """The table that is copied, and how much of all rows is, 0 to 1."""
        with self._lock:
            self._item, self._merged = table, min(share, 1.0)

    def launched(self, dump_id: int) -> None:
        with self._lock:
            if dump_id in self._names:
                self._item = self._names[dump_id]

    def finished(self, dump_id: int) -> None:
        with self._lock:
            self._finished.add(dump_id)

    def copying(self, table: str, rows: int) -> None:
        """pg_stat_progress_copy: rows of a table that the server has taken so far."""
        with self._lock:
            self._copied[table] = max(rows, self._copied.get(table, 0))
            self._item = table

    def loaded(self) -> None:
        with self._lock:
            self._loaded, self._item = True, ""

    def checked(self, table: str) -> None:
        with self._lock:
            self._checked.add(table)
            self._item = table

    def value(self, step: str) -> Progress:
        with self._lock:
            written = sum(self._share(name) * facts.bytes for name, facts in self._tables.items())
            rows = sum(self._share(name) * facts.rows for name, facts in self._tables.items())
            self._highest = done = max(self._highest, self._done())
            elapsed = self._now() - self._began
            left = elapsed * (self._total - done) / done if done > self._total * 0.02 and elapsed > 1 else None
            return Progress(
                step=step,
                done=int(done),
                total=int(self._total),
                item=self._item,
                item_number=len(self._checked) or self._tables_begun() or None,
                item_count=len(self._tables),
                # Said while rows arrive: of indexes and the comparison it says nothing.
                written=int(written) if not self._loaded else None,
                expected=sum(facts.bytes for facts in self._tables.values()) if not self._loaded else None,
                rows=round(rows),
                rate=self._rate(written) if not self._loaded else None,
                seconds_left=left,
            )

    def _done(self) -> float:
        done = min(self._hashed, self._archive) * _HASH + self._snapshotted * self._snapshot
        done += self._merged * self._merge
        if self._loaded:
            done += sum(self._items.values())
        else:
            done += sum(self._items.get(dump_id, 0.0) for dump_id in self._finished)
            done += sum(
                self._share(name) * self._items[dump_id]
                for name, dump_id in self._data.items()
                if dump_id not in self._finished
            )
        return done + sum(self._check.get(name, 0.0) for name in self._checked)

    def _share(self, table: str) -> float:
        """How much of a table's rows is there, 0 to 1."""
        if self._loaded or self._data.get(table) in self._finished:
            return 1.0
        expected = self._tables[table].rows if table in self._tables else 0
        return min(self._copied.get(table, 0) / max(expected, 1), 0.99)

    def _tables_begun(self) -> int:
        finished = sum(dump_id in self._finished for dump_id in self._data.values())
        copying = sum(self._data.get(name) not in self._finished for name in self._copied)
        return min(finished + copying, len(self._tables))

    def _rate(self, written: float) -> float | None:
        now = self._now()
        self._speeds.append((now, written))
        while now - self._speeds[0][0] > _WINDOW:
            self._speeds.popleft()
        then, before = self._speeds[0]
        return (written - before) / (now - then) if now - then > 0.5 else None


def table_of(entry: Entry) -> str:
    """schema.table that an index or a constraint is of; '' when the definition does not say so plainly."""
    found = _ON_TABLE.search(entry.definition) or _OF_TABLE.search(entry.definition)
    if found is None:
        return ""
    schema, table = (
        quoted.replace('""', '"') if quoted else plain for quoted, plain in (found.groups()[:2], found.groups()[2:])
    )
    return full_name(schema, table)


def _weight(entry: Entry, tables: Mapping[str, TableFacts]) -> float:
    match entry.kind:
        case "TABLE DATA":
            facts = tables.get(full_name(entry.schema, entry.name))
            return float(max(facts.bytes if facts else 0, _LEAST))
        case "INDEX" | "CONSTRAINT":
            facts = tables.get(table_of(entry))
            return float(max(_INDEX * _INDEX_ROW * (facts.rows if facts else 0), _LEAST))
        case "FK CONSTRAINT":
            facts = tables.get(table_of(entry))
            return float(max(_INDEX_ROW * (facts.rows if facts else 0), _LEAST))
        case _:
            return 512.0
