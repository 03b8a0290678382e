"""Encrypting copies for age recipients (age-encryption.org/v1): the server needs public keys only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import RawIOBase
from pathlib import Path

from storage.errors import Denied, Invalid, say

SUFFIX = ".age"


def checked_recipients(texts: Iterable[str]) -> tuple[str, ...]:
    """The recipients as they are kept. Raises Invalid naming the first that is not a public key of age."""
    recipients = tuple(text.strip() for text in texts if text.strip())
    for text in recipients:
        _recipient(text)
    return recipients


def encrypt(source: Path, target: Path, recipients: Sequence[str], *, watch: Callable[[], None]) -> None:
    """Write `source`, encrypted, into the new file `target`."""
    import pyrage

    with _Watched(source, watch) as reader, target.open("xb") as writer:
        pyrage.encrypt_io(reader, writer, [_recipient(text) for text in recipients])


def decrypt(source: Path, target: Path, identity: str, *, watch: Callable[[], None]) -> None:
    """The other way, with a secret key of age. Raises Denied for a key that does not open it."""
    import pyrage

    lines = [line.strip() for line in identity.splitlines() if line.strip() and not line.startswith("#")]
    try:
        identities = [pyrage.x25519.Identity.from_str(line) for line in lines]
        with _Watched(source, watch) as reader, target.open("xb") as writer:
            pyrage.decrypt_io(reader, writer, identities)
    except (pyrage.IdentityError, pyrage.DecryptError) as error:
        raise Denied(
            say("The copy cannot be decrypted with this key: %(reason)s.", reason=str(error).rstrip(".")),
            advice=say("Give the file with the secret key (AGE-SECRET-KEY-1…) of one of its recipients."),
        ) from error


def _recipient(text: str) -> object:
    import pyrage

    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise Invalid(
            say("“%(key)s” is not a public key of age.", key=text[:80]),
            advice=say("It begins with age1; age-keygen prints it."),
        ) from error


class _Watched(RawIOBase):
    """A file that asks, before every read, whether to go on."""

    def __init__(self, path: Path, watch: Callable[[], None]) -> None:
        self._file, self._watch = path.open("rb", buffering=0), watch

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        self._watch()
        return self._file.read(size) or b""

    def close(self) -> None:
        self._file.close()
        super().close()
