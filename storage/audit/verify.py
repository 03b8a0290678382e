"""Whether the audit log is as it was written: reads the whole chain, and names the lines that are not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.audit import chain
from storage.errors import Message, say, say_count

MOST_FAULTS = 50
"""More are counted, and not listed."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends, kept beside the lines: without it a tail that was cut off would not be missed."""

    number: int
    hash: str
    file: str
    bytes: int = 0
    """How long that file was then."""


NOTHING = Head(0, chain.START, "")


@dataclass(frozen=True, slots=True)
class Fault:
    """One place where the log is not as it was written. `line` counts from 1 within the file."""

    file: str
    line: int
    what: Message


@dataclass(frozen=True, slots=True)
class Verdict:
    lines: int
    hash: str
    """The SHA-256 of the last line: written down elsewhere, it tells whether everything was replaced."""
    faults: tuple[Fault, ...]
    count: int
    """Of all faults, listed or not."""

    @property
    def good(self) -> bool:
        return not self.count


def verify(files: Iterable[tuple[Path, int]], head: Head | None) -> Verdict:
    """Read each file as far as its length was, oldest first."""
    walk = _Walk(head)
    for path, length in files:
        with path.open("rb") as file:
            walk.read(path.name, file.read(length).split(b"\n"))
    walk.compare_with_head()
    return Verdict(walk.lines, walk.hash, tuple(walk.faults[:MOST_FAULTS]), len(walk.faults))


class _Walk:
    """Goes from line to line, and on behind a fault: one edited line is one fault."""

    def __init__(self, head: Head | None) -> None:
        self._head, self._head_seen = head, head is None
        self.lines, self.number, self.hash = 0, 0, chain.START
        self._unreadable = 0
        self._place = ("", 0)
        self.faults: list[Fault] = []

    def read(self, file: str, lines: Sequence[bytes]) -> None:
        for count, line in enumerate(lines[:-1], 1):
            self.lines += 1
            self._place = (file, count)
            self._look_at(line)
        if lines[-1]:
            self._place = (file, len(lines))
            self._note(say("The line is not whole: its writer was ended, or it was cut off."))

    def _look_at(self, line: bytes) -> None:
        try:
            event = chain.read(line)
        except ValueError:
            self._note(say("This line is not as it was written."))
            self._unreadable += 1
            return
        missing = event.number - self.number - 1 - self._unreadable
        if missing > 0:
            self._note(
                say_count(
                    "Before this line %(count)s is missing, with number %(first)s.",
                    "Before this line %(count)s are missing, from number %(first)s on.",
                    count=missing,
                    first=self.number + 1,
                )
            )
        elif event.number <= self.number:
            # What follows is compared with the line before: one that was put in or moved is one fault.
            self._note(say("This line is not in its place: it has number %(number)s.", number=event.number))
            return
        elif event.before != self.hash and not self._unreadable:
            self._note(say("The line before this one is not the one that stood there when this one was written."))
        if self._head and event.number == self._head.number and event.hash == self._head.hash:
            self._head_seen = True
        self.number, self.hash, self._unreadable = event.number, event.hash, 0

    def compare_with_head(self) -> None:
        if self._head is None:
            if self.lines:
                self._place = ("head.json", 1)
                self._note(say("The file that says where the log ends is missing or cannot be read."))
        elif not self._head_seen and self._head.number > self.number + self._unreadable:
            self._place = (self._head.file, self._place[1] + 1 if self._place[0] == self._head.file else 1)
            self._note(
                say_count(
                    "At the end, %(count)s line was cut off.",
                    "At the end, %(count)s lines were cut off.",
                    count=self._head.number - self.number - self._unreadable,
                )
            )
        elif not self._head_seen and not self.faults:
            self._note(say("The line that was recorded last is not the one that stands here."))

    def _note(self, what: Message) -> None:
        self.faults.append(Fault(*self._place, what))
