"""How far a take is: a pure account of bytes, rows and tables, fed by whoever sees them.

Weights, after measurements of where the time goes: copying out counts a table's size once, counting with digests a
third of it and without a twentieth, reading back an eighth. A table's share while it is copied is rows copied against
rows expected.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence

from storage.backups.manifest import Table
from storage.jobs.model import Progress

_COUNT_WITH_DIGESTS, _COUNT_ALONE, _READ_BACK = 0.33, 0.05, 0.125
_WINDOW = 5.0
"""Seconds over which the speed is measured."""


class TakeProgress:
    def __init__(
        self,
        tables: Sequence[Table],
        *,
        without: Collection[str],
        digests: bool,
        expected_bytes: int | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tables = {table.full_name: table for table in tables if table.full_name not in without}
        self._rows = {name: table.rows_about for name, table in self._tables.items()}
        self._dump_total = sum(self._weight(name) for name in self._tables) or 1
        self._count_share = _COUNT_WITH_DIGESTS if digests else _COUNT_ALONE
        self._expected_bytes, self._now = expected_bytes, now
        self._began = now()
        self._dumped: set[str] = set()
        self._current = ""
        self._current_rows = 0
        self._number = 0
        self._counted: set[str] = set()
        self._dump_done = False
        self._written = 0
        self._read_back = 0.0
        self._speeds: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def table_begins(self, full_name: str) -> None:
        """pg_dump says that it begins with a table's rows; the one before it is done."""
        with self._lock:
            if self._current:
                self._dumped.add(self._current)
            self._current, self._current_rows = full_name, 0
            self._number += 1

    def copied(self, full_name: str, rows: int) -> None:
        """pg_stat_progress_copy: rows of a table that the server has sent so far."""
        with self._lock:
            if full_name == self._current:
                self._current_rows = max(self._current_rows, rows)

    def written(self, size: int) -> None:
        self._written = size

    def counted(self, full_name: str, rows: int) -> None:
        with self._lock:
            self._counted.add(full_name)
            self._rows[full_name] = rows

    def dump_ended(self) -> None:
        with self._lock:
            self._dump_done, self._current = True, ""

    def read_back(self, share: float) -> None:
        self._read_back = share

    def value(self, step: str) -> Progress:
        with self._lock:
            total = self._dump_total * (1 + self._count_share + _READ_BACK)
            done = self._dump_part() + self._count_part() + self._dump_total * _READ_BACK * self._read_back
            elapsed = self._now() - self._began
            return Progress(
                step=step,
                done=int(done),
                total=int(total),
                item=self._current,
                item_number=self._number or None,
                item_count=len(self._tables),
                written=self._written,
                # An estimate that was too low says nothing any more.
                expected=self._expected_bytes if (self._expected_bytes or 0) > self._written else None,
                rows=self._rows_sent(),
                rate=self._rate() if not self._dump_done else None,
                seconds_left=elapsed * (total - done) / done if done > total * 0.02 and elapsed > 1 else None,
            )

    def _dump_part(self) -> float:
        if self._dump_done:
            return float(self._dump_total)
        part = float(sum(self._weight(name) for name in self._dumped if name in self._tables))
        if self._current in self._tables:
            expected = max(self._rows[self._current], 1)
            part += self._weight(self._current) * min(self._current_rows / expected, 0.99)
        return part

    def _count_part(self) -> float:
        return self._count_share * sum(self._weight(name) for name in self._counted if name in self._tables)

    def _rows_sent(self) -> int:
        whole = self._tables if self._dump_done else self._dumped
        return sum(self._rows.get(name, 0) for name in whole) + self._current_rows

    def _rate(self) -> float | None:
        now = self._now()
        self._speeds.append((now, self._written))
        while now - self._speeds[0][0] > _WINDOW:
            self._speeds.popleft()
        then, before = self._speeds[0]
        return (self._written - before) / (now - then) if now - then > 0.5 else None

    def _weight(self, name: str) -> int:
        # Even an empty table takes a moment; a page for each keeps a database of small tables moving.
        return max(self._tables[name].bytes, 8192)
