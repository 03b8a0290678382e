"""One place for copies, as it is entered, kept and shown. The secret key is kept encrypted and never shown again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from storage.clock import from_text, to_text
from storage.errors import Invalid, InvalidRecord, say
from storage.secret import Secret, SecretBox

SCHEMES: Mapping[str, frozenset[str]] = {
    "file": frozenset(),
    "s3": frozenset({"endpoint", "region", "virtual_hosted_style_request", "allow_http", "skip_signature"}),
    "gs": frozenset({"application_credentials"}),
    "az": frozenset({"account_name", "endpoint", "allow_http"}),
}
"""The kinds of place, with the options that may stand behind the question mark of their address."""

DEFAULT_KEEP_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    name: str
    scheme: str
    bucket: str = ""
    """Bucket or container; '' for a folder."""
    prefix: str = ""
    """The folder's absolute path, or what every key begins with; no slash at its end."""
    options: Mapping[str, str]
    access_key: str = ""
    secret_key: Secret | None = None
    databases: tuple[str, ...] = ()
    """Whose backups are copied there; none means all."""
    keep_days: int = DEFAULT_KEEP_DAYS
    """Copies older than this are deleted there, unless something else keeps them; 0 keeps all."""
    weekly: int = 0
    """Of what is older, one of each of so many weeks that have a copy stays; `monthly` and `yearly` the same."""
    monthly: int = 0
    yearly: int = 0
    recipients: tuple[str, ...] = ()
    """Public age keys: with any, copies are encrypted before they leave."""
    added_at: datetime | None = None
    added_by: str = ""

    def takes(self, database: str) -> bool:
        return not self.databases or database in self.databases

    def with_(self, **changes: Any) -> Destination:
        return replace(self, **changes)

    @property
    def url(self) -> str:
        """The address without its secrets."""
        if self.scheme == "file":
            return f"file://{quote(self.prefix)}"
        asked = "&".join(f"{name}={quote(value, safe=':/')}" for name, value in sorted(self.options.items()))
        path = f"/{quote(self.prefix)}" if self.prefix else ""
        return f"{self.scheme}://{self.bucket}{path}{'?' if asked else ''}{asked}"

    @property
    def place(self) -> tuple[str, ...]:
        """Where copies lie, however it was typed: two that are equal would write over each other's."""
        if self.scheme == "file":
            return self.scheme, str(Path(self.prefix).resolve())
        folder = "/".join(part for part in self.prefix.split("/") if part)
        whose = self.options.get("account_name") or self.access_key if self.scheme == "az" else ""
        return self.scheme, self.options.get("endpoint", "").rstrip("/"), whose, self.bucket, folder

    def is_within(self, folder: Path) -> bool:
        """Whether copies would lie in this folder of this machine, or below it."""
        return self.scheme == "file" and Path(self.prefix).resolve().is_relative_to(folder.resolve())

    def to_json(self, box: SecretBox) -> dict[str, Any]:
        return {
            "format": 1,
            "name": self.name,
            "scheme": self.scheme,
            "bucket": self.bucket,
            "prefix": self.prefix,
            "options": dict(self.options),
            "access_key": self.access_key,
            "secret_key": box.close(self.secret_key) if self.secret_key else "",
            "databases": list(self.databases),
            "keep_days": self.keep_days,
            "weekly": self.weekly,
            "monthly": self.monthly,
            "yearly": self.yearly,
            "recipients": list(self.recipients),
            "added_at": to_text(self.added_at),
            "added_by": self.added_by,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], box: SecretBox) -> Destination:
        match data["format"]:
            case 1:
                return cls(
                    name=data["name"],
                    scheme=data["scheme"],
                    bucket=data["bucket"],
                    prefix=data["prefix"],
                    options=dict(data["options"]),
                    access_key=data["access_key"],
                    secret_key=box.open(data["secret_key"]) if data["secret_key"] else None,
                    databases=tuple(data["databases"]),
                    keep_days=data["keep_days"],
                    # Not in the first records.
                    weekly=data.get("weekly", 0),
                    monthly=data.get("monthly", 0),
                    yearly=data.get("yearly", 0),
                    recipients=tuple(data["recipients"]),
                    added_at=from_text(data["added_at"]),
                    added_by=data["added_by"],
                )
            case newer:
                raise InvalidRecord(
                    say("The destination's format %(format)s is newer than this program.", format=newer)
                )


def parse_url(name: str, url: str) -> Destination:
    """Read an address as a person types it: /srv/copies, file:///srv/copies, s3://KEY:SECRET@bucket/prefix?endpoint=…,
    gs://bucket/prefix, az://ACCOUNT:KEY@container/prefix. Raises Invalid naming what cannot be used."""
    url = url.strip()
    if url.startswith("/"):
        return _folder(name, url)
    try:
        parts = urlsplit(url)
    except ValueError:  # its words may repeat the secret key
        parts = urlsplit("")
    if parts.scheme not in SCHEMES:
        raise Invalid(
            say("A destination's address begins with one of: %(schemes)s.",
                schemes=", ".join(f"{scheme}://" for scheme in SCHEMES)),
            advice=say("For example s3://bucket/folder?endpoint=https://s3.example.org, or /srv/copies."),
        )  # fmt: skip
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise Invalid(say("A folder's address has three slashes: file:///srv/copies."))
        return _folder(name, unquote(parts.path))
    bucket = parts.netloc.rpartition("@")[2]
    if not bucket or ":" in bucket:
        raise Invalid(say("The address names no bucket: %(scheme)s://bucket/folder.", scheme=parts.scheme))
    secret = unquote(parts.password) if parts.password else ""
    return Destination(
        name=name,
        scheme=parts.scheme,
        bucket=bucket,
        prefix=unquote(parts.path).strip("/"),
        options=_options(parts.scheme, parts.query),
        access_key=unquote(parts.username or ""),
        secret_key=Secret(secret) if secret else None,
    )


def _folder(name: str, path: str) -> Destination:
    clean = "/" + path.strip("/")
    if clean == "/" or "\0" in clean or ".." in clean.split("/"):
        raise Invalid(say("“%(path)s” cannot be a folder of copies.", path=path[:80]))
    return Destination(name=name, scheme="file", prefix=clean, options={})


def _options(scheme: str, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query))
    if unknown := sorted(options.keys() - SCHEMES[scheme]):
        raise Invalid(
            say("The address has an option that is not known: %(name)s.", name=unknown[0][:80]),
            advice=say("Known are: %(names)s.", names=", ".join(sorted(SCHEMES[scheme])) or "-"),
        )
    if (endpoint := options.get("endpoint")) and not _is_of_the_web(endpoint):
        raise Invalid(say("The endpoint must begin with https:// or http://."))
    return options


def _is_of_the_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
