"""What the checks of a plan look at, and where they note what they found."""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.backups.record import BackupRecord
from storage.errors import Message, StorageError
from storage.postgres.archive import Archive
from storage.postgres.programs import Installation
from storage.restores.facts import ServerFacts
from storage.restores.plan import Check, Light
from storage.restores.request import RestoreRequest


@dataclass(frozen=True, slots=True)
class Looked:
    """The facts of one plan, and its checks so far."""

    request: RestoreRequest
    backup: BackupRecord
    archive: Archive | StorageError
    """Or the refusal to read it."""
    facts: ServerFacts
    installations: tuple[Installation, ...]
    checks: list[Check] = field(default_factory=list)

    @property
    def restricted(self) -> bool:
        """Whether the archive is loaded by a role of its own, without special rights."""
        return not self.backup.ours and self.facts.superuser

    def note(self, code: str, state: Light, message: Message, advice: Message | None = None) -> None:
        self.checks.append(Check(code, state, message, advice))

    def good(self, code: str, message: Message) -> None:
        self.note(code, Light.GOOD, message)

    def bad(self, code: str, message: Message, advice: Message | None = None) -> None:
        self.note(code, Light.BAD, message, advice)
