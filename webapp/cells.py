"""What a cell of the strip says to a screen reader, and where it leads. A year of ten databases has hundreds of them on
one page: in a template of their own they would take longer than everything else on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from flask import Flask, request, url_for
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _

from storage.backups.record import BackupState
from storage.backups.strip import Cell, DayState
from webapp.current import storage
from webapp.formats import day_text, duration, size_text

REMEMBERED = 20_000
"""Cells whose words and addresses are kept: those of a year of thirty databases, in two languages."""
_COUNTED: dict[BackupState, Callable[[int], str]] = {
    BackupState.COMPLETE: lambda count: ngettext("%(num)s complete", "%(num)s complete", count),
    BackupState.FAILED: lambda count: ngettext("%(num)s failed", "%(num)s failed", count),
    BackupState.CANCELLED: lambda count: ngettext("%(num)s cancelled", "%(num)s cancelled", count),
    BackupState.INTERRUPTED: lambda count: ngettext("%(num)s interrupted", "%(num)s interrupted", count),
    BackupState.DAMAGED: lambda count: ngettext("%(num)s damaged", "%(num)s damaged", count),
    BackupState.MISSING: lambda count: ngettext("%(num)s missing", "%(num)s missing", count),
    BackupState.TRASHED: lambda count: ngettext("%(num)s in the trash", "%(num)s in the trash", count),
    BackupState.ERASED: lambda count: ngettext("%(num)s erased since", "%(num)s erased since", count),
}


def install(app: Flask) -> None:
    app.add_template_filter(cell_label, "cell_label")
    app.add_template_global(cell_address, "cell_address")


def cell_label(cell: Cell) -> str:
    """Fri 20 Nov: 1 complete, 1.4 GB, 2 min 13 s"""
    return _label(_Whole(cell), str(get_locale()), storage().clock().year)


class _Whole:
    """A cell as the key of a cache: all of what it shows."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self._facts = (cell.day, cell.days, cell.state, tuple(cell.counts.items()), cell.bytes, cell.seconds,
                       cell.missed, cell.skipped)  # fmt: skip

    def __hash__(self) -> int:
        return hash(self._facts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Whole) and self._facts == other._facts


@lru_cache(maxsize=REMEMBERED)
def _label(whole: _Whole, locale: str, year: int) -> str:
    """In the language of the request, which `locale` names; days of `year` are written without it."""
    cell = whole.cell
    parts = []
    if cell.state is DayState.BEFORE:
        parts.append(_("before the first backup"))
    elif cell.state is DayState.NOTHING:
        parts.append(_("no backup"))
    elif cell.state is DayState.RUNNING:
        parts.append(_("running"))
    parts += [_COUNTED[state](count) for state, count in cell.counts.items() if count and state in _COUNTED]
    if cell.missed:
        parts.append(ngettext("%(num)s missed", "%(num)s missed", cell.missed))
    if cell.skipped:
        parts.append(ngettext("%(num)s skipped", "%(num)s skipped", cell.skipped))
    if cell.bytes is not None:
        parts.append(size_text(cell.bytes))
    if cell.seconds is not None:
        parts.append(duration(cell.seconds))
    # zh: the list separator is ，and the colon is ：
    what, day = _(", ").join(parts), day_text(cell.day)
    if cell.days == 1:
        return _("%(day)s: %(what)s", day=day, what=what)
    return ngettext("%(num)s day from %(day)s: %(what)s", "%(num)s days from %(day)s: %(what)s",
                    cell.days, day=day, what=what)  # fmt: skip


def cell_address(cell: Cell, database: str, days: int) -> str:
    """The one thing of a day, or what the history has of it."""
    job = cell.job_id if cell.state is DayState.RUNNING else ""
    return _address(request.script_root, job, cell.backup_id, cell.day, cell.days, database, days)


@lru_cache(maxsize=REMEMBERED)
def _address(root: str, job_id: str, backup_id: str, day: date, length: int, database: str, days: int) -> str:
    """Below `root`, which is the request's."""
    if job_id:
        return url_for("jobs.show", job_id=job_id)
    if backup_id:
        return url_for("backups.show", backup_id=backup_id)
    last = str(day + timedelta(days=length - 1)) if length > 1 else None
    shown = days if length > 1 or days != 30 else None
    values: dict[str, Any] = {"database": database, "from": str(day), "until": last, "days": shown}
    return url_for("history.show", **values)
