"""Bearer tokens for scripts: shown once, kept as SHA-256, known afterwards by their first letters."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from storage.clock import Clock, from_required_text, from_text, to_text
from storage.errors import InvalidRecord, NotFound, say
from storage.jsonfiles import Records

_WRITE_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    key: str
    """SHA-256 of the token."""
    prefix: str
    account: str
    created_at: datetime
    last_used_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "key": self.key,
            "prefix": self.prefix,
            "account": self.account,
            "created_at": to_text(self.created_at),
            "last_used_at": to_text(self.last_used_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Token:
        match data["format"]:
            case 1:
                return cls(
                    key=data["key"],
                    prefix=data["prefix"],
                    account=data["account"],
                    created_at=from_required_text(data["created_at"]),
                    last_used_at=from_text(data["last_used_at"]),
                )
            case newer:
                raise InvalidRecord(say("The token's format %(format)s is newer than this program.", format=newer))


class Tokens:
    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._clock = clock
        self._records: Records[Token] = Records(
            folder, decode=Token.from_json, encode=Token.to_json, identify=lambda token: token.key
        )

    def create(self, account: str) -> str:
        """Make a token; its text is returned here and kept nowhere."""
        text = f"pgh_{secrets.token_urlsafe(32)}"
        self._records.save(Token(key=_key(text), prefix=text[:10], account=account, created_at=self._clock()))
        return text

    def find(self, text: str) -> Token | None:
        try:
            token = self._records.get(_key(text))
        except (NotFound, InvalidRecord):
            return None
        now = self._clock()
        if token.last_used_at is None or now - token.last_used_at >= _WRITE_EVERY:
            token = replace(token, last_used_at=now)
            self._records.save(token, durable=False)
        return token

    def of(self, account: str) -> list[Token]:
        return sorted((t for t in self._records.all() if t.account == account), key=lambda token: token.created_at)

    def revoke(self, account: str, key: str) -> None:
        """End a token of this account. Raises NotFound when the account has no such token."""
        if key not in {token.key for token in self.of(account)}:
            raise NotFound(say("There is no such token."))
        self._records.delete(key)

    def revoke_all(self, account: str) -> None:
        for token in self.of(account):
            self._records.delete(token.key)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
