"""Ids that sort by time, and the names that may become part of a path."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

from storage.errors import Invalid, say

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4,8}", re.ASCII)


def compact_time(moment: datetime) -> str:
    """20261122T131405Z: sorts as text, and is safe in a file name."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def new_id(moment: datetime) -> str:
    """An id that begins with its UTC time, so that a folder's listing is in order."""
    return f"{compact_time(moment)}-{secrets.token_hex(3)}"


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def checked_name(text: str) -> str:
    """The name itself when it may be used in paths and addresses; otherwise Invalid."""
    if not _NAME.fullmatch(text) or ".." in text:
        raise Invalid(
            say("“%(name)s” cannot be a name here.", name=text[:80]),
            advice=say("Use small letters, digits, dots, dashes and underscores; begin with a letter or digit."),
        )
    return text
