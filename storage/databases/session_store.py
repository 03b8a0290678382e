"""The address of an application's session store, as it is typed and as it is shown. Whether anybody answers there is
for `storage.logs.session_store` to find out."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from storage.errors import Invalid, say
from storage.secret import Secret

SCHEMES = ("redis", "rediss", "unix")
_OPTIONS = frozenset({"db", "ssl_cert_reqs", "ssl_ca_certs"})
LONGEST = 4096


def checked_address(text: str) -> Secret:
    """The address of a Redis server. Raises Invalid, without repeating what may be a password."""
    try:
        parts = urlsplit(text)
        where = parts.path if parts.scheme == "unix" else parts.hostname
        number = "" if parts.scheme == "unix" else parts.path.strip("/")
        # Reading the port is what finds out that it is none.
        good = (
            parts.scheme in SCHEMES
            and bool(where)
            and (parts.port or 0) >= 0
            and (not number or (number.isascii() and number.isdigit()))
            and parse_qs(parts.query, strict_parsing=bool(parts.query)).keys() <= _OPTIONS
            and not parts.fragment
            and text.isprintable()
            and len(text) <= LONGEST
        )
    except ValueError:
        good = False
    if not good:
        raise Invalid(
            say("This is not the address of a Redis server."),
            advice=say("Write it like redis://:password@host:6379/0, with rediss:// for TLS or unix:// for a socket."),
        )
    return Secret(text)


def shown_address(url: Secret) -> str:
    """The same without name, password and options."""
    parts = urlsplit(url.reveal)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
