"""One database as pghaven knows it: its name here, how it is reached, and what its backups should be like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from storage.clock import from_text, to_text
from storage.errors import InvalidRecord, say
from storage.postgres.connection import Connection
from storage.secret import Secret, SecretBox


class Source(StrEnum):
    ENVIRONMENT = "environment"
    """From DATABASE_URL: shown, not editable."""
    EMBEDDED = "embedded"
    """A demo database on pghaven's own server: shown, not editable."""
    ADDED = "added"
    """Added in the browser or at the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseProfile:
    """`name` is ours: it is part of paths and addresses, and says nothing about the database's name on its server."""

    name: str
    connection: Connection
    source: Source = Source.ADDED
    log_tables: tuple[str, ...] = ()
    """schema.table of what a no-logs backup leaves out, in addition to what the application map says."""
    digests: bool = True
    """Whether a backup's manifest holds content digests beside the row counts."""
    session_store_url: Secret | None = None
    """Where the application keeps the details of its sessions' requests: the address of its Redis."""
    added_at: datetime | None = None
    added_by: str = ""

    @property
    def editable(self) -> bool:
        return self.source is Source.ADDED

    def with_(self, **changes: Any) -> DatabaseProfile:
        return replace(self, **changes)

    def to_json(self, box: SecretBox) -> dict[str, Any]:
        """The stored form; the password and the session store's address, which may hold one, are encrypted in it."""
        connection = self.connection
        return {
            "format": 1,
            "name": self.name,
            "host": connection.host,
            "port": connection.port,
            "user": connection.user,
            "database": connection.dbname,
            "password": box.close(connection.password) if connection.password else None,
            "sslmode": connection.sslmode,
            "sslrootcert": connection.sslrootcert,
            "log_tables": list(self.log_tables),
            "digests": self.digests,
            "session_store": box.close(self.session_store_url) if self.session_store_url else None,
            "added_at": to_text(self.added_at),
            "added_by": self.added_by,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], box: SecretBox) -> DatabaseProfile:
        match data["format"]:
            case 1:
                return cls(
                    name=data["name"],
                    connection=Connection(
                        host=data["host"],
                        port=data["port"],
                        user=data["user"],
                        dbname=data["database"],
                        password=box.open(data["password"]) if data["password"] else None,
                        sslmode=data["sslmode"],
                        sslrootcert=data["sslrootcert"],
                    ),
                    log_tables=tuple(data["log_tables"]),
                    digests=data["digests"],
                    session_store_url=box.open(data["session_store"]) if data.get("session_store") else None,
                    added_at=from_text(data["added_at"]),
                    added_by=data["added_by"],
                )
            case newer:
                raise InvalidRecord(say("The database's format %(format)s is newer than this program.", format=newer))
