"""How restores end that do not end well: what their records say, and what a person is told."""

from __future__ import annotations

import logging

from storage.errors import JobCancelled, Message, StorageError, say
from storage.jobs.store import INTERRUPTED
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import Mode

logger = logging.getLogger(__name__)

NOT_KNOWN = say("It is not known yet whether the names were swapped; pghaven looks again every minute.")
"""The effect of whatever ends a restore in the state SWAPPING with a server that cannot be asked."""
_ROWS_NOT_KNOWN = say("It is not known yet whether the rows were committed; pghaven looks again every minute.")


def not_known(record: RestoreRecord) -> Message:
    return _ROWS_NOT_KNOWN if record.mode in (Mode.TABLES, Mode.MERGE) else NOT_KNOWN


def told(error: StorageError, *, effect: Message) -> StorageError:
    """The same refusal with another effect."""
    if error is INTERRUPTED:
        return StorageError(error.cause, effect=effect, advice=error.advice)
    error.effect = effect
    return error


def ending(error: BaseException) -> tuple[RestoreState, StorageError]:
    """How the record closes, and what it says."""
    if not isinstance(error, Exception):
        return RestoreState.INTERRUPTED, INTERRUPTED
    if isinstance(error, JobCancelled):
        # Without a name nobody asked: the program is being stopped.
        return (RestoreState.CANCELLED if error.by else RestoreState.INTERRUPTED), error
    if isinstance(error, StorageError):
        return RestoreState.FAILED, error
    logger.error("a restore failed by a fault of pghaven", exc_info=error)
    return RestoreState.FAILED, StorageError(
        say("pghaven itself made a mistake: %(error)s", error=f"{type(error).__name__}: {error}"[:500]),
        advice=say("The program's log has the details. Please report them."),
    )
