"""The one table from a refusal to the exit code, and how a refusal reads at the terminal and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.errors import (
    Conflict,
    Damaged,
    Denied,
    Invalid,
    JobCancelled,
    Message,
    NotFound,
    StorageError,
    Unavailable,
)

DONE, FAILED, USAGE, CANCELLED = 0, 1, 2, 130

EXIT_CODES: Mapping[type[StorageError], int] = {
    StorageError: FAILED,
    NotFound: 3,
    Conflict: 4,
    Invalid: 5,
    Unavailable: 6,
    Damaged: 7,
    Denied: 8,
    JobCancelled: CANCELLED,
}
"""By the nearest class in the tree of `storage.errors`: LockHeld is a Conflict, Unreachable is Unavailable."""

EXIT_CODES_IN_WORDS = """\b
Exit codes:
    0  done
    1  failed: a program or the server ended it, or pghaven made a mistake
    2  the command was not understood
    3  there is no such record, database or file
    4  something else is in the way: another job, a name or port that is taken
    5  what was given cannot be used
    6  a server, a program or a disk is not there
    7  a backup is damaged: its file is not what was written
    8  not allowed: the account, or the database role, may not do it
  130  cancelled, by Ctrl-C or by somebody else
"""


def exit_code(error: StorageError) -> int:
    return exit_code_of_kind(type(error).__name__)


def exit_code_of_kind(kind: str) -> int:
    """For an error read from a record, where only the name of its class is left."""
    ancestry = _by_name().get(kind, StorageError).__mro__
    return next(EXIT_CODES[known] for known in ancestry if known in EXIT_CODES)


def in_words(error: Mapping[str, Any]) -> str:
    """Lines for a person, from `StorageError.to_json`: effect, cause, what to do, then the words of others."""
    sentences = " ".join(_text(error[part]) for part in ("effect", "cause", "advice") if error.get(part))
    words = str(error.get("words") or "")
    return visible("\n".join([sentences, *(f"  {line}" for line in words.splitlines())]))


def in_json(error: Mapping[str, Any]) -> dict[str, Any]:
    """The value under "error" of a JSON answer, from `StorageError.to_json`."""
    parts = {part: _text(error[part]) if error.get(part) else None for part in ("effect", "cause", "advice")}
    return {
        "kind": error["kind"],
        "exit_code": exit_code_of_kind(error["kind"]),
        "message": " ".join(text for text in parts.values() if text),
        **parts,
        "words": str(error.get("words") or ""),
    }


def visible(text: str) -> str:
    """Text without the control characters by which a server's words could move about on the reader's terminal."""
    shown = text.replace("\t", "    ")
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}" for letter in shown)


def _text(message: Mapping[str, Any]) -> str:
    return str(Message.from_json(message))


def _by_name() -> dict[str, type[StorageError]]:
    found: dict[str, type[StorageError]] = {}
    waiting: list[type[StorageError]] = [StorageError]
    while waiting:
        kind = waiting.pop()
        found[kind.__name__] = kind
        waiting += kind.__subclasses__()
    return found
