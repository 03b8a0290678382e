"""Who is told: targets, and which rules are bound to them; one document, so that several change together or not at all.

The secrets of a target (a password, an address with a token in it, headers) are encrypted as long as they lie here, in
memory as on disk; only what sends a letter opens them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from storage import jsonfiles
from storage.alerts.model import Event, Limits, checked_format
from storage.errors import Invalid, NotFound, say

MOST_TARGETS = 50


class TargetKind(StrEnum):
    MAIL = "mail"
    WEBHOOK = "webhook"
    SERVICE = "service"
    """A chat or other service, by an Apprise address."""


class Security(StrEnum):
    """How a mail server is spoken to."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """The mail server of a target, without its password."""

    host: str
    port: int
    security: Security = Security.STARTTLS
    user: str = ""
    sender: str
    recipients: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"security": self.security.value, "recipients": list(self.recipients)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Mail:
        return cls(**(dict(data) | {"security": Security(data["security"]), "recipients": tuple(data["recipients"])}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    target_id: str
    name: str
    kind: TargetKind
    where: str
    """Where it leads, as it may be shown: recipients, a host, a service's name. Never a token."""
    language: str = "en"
    mail: Mail | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Closed with the SecretBox: password of a mail server; url and headers of a webhook; url of a service."""
    added_by: str = ""
    from_environment: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.target_id,
            "name": self.name,
            "kind": self.kind.value,
            "where": self.where,
            "language": self.language,
            "mail": self.mail.to_json() if self.mail else None,
            "secrets": dict(self.secrets),
            "added_by": self.added_by,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Target:
        return cls(
            target_id=data["id"],
            name=data["name"],
            kind=TargetKind(data["kind"]),
            where=data["where"],
            language=data["language"],
            mail=Mail.from_json(data["mail"]) if data["mail"] else None,
            secrets=data["secrets"],
            added_by=data["added_by"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Everything that is set up: the targets, the rules bound to each, and the limits of the rules."""

    targets: tuple[Target, ...] = ()
    bindings: Mapping[str, Mapping[Event, bool]] = field(default_factory=dict)
    """A target's id to the rules that were ever bound to it, on or off."""
    limits: Limits = field(default_factory=Limits)

    def get(self, target_id: str) -> Target:
        found = next((target for target in self.targets if target.target_id == target_id), None)
        if found is None:
            raise NotFound(say("There is no alert target %(id)s.", id=target_id[:80]))
        return found

    def bound(self, target_id: str, event: Event) -> bool:
        return self.bindings.get(target_id, {}).get(event, False)

    def told_of(self, event: Event) -> tuple[Target, ...]:
        return tuple(target for target in self.targets if self.bound(target.target_id, event))

    def with_target(self, target: Target, bindings: Mapping[Event, bool]) -> Book:
        """With one more target. Raises Invalid for a name that is taken."""
        if len(self.targets) >= MOST_TARGETS:
            raise Invalid(say("There can be no more than %(most)s alert targets.", most=MOST_TARGETS))
        self._check_name(target)
        return replace(
            self, targets=(*self.targets, target), bindings={**self.bindings, target.target_id: dict(bindings)}
        )

    def with_changed(self, target: Target) -> Book:
        self._check_name(target)
        changed = tuple(target if one.target_id == target.target_id else one for one in self.targets)
        return replace(self, targets=changed)

    def without(self, target_id: str) -> Book:
        return replace(
            self,
            targets=tuple(target for target in self.targets if target.target_id != target_id),
            bindings={known: bound for known, bound in self.bindings.items() if known != target_id},
        )

    def with_bindings(self, target_id: str, bindings: Mapping[Event, bool]) -> Book:
        return replace(self, bindings={**self.bindings, target_id: {**self.bindings.get(target_id, {}), **bindings}})

    def _check_name(self, target: Target) -> None:
        if any(one.name == target.name and one.target_id != target.target_id for one in self.targets):
            raise Invalid(
                say("There is an alert target named “%(name)s” already.", name=target.name),
                advice=say("Choose another name."),
            )

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "targets": [target.to_json() for target in self.targets if not target.from_environment],
            "bindings": {
                target_id: {event.value: on for event, on in bound.items()}
                for target_id, bound in self.bindings.items()
            },
            "limits": self.limits.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Book:
        checked_format(data)
        return cls(
            targets=tuple(Target.from_json(target) for target in data["targets"]),
            bindings={
                target_id: {Event(event): bool(on) for event, on in bound.items()}
                for target_id, bound in data["bindings"].items()
            },
            limits=Limits.from_json(data["limits"]),
        )


EVERYTHING: Mapping[Event, bool] = {event: True for event in Event if event is not Event.TEST}


class Shelf:
    """Keeps the one book on disk. `hold` is a lock across processes, for the length of a change."""

    def __init__(
        self, path: Path, *, hold: Callable[[], AbstractContextManager[object]], from_environment: tuple[Target, ...]
    ) -> None:
        self._path, self._hold, self._given = path, hold, from_environment

    def read(self) -> Book:
        """The book, with the environment's targets at its beginning: bound to everything until somebody says else."""
        try:
            book = Book.from_json(jsonfiles.read(self._path))
        except FileNotFoundError:
            book = Book()
        given = {target.target_id: EVERYTHING for target in self._given}
        return replace(book, targets=(*self._given, *book.targets), bindings={**given, **book.bindings})

    def edit(self, change: Callable[[Book], Book]) -> Book:
        """Change the book as one write; what `change` raises leaves it as it was."""
        with self._hold():
            book = change(self.read())
            jsonfiles.write(self._path, book.to_json())
        return book
