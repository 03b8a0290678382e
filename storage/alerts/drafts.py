"""Targets as they are typed or come from the environment: read once, strictly, and closed at once."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from email.utils import parseaddr
from urllib.parse import SplitResult, urlsplit

from storage.alerts.targets import Mail, Security, Target, TargetKind
from storage.errors import Invalid, Message, say
from storage.secret import Secret, SecretBox

LANGUAGES = ("en", "zh")
LONGEST_URL = 2000
DEFAULT_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
SEVERAL = re.compile(r"[,;\s]+")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}", re.ASCII)
_FORBIDDEN = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})
_ON_THIS_MACHINE = frozenset({"syslog", "dbus", "kde", "qt", "glib", "gnome", "macosx", "windows", "vapid"})
"""Apprise services that speak to the machine pghaven runs on instead of to a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What was typed. Text fields as they came; an empty secret of a change means that it stays."""

    kind: TargetKind
    name: str = ""
    language: str = "en"
    host: str = ""
    port: str = ""
    security: str = "starttls"
    user: str = ""
    password: Secret | None = None
    sender: str = ""
    recipients: str = ""
    url: Secret | None = None
    headers: Secret | None = None
    """One a line, as Name: value."""


def read(draft: Draft, box: SecretBox, *, target_id: str, by: str, present: Target | None = None) -> Target:
    """The target that a draft describes. Raises Invalid with the first thing that cannot be used."""
    if draft.language not in LANGUAGES:
        raise Invalid(say("“%(language)s” is not a language of pghaven.", language=draft.language[:40]))
    secrets = dict(present.secrets) if present else {}
    target = Target(
        target_id=target_id,
        name=_line(draft.name, say("A name is missing."), longest=80),
        kind=draft.kind,
        where=present.where if present else "",
        language=draft.language,
        added_by=present.added_by if present else by,
    )
    match draft.kind:
        case TargetKind.MAIL:
            mail = _mail(draft)
            moved = (
                present is not None
                and present.mail is not None
                and ((present.mail.host, present.mail.port, present.mail.user) != (mail.host, mail.port, mail.user))
            )
            if not mail.user:
                secrets = {}
            elif draft.password:
                secrets = {"password": box.close(draft.password)}
            elif moved and secrets:
                raise Invalid(
                    say("The server or the user is another one now."),
                    advice=say("Enter the password that belongs to it; the stored one is not sent to another server."),
                )
            return replace(target, mail=mail, where=", ".join(mail.recipients), secrets=secrets)
        case TargetKind.WEBHOOK:
            if draft.url:
                parts = checked_webhook(draft.url.reveal)
                target = replace(target, where=f"{parts.scheme}://{parts.netloc}")
                secrets = {"url": box.close(draft.url)}
            if draft.headers:
                secrets["headers"] = box.close(Secret(json.dumps(_headers(draft.headers.reveal))))
        case TargetKind.SERVICE:
            if draft.url:
                target = replace(target, where=service_name(draft.url.reveal))
                secrets = {"url": box.close(draft.url)}
    if "url" not in secrets:
        raise Invalid(say("The address is missing."))
    return replace(target, secrets=secrets)


def checked_webhook(url: str) -> SplitResult:
    """The parts of a webhook's address. Raises Invalid for all but http and https, without repeating the address."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(url) > LONGEST_URL or not url.isprintable() or " " in url or "@" in parts.netloc:
        raise Invalid(
            say("The address of a webhook begins with https:// or http:// and names a server."),
            advice=say("A user and a password go into a header, for example Authorization."),
        )
    return parts


def service_name(url: str) -> str:
    """The name of the service that an Apprise address means. Raises Invalid, without repeating the address."""
    import apprise  # here, because it is slow to load and most starts do not need it

    scheme = url.partition("://")[0].lower()
    plugin = None
    if len(url) <= LONGEST_URL and url.isprintable() and scheme not in _ON_THIS_MACHINE:
        plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if plugin is None:
        raise Invalid(
            say("This is not an address that Apprise knows."),
            advice=say("For example feishu://TOKEN, dingtalk://SECRET@TOKEN, wecombot://KEY, tgram://TOKEN/CHAT or "
                       "slack://A/B/C."),
        )  # fmt: skip
    return f"{plugin.service_name} ({scheme})"


def _mail(draft: Draft) -> Mail:
    if draft.security not in set(Security):
        raise Invalid(say("“%(value)s” is not a way to speak to a mail server.", value=draft.security[:40]))
    security = Security(draft.security)
    host = _line(draft.host, say("The mail server's name is missing."))
    if "/" in host or "@" in host or " " in host:
        raise Invalid(say("The mail server's name is a host name, such as smtp.example.com."))
    port = draft.port.strip() or str(DEFAULT_PORTS[security])
    if not port.isascii() or not port.isdigit() or len(port) > 5 or not 1 <= int(port) <= 65535:
        raise Invalid(say("The port is a whole number from 1 to 65535."))
    recipients = [_address(one) for one in SEVERAL.split(draft.recipients.strip()) if one]
    if not recipients:
        raise Invalid(say("Nobody is named to get the mails."))
    return Mail(
        host=host,
        port=int(port),
        security=security,
        user=_line(draft.user) if draft.user else "",
        sender=_address(draft.sender.strip() or recipients[0]),
        recipients=tuple(recipients),
    )


def _address(text: str) -> str:
    address = parseaddr(text)[1]
    before, at, host = address.rpartition("@")
    if not (before and at and host) or address != text or not text.isprintable() or len(text) > 254:
        raise Invalid(say("“%(address)s” is not a mail address.", address=text[:80]))
    return address


def _headers(text: str) -> list[tuple[str, str]]:
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not _HEADER.fullmatch(name) or not value.isascii() or not value.isprintable():
            raise Invalid(say("A header is written as Name: value, one a line."))
        if name.lower() in _FORBIDDEN:
            raise Invalid(say("The header %(name)s is set by pghaven itself.", name=name))
        found.append((name, value))
    return found


def _line(text: str, missing: Message | None = None, *, longest: int = 255) -> str:
    """One line of text. Raises Invalid: a line break in it would be a header of its own."""
    text = text.strip()
    if not text and missing is not None:
        raise Invalid(missing)
    if not text.isprintable() or len(text) > longest:
        raise Invalid(say("This holds letters that it cannot have, or is too long."))
    return text
