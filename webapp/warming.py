"""Compiles the first page before anybody asks for it, so that the first visitor waits no longer than the next."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from babel.dates import format_date

from storage.clock import utc_now
from webapp.language import LANGUAGES

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

FIRST = ("base.html", "_pieces.html", "_states.html", "_strip.html", "overview/", "jobs/_progress.html")
"""How the names of the templates begin that make the first page. The others are compiled when they are asked for: all
of them would take memory for pages that nobody may look at."""


def begin(app: Flask) -> None:
    threading.Thread(target=warm, args=(app,), name="warming", daemon=True).start()


def warm(app: Flask) -> None:
    """Compile the first page, and read what dates need of each language."""
    try:
        for locale in LANGUAGES:
            format_date(utc_now().date(), locale=locale)
        for name in app.jinja_env.list_templates(filter_func=lambda name: name.startswith(FIRST)):
            app.jinja_env.get_template(name)
    except Exception:
        logger.exception("the first page could not be compiled ahead; it is when it is asked for")
