"""Which addresses a page may be sent on to: paths of this site, nothing else."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request


def is_local_path(address: str) -> bool:
    """Whether a browser stays on this site when it is sent to `address`.

    Browsers drop control characters and take a backslash for a slash before they look; so neither may be in it.
    """
    if not address.startswith("/") or address.startswith("//") or len(address) > 2000:
        return False
    if "\\" in address or any(ord(letter) < 33 or ord(letter) == 127 for letter in address):
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


def local_path(address: str | None, *, otherwise: str) -> str:
    return address if address and is_local_path(address) else otherwise


def asked_for() -> str:
    """The path and query of this request, with the prefix that a proxy took off."""
    return request.root_path + request.full_path.rstrip("?")


def path_of(url: str | None) -> str | None:
    """The path and query of a whole address, such as HX-Current-URL or Referer has it; None when it has none."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.path + (f"?{parts.query}" if parts.query else "")
