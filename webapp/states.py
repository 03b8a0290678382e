"""Every state that a page shows: its colour, its sign, the sign of its cell, and its word."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from storage.backups.protection import DatabaseProtection, Protection
from storage.backups.record import BackupState
from storage.errors import Message, say


@dataclass(frozen=True, slots=True)
class State:
    tone: str
    """The class s-... of pghaven.css."""
    icon: str
    cell: str
    """The sign in a day of the strip; '' for a plain bar or dot."""
    word: Message


_COMPLETE = State("complete", "complete", "", say("Complete"))
_RUNNING = State("running", "running", "half", say("Running"))

STATES: dict[str, State] = {
    "complete": _COMPLETE,
    "completed": State("complete", "complete", "", say("Completed")),
    "proven": State("proven", "proven", "tick", say("Proven")),
    "warning": State("warning", "warning", "bang", say("Look at it")),
    "failed": State("failed", "failed", "cross", say("Failed")),
    "missed": State("missed", "missed", "dash", say("Missed")),
    "skipped": State("paused", "paused", "paused", say("Skipped")),
    "interrupted": State("interrupted", "missed", "dash", say("Interrupted")),
    "damaged": State("damaged", "damaged", "crack", say("Damaged")),
    "missing": State("damaged", "damaged", "crack", say("Missing")),
    "trashed": State("paused", "trash", "tick", say("In the trash")),
    "erased": State("nothing", "trash", "tick", say("Erased")),
    "running": _RUNNING,
    "taking": _RUNNING,
    "waiting": State("waiting", "waiting", "", say("Waiting")),
    "paused": State("paused", "paused", "paused", say("Paused")),
    "cancelled": State("cancelled", "cross", "cross", say("Cancelled")),
    "nothing": State("nothing", "todo", "", say("No backup")),
    "before": State("before", "todo", "", say("Before the first backup")),
    # How a database stands (storage.backups.protection)
    "protected": State("complete", "complete", "", say("Protected")),
    "first": State("running", "running", "half", say("First backup running")),
    "late": State("warning", "warning", "bang", say("Late")),
    "failing": State("failed", "failed", "cross", say("Failing")),
    "never": State("waiting", "waiting", "", say("Never backed up")),
}


def state(code: str) -> State:
    """The look of a state; what is not in the table looks like something to look at."""
    return STATES.get(code, STATES["warning"])


def standing_code(standing: DatabaseProtection) -> str:
    """The state of a database, with the word that the page of the backup to blame has, too."""
    blamed = standing.trouble
    if standing.state is Protection.DAMAGED and blamed and blamed.state is BackupState.MISSING:
        return BackupState.MISSING.value
    return standing.state.value


def install(app: Flask) -> None:
    app.add_template_global(state, "state")
    app.add_template_filter(standing_code, "standing_code")
