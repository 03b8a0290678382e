"""In which language a page speaks: the reader's choice in a cookie, otherwise the browser's; English or Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, has_request_context, request
from flask_babel import Babel, get_domain, get_locale, gettext

from storage.errors import Message, say
from storage.settings import Settings
from webapp.current import is_own_server
from webapp.formats import size_text
from webapp.states import STATES

LANGUAGES = {"en": "English", "zh_Hans": "中文"}
TAGS = {"en": "en", "zh_Hans": "zh-Hans"}
"""The language as HTML names it."""
THEMES = ("system", "light", "dark")

_SPOKEN = {"en": "en", "zh": "zh_Hans"}
"""By the first part of what a browser asks for: zh-CN, zh-Hans-CN, and zh-TW rather than English."""


def install(app: Flask, settings: Settings) -> None:
    Babel(
        app,
        default_locale="en",
        default_timezone=settings.time_zone,
        default_translation_directories=str(Path(__file__).parent / "translations"),
        locale_selector=language,
    )
    app.add_template_filter(translated, "translated")
    app.add_template_filter(translated, "said")
    app.add_template_filter(who, "who")
    app.add_template_filter(server, "server")
    app.add_template_filter(is_own_server, "is_own_server")
    app.add_template_global(sentences, "sentences")
    app.context_processor(_context)


def language() -> str:
    if not has_request_context():
        return "en"
    chosen = request.cookies.get("language")
    if chosen in LANGUAGES:
        return chosen
    wanted = (tag.lower().partition("-")[0] for tag in request.accept_languages.values())
    return next((_SPOKEN[tag] for tag in wanted if tag in _SPOKEN), "en")


def theme() -> str:
    chosen = request.cookies.get("theme", "system")
    return chosen if chosen in THEMES else "system"


def translated(message: Message | Mapping[str, Any] | str | None) -> str:
    """A sentence of storage, in the reader's language; also in the form that a record keeps it in."""
    if not message:
        return ""
    if isinstance(message, str):
        return message
    if not isinstance(message, Message):
        message = Message.from_json(message)
    if not message.template:
        return ""
    facts = {name: _fact(name, fact) for name, fact in message.facts.items()}
    template: str
    if message.plural:
        # flask_babel's ngettext fills the sentence by itself, and knows only the number.
        translations = get_domain().get_translations()
        template = translations.ungettext(message.template, message.plural, message.facts["count"])
    else:
        template = gettext(message.template)
    return template % facts if facts else template


def sentences(*parts: Message | Mapping[str, Any] | str | None) -> str:
    """Sentences one after the other; in Chinese nothing stands between them."""
    return ("" if language().startswith("zh") else " ").join(said for part in parts if (said := translated(part)))


_BY_ITSELF = {
    "schedule": say("the schedule"),
    "first backup": say("pghaven, as there was no backup yet"),
    "set-up": say("the first set-up"),
    "": say("pghaven"),
    "read again": say("pghaven, which reads every archive again every four weeks"),
}


def who(name: str) -> str:
    """Who did something: an account by its name, or what of pghaven itself did it."""
    return translated(_BY_ITSELF.get(name, name))


def server(address: str) -> str:
    """Where a server is, for people."""
    return gettext("pghaven's own server") if is_own_server(address) else address


def _fact(name: str, fact: object) -> object:
    """A fact as it is, unless it is a sentence itself, a size, or a state, which has a word in each language."""
    if isinstance(fact, Message):
        return translated(fact)
    if name.endswith("_bytes") and isinstance(fact, int):
        return size_text(fact)
    if name == "address" and isinstance(fact, str):
        return server(fact)
    if name in ("state", "next") and fact in STATES and language() != "en":
        return gettext(STATES[str(fact)].word.template)
    return fact


def _context() -> dict[str, Any]:
    chosen = language()
    return {
        "language": chosen,
        "lang": TAGS[chosen],
        "languages": [(code, TAGS[code], name) for code, name in LANGUAGES.items()],
        "theme": theme(),
        "locale": get_locale(),
    }
