"""The steps of a restore, as its page lists them before the first begins. Pure."""

from __future__ import annotations

from storage.errors import Message, say
from storage.restores.request import Mode, RestoreRequest

Steps = tuple[tuple[str, Message], ...]

_BEGINNING: Steps = (
    ("turn", say("Wait for a turn")),
    ("verify", say("Read the archive's checksum")),
    ("look", say("Look at the server")),
)
_SNAPSHOT: Steps = (("snapshot", say("Take a snapshot of the present data")),)
_SNAPSHOT_ENDS: Steps = (("snapshot", say("Wait for the end of the snapshot")),)
_BESIDE: Steps = (("load", say("Restore beside it, and take a snapshot of the present data meanwhile")),)
_COMPARE: Steps = (("compare", say("Compare every table with the backup")),)
_ROWS: Steps = (("rows", say("Put the rows in place")),)
_MERGE: Steps = (("merge", say("Add what is missing, in one transaction")),)
_AFTER: Steps = (("after", say("Run the application's command")),)
_DROP: Steps = (("drop", say("Drop the database that was restored")),)


def of(request: RestoreRequest, *, after: bool) -> Steps:
    """The steps that a request takes, as (code, title). `after` says whether the application has a command to run."""
    commands = _AFTER if after else ()
    match request.mode:
        case Mode.UNDO:
            swap_back: Steps = (_BEGINNING[0], _BEGINNING[2], ("swap", say("Swap the names back")))
            return swap_back + (_DROP if request.drop else ())
        case Mode.TABLES:
            return _BEGINNING + _SNAPSHOT + _ROWS
        case Mode.MERGE:
            return _BEGINNING + _BESIDE + _COMPARE + _SNAPSHOT_ENDS + _MERGE
        case Mode.REPLACE:
            swap: Steps = (("swap", say("Swap the names")),)
            return _BEGINNING + _BESIDE + _COMPARE + _SNAPSHOT_ENDS + commands + swap
        case _:
            load: Steps = (("load", say("Restore")),)
            return _BEGINNING + load + _COMPARE + commands + (("swap", say("Give it its name")),)
