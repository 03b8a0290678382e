"""What each role may do: one table. A new permission is one line here; a route names it with `@requires`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    ADMIN = "admin"
    USER = "user"


_EVERYBODY = frozenset({Role.ADMIN, Role.USER})
_ADMINS = frozenset({Role.ADMIN})

PERMISSIONS: Mapping[str, frozenset[Role]] = {
    "see backups": _EVERYBODY,
    "change their own account": _EVERYBODY,
    "take backups": _ADMINS,
    "verify backups": _ADMINS,
    "download backups": _ADMINS,
    "prove backups": _ADMINS,
    "upload backups": _ADMINS,
    "delete backups": _ADMINS,
    "manage schedules": _ADMINS,
    "manage destinations": _ADMINS,
    "manage alerts": _ADMINS,
    "see the audit log": _ADMINS,
    "restore": _ADMINS,
    "see usage logs": _EVERYBODY,
    "see sessions and probes": _ADMINS,
    "clean up logs": _ADMINS,
    "export tables": _ADMINS,
    "make demo data": _ADMINS,
    "manage databases": _ADMINS,
    "cancel jobs": _ADMINS,
    "manage accounts": _ADMINS,
    "see the system": _ADMINS,
}


def may(role: Role, permission: str) -> bool:
    """Whether the role holds the permission. A permission that is not in the table is a bug: KeyError."""
    return role in PERMISSIONS[permission]
