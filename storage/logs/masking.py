"""Secrets in what an application recorded of a request, made unreadable: whoever looks into a request for a fault sees
which key it came with, and not the key."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

MASK = "…"
_KEPT = 4
"""Letters that stay at each end of a secret which has at least …"""
_LONG = 20
_SHORT = "••••"
"""… and what stands for any other."""

_SECRET = re.compile(
    r"authoriz|authentic|(^|[-_])auth([-_]|$)|cookie|token|secret|passw|passphrase|credential|signature|jwt|assertion"
    r"|api[-_ ]?key|(^|[-_])(key|sig|pwd)$",
    re.IGNORECASE,
)
"""Names of headers and of parameters of an address whose values are nobody's business. Too many rather than too few."""
_SCHEME = re.compile(r"(bearer|token|apikey)\s+", re.IGNORECASE)


def is_secret(name: str) -> bool:
    return _SECRET.search(name) is not None


def masked(secret: str) -> str:
    """A secret with its first and last letters, which are enough to tell it from others; nothing of a short one."""
    if len(secret) < _LONG:
        return _SHORT if secret else ""
    return f"{secret[:_KEPT]}{MASK}{secret[-_KEPT:]}"


def masked_header(name: str, value: Any) -> Any:
    """The value of a header, as text or as several; with the name of an address, the secrets in that."""
    if isinstance(value, list):
        return [masked_header(name, one) for one in value]
    if isinstance(value, dict):
        return {key: masked_header(name, one) for key, one in value.items()}
    if value is None or isinstance(value, bool):
        return value
    text = str(value)
    if not is_secret(name):
        return masked_address(text) if "://" in text else value
    if "cookie" in name.lower():
        return "; ".join(_masked_pair(pair) for pair in text.split(";"))
    scheme = _SCHEME.match(text)
    # What follows Basic and Digest is made of a name and a password: no letter of it is safe.
    if scheme is None and " " in text:
        return f"{text.partition(' ')[0]} {_SHORT}" if text.partition(" ")[0].isalpha() else _SHORT
    return text[: scheme.end()] + masked(text[scheme.end() :]) if scheme else masked(text)


def masked_headers(headers: Any) -> Any:
    """All of a request's headers. What is not a document of names and values is not shown at all."""
    if isinstance(headers, dict):
        return {name: masked_header(name, value) for name, value in headers.items()}
    if isinstance(headers, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in headers):
        return [[name, masked_header(str(name), value)] for name, value in headers]
    return None if headers is None else _SHORT


def masked_address(address: Any) -> Any:
    """An address without the password in it, and with its secret parameters masked."""
    if not isinstance(address, str):
        return address
    try:
        parts = urlsplit(address)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return _SHORT
    if not any(is_secret(name) for name, _ in pairs) and "@" not in parts.netloc:
        return address
    query = "&".join(
        f"{quote(name, safe='')}={masked(value) if is_secret(name) else quote(value, safe='')}" for name, value in pairs
    )
    where = f"{_SHORT}@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
    return urlunsplit(parts._replace(netloc=where, query=query))


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.strip().partition("=")
    return f"{name}={masked(value)}" if equals else masked(name)
