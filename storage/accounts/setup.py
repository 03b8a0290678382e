"""The first admin: a token that is printed on the box lets one person in, once; then this way is closed for ever."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from storage import jsonfiles
from storage.errors import Conflict, Denied, say


class Setup:
    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def closed(self) -> bool:
        return bool(self._read().get("closed"))

    def new_token(self) -> str:
        """Make the token of this start; the one before is worth nothing any more."""
        token = secrets.token_urlsafe(18)
        self._write({"token": _digest(token), "closed": False})
        return token

    def check(self, token: str) -> None:
        """Raise Denied unless this is the token, Conflict when set-up is over."""
        kept = self._read()
        if kept.get("closed"):
            raise Conflict(
                say("pghaven is set up already."), advice=say("Sign in, or ask whoever runs the box for an account.")
            )
        if not hmac.compare_digest(str(kept.get("token", "")), _digest(token.strip())):
            raise Denied(
                say("This is not the set-up token."),
                advice=say("It was printed where pghaven was started. Every start prints a new one."),
            )

    def close(self) -> None:
        self._write({"token": "", "closed": True})

    def _read(self) -> jsonfiles.JsonObject:
        try:
            return jsonfiles.read(self._file)
        except FileNotFoundError:
            return {}

    def _write(self, data: jsonfiles.JsonObject) -> None:
        jsonfiles.write(self._file, {"format": 1, **data})


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
