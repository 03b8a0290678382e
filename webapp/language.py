"""In which language a page speaks: the reader's choice in a cookie, otherwise the browser's; English or Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, has_request_context, request
from flask_babel import Babel, get_locale, gettext

from storage.errors import Message
from storage.settings import Settings

LANGUAGES = {"en": "English", "zh_Hans": "中文"}
TAGS = {"en": "en", "zh_Hans": "zh-Hans"}
"""The language as HTML names it."""
THEMES = ("system", "light", "dark")

_BROWSER = {"en": "en", "zh": "zh_Hans", "zh-CN": "zh_Hans", "zh-SG": "zh_Hans", "zh-Hans": "zh_Hans"}
_BROWSER |= {"zh-Hans-CN": "zh_Hans", "zh-TW": "zh_Hans", "zh-HK": "zh_Hans", "zh-Hant": "zh_Hans"}


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
    app.context_processor(_context)


def language() -> str:
    if not has_request_context():
        return "en"
    chosen = request.cookies.get("language")
    if chosen in LANGUAGES:
        return chosen
    best = request.accept_languages.best_match(list(_BROWSER))
    return _BROWSER[best] if best else "en"


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
    facts = {name: translated(fact) if isinstance(fact, Message) else fact for name, fact in message.facts.items()}
    template: str = gettext(message.template)
    return template % facts if facts else template


def _context() -> dict[str, Any]:
    chosen = language()
    return {
        "language": chosen,
        "lang": TAGS[chosen],
        "languages": [(code, TAGS[code], name) for code, name in LANGUAGES.items()],
        "theme": theme(),
        "locale": get_locale(),
    }
