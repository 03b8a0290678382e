"""What a plan comes to, for the page: rows that come back and rows that are lost, and which tables to show first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from storage.restores.plan import RestorePlan, TableChange

FIRST = 6
"""Tables shown before "All tables"; all that differ are shown up to `MOST`."""
MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Rows and tables, of those tables that are known on both sides."""

    rows_back: int
    tables_back: int
    rows_lost: int
    tables_lost: int
    """Tables that lose rows, or are not in the backup at all."""
    same: int
    rows_now: int
    rows_backup: int
    about: bool
    """Whether any of the present counts is an estimate."""
    shown: tuple[TableChange, ...]
    hidden: int


def of(plan: RestorePlan, *, all_tables: bool) -> Summary:
    changes = plan.tables
    counted = changes if plan.rows_known else ()
    back = [change for change in counted if (change.backup or 0) > (change.now or 0)]
    lost = [change for change in counted if (change.now or 0) > (change.backup or 0) or change.backup is None]
    differing = sum(change.differs for change in changes)
    shown = changes if all_tables else changes[: max(FIRST, min(differing, MOST))]
    return Summary(
        rows_back=sum((change.backup or 0) - (change.now or 0) for change in back),
        tables_back=len(back),
        rows_lost=sum(max(0, (change.now or 0) - (change.backup or 0)) for change in lost),
        tables_lost=len(lost),
        same=sum(not change.differs for change in counted),
        rows_now=_rows(change.now for change in changes),
        rows_backup=_rows(change.backup for change in changes),
        about=any(change.now is not None and not change.exact for change in changes),
        shown=tuple(shown),
        hidden=len(changes) - len(shown),
    )


def _rows(counts: Iterable[int | None]) -> int:
    return sum(count or 0 for count in counts)
