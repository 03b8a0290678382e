"""Secrets: kept from print and logs in memory, encrypted in files.

Encryption is Fernet (AES-128-CBC with HMAC-SHA-256) of the `cryptography` package. The key comes from SECRET_KEY or
SECRET_KEY_FILE, otherwise from a file of the data folder made at the first start with mode 0600.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from storage.errors import Unavailable, say


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that does not print itself."""

    reveal: str = field(repr=False)

    def __str__(self) -> str:
        return "••••"

    def __bool__(self) -> bool:
        return bool(self.reveal)


class SecretBox:
    """Encrypts what lies in files, and derives the keys for signing. One key for one data folder."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(self._derive("records")))

    def _derive(self, purpose: str) -> bytes:
        return hashlib.blake2b(purpose.encode(), key=hashlib.sha256(self._key).digest(), digest_size=32).digest()

    def signing_key(self, purpose: str) -> str:
        """A key for signing cookies and forms: of this data folder, different for every purpose."""
        return self._derive(f"sign {purpose}").hex()

    def close(self, secret: Secret) -> str:
        return self._fernet.encrypt(secret.reveal.encode()).decode()

    def open(self, text: str) -> Secret:
        """Decrypt. Raises Unavailable when the text was closed with another key."""
        try:
            return Secret(self._fernet.decrypt(text.encode()).decode())
        except InvalidToken as error:
            raise Unavailable(
                say("A stored password cannot be read: it was encrypted with another key."),
                advice=say("Start pghaven with the SECRET_KEY it had before, or enter the password again."),
            ) from error


def load_or_make_key(path: Path) -> str:
    """The data folder's key. Refuses a file that others may read: whoever has it reads every stored password."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise Unavailable(
                say("%(path)s can be read by other accounts of this machine.", path=str(path)),
                advice=say("Run: chmod 600 %(path)s", path=str(path)),
            ) from None
        return path.read_text().strip()
    key = secrets.token_urlsafe(48)
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key
