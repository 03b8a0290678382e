"""An alert in words: in the language of its target, with times in the zone of the instance."""

from __future__ import annotations

import gettext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from storage.alerts.model import Alert
from storage.clock import from_required_text
from storage.errors import Message, say, size_in_words


@dataclass(frozen=True, slots=True)
class Text:
    title: str
    body: str


_CATALOGUES = {"zh": "zh_Hans"}


class Wording:
    """`catalogues` is a folder of compiled translations; a language that is not there is English."""

    def __init__(self, catalogues: Path, *, zone: str, instance: str) -> None:
        self._catalogues, self._zone, self._instance = catalogues, ZoneInfo(zone), instance
        self._translations = cache(self._load)

    def _load(self, language: str) -> gettext.NullTranslations:
        return gettext.translation("messages", self._catalogues, [_CATALOGUES.get(language, language)], fallback=True)

    def of(self, alert: Alert, language: str) -> Text:
        """The title fits a mail's subject and a chat's first line; the body is plain text."""
        lines = [self.said(line, language) for line in alert.lines]
        if alert.words:
            lines += ["", *(f"  {line}" for line in alert.words.splitlines()[:20])]
        moment = alert.at.astimezone(self._zone)
        lines += ["", f"pghaven, {self._instance}, {moment:%Y-%m-%d %H:%M} {self._zone.key}"]
        # One line: a break in it would be a header of its own in a mail.
        title = " ".join(self.said(alert.title, language).split())
        return Text(title, "\n".join(lines).strip())

    def said(self, message: Message, language: str) -> str:
        translations = self._translations(language)
        if message.plural:
            template = translations.ngettext(message.template, message.plural, message.facts["count"])
        else:
            template = translations.gettext(message.template) if message.template else ""
        facts = {name: self._fact(name, fact, language) for name, fact in message.facts.items()}
        return template % facts if facts else template

    def _fact(self, name: str, fact: object, language: str) -> object:
        if isinstance(fact, Message):
            return self.said(fact, language)
        if name.endswith("_bytes") and isinstance(fact, int):
            return size_in_words(fact)
        if name.endswith("_at") and isinstance(fact, str):
            return f"{from_required_text(fact).astimezone(self._zone):%Y-%m-%d %H:%M}"
        return fact


TEST_TITLE = say("Test alert")
TEST_LINE = say("This target works: alerts of pghaven reach you here. Nothing happened to your data.")
