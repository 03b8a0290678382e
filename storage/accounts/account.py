"""One account: a name, a role and the hash of a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from storage.accounts import permissions
from storage.accounts.permissions import Role
from storage.clock import from_required_text, to_text
from storage.errors import InvalidRecord, say


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    name: str
    role: Role
    password_hash: str = field(repr=False)
    """argon2id, in its own text form with parameters and salt."""
    created_at: datetime
    created_by: str = ""
    password_changed_at: datetime
    linked: Mapping[str, str] = field(default_factory=dict)
    """Which user of an application this person is, by the database's name: the application's own id."""

    def may(self, permission: str) -> bool:
        return permissions.may(self.role, permission)

    def with_(self, **changes: Any) -> Account:
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "name": self.name,
            "role": self.role.value,
            "password_hash": self.password_hash,
            "created_at": to_text(self.created_at),
            "created_by": self.created_by,
            "password_changed_at": to_text(self.password_changed_at),
            "linked": dict(self.linked),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Account:
        match data["format"]:
            case 1:
                return cls(
                    name=data["name"],
                    role=Role(data["role"]),
                    password_hash=data["password_hash"],
                    created_at=from_required_text(data["created_at"]),
                    created_by=data["created_by"],
                    password_changed_at=from_required_text(data["password_changed_at"]),
                    linked=data.get("linked", {}),
                )
            case newer:
                raise InvalidRecord(say("The account's format %(format)s is newer than this program.", format=newer))
