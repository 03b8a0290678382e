"""One line of what is checked."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from storage.errors import Message


@dataclass(frozen=True, slots=True)
class Check:
    """How one thing is, in a sentence, and what helps where it is not good."""

    state: str
    what: Message
    detail: str | Markup = ""
    advice: Message | None = None
