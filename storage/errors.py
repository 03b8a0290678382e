"""Every refusal of pghaven, as one tree, and the sentences they are made of.

    StorageError
    ├── NotFound            no such record, database, file
    ├── Conflict            somebody or something else is in the way
    │   └── LockHeld
    ├── Invalid             what was handed in cannot be used
    │   └── InvalidRecord   a file of our own cannot be read
    ├── Denied              the account, or the database role, may not do it
    ├── Unavailable         a server, a program or a disk is not there for us
    │   ├── Unreachable     a database server, with the kind of trouble
    │   └── ConnectionLost  to a database server, in the middle
    ├── Damaged             a file is not what was written
    ├── ProgramFailed       a client program ended with an error
    └── JobCancelled        a person asked for the end

Each says first what happened to the data, then why, then what to do. The words are kept as templates and facts, so that
a page can say them in the reader's language.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence that can be translated: an English template with %(names)s, and the facts that fill it.

    A fact may be a sentence itself. One whose name ends in _bytes is a size, shown as 1.4 GB. Where there is a
    `plural`, it is the template for every `count` but one.
    """

    template: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    plural: str = ""

    def __str__(self) -> str:
        template = self.plural if self.plural and self.facts["count"] != 1 else self.template
        facts = {name: size_in_words(fact) if name.endswith("_bytes") else fact for name, fact in self.facts.items()}
        return template % facts if facts else template

    def to_json(self) -> dict[str, Any]:
        facts = {name: fact.to_json() if isinstance(fact, Message) else fact for name, fact in self.facts.items()}
        said: dict[str, Any] = {"template": self.template, "facts": facts}
        return said | {"plural": self.plural} if self.plural else said

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Message:
        facts = {
            name: cls.from_json(fact) if isinstance(fact, Mapping) and "template" in fact else fact
            for name, fact in data["facts"].items()
        }
        return cls(str(data["template"]), facts, str(data.get("plural", "")))


def say(template: LiteralString, **facts: object) -> Message:
    """Make a sentence. The catalogue of translations is collected from the calls of this function."""
    return Message(template, facts)


def say_count(one: LiteralString, many: LiteralString, *, count: int, **facts: object) -> Message:
    """Make a sentence about `count` things, in the singular and in the plural."""
    return Message(one, {"count": count, **facts}, many)


def size_in_words(size: int) -> str:
    """1.4 GB: decimal units, as disks are sold; one figure behind the point where it says something."""
    amount, unit = float(size), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit > 1 and amount < 9.95 else f"{amount:.0f} {_UNITS[unit]}"


_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")

NOTHING_CHANGED = say("Nothing was changed.")


class StorageError(Exception):
    """What pghaven refuses or could not do: effect on the data, cause, advice, and the server's own words."""

    def __init__(
        self, cause: Message, *, effect: Message = NOTHING_CHANGED, advice: Message | None = None, words: str = ""
    ) -> None:
        super().__init__(str(cause))
        self.cause, self.effect, self.advice, self.words = cause, effect, advice, words

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.effect, self.cause, self.advice) if part)

    def to_json(self) -> dict[str, Any]:
        """The form kept in the record of a job or a backup."""
        return {
            "kind": type(self).__name__,
            "effect": self.effect.to_json(),
            "cause": self.cause.to_json(),
            "advice": self.advice.to_json() if self.advice else None,
            "words": self.words,
        }


class NotFound(StorageError): ...


class Conflict(StorageError): ...


class LockHeld(Conflict):
    """Another job works on the same thing; `holder` says which."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            say("%(name)s is in use by %(holder)s.", name=name, holder=holder),
            advice=say("Try again when it has finished."),
        )
        self.name, self.holder = name, holder


class Invalid(StorageError): ...


class InvalidRecord(Invalid): ...


class Denied(StorageError): ...


class Unavailable(StorageError): ...


class ConnectionLost(Unavailable):
    """A connection to a database server that was there, and ended in the middle."""


class Unreachable(Unavailable):
    """A database server that cannot be used; `kind` is one word of `storage.postgres.connection.TROUBLES`."""

    def __init__(self, kind: str, cause: Message, *, advice: Message | None = None, words: str = "") -> None:
        super().__init__(cause, advice=advice, words=words)
        self.kind = kind

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"trouble": self.kind}


class Damaged(StorageError): ...


class ProgramFailed(StorageError):
    """A client program ended with an error; the last lines it wrote are kept."""

    def __init__(self, program: str, code: int, lines: tuple[str, ...], *, cause: Message | None = None) -> None:
        if cause is None:
            cause = (
                say("%(program)s was killed by signal %(signal)s.", program=program, signal=-code)
                if code < 0
                else say("%(program)s ended with code %(code)s.", program=program, code=code)
            )
        super().__init__(cause, words="\n".join(lines))
        self.program, self.code, self.lines = program, code, lines


class JobCancelled(StorageError):
    def __init__(self, by: str = "") -> None:
        super().__init__(say("Cancelled by %(name)s.", name=by) if by else say("Cancelled."))
        self.by = by


@contextmanager
def named(variable: str) -> Iterator[None]:
    """Say of which variable it is when what a setting is used for is refused."""
    try:
        yield
    except Invalid as error:
        raise Invalid(
            say("%(variable)s cannot be used: %(reason)s", variable=variable, reason=error.cause),
            effect=say("pghaven was not started."),
            advice=error.advice,
        ) from None
