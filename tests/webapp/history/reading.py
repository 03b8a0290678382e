"""Reads a history page as a person does: which backups it lists, with their result."""

from __future__ import annotations

import re


def listed(page: str) -> list[tuple[str, str]]:
    """(database, word of the result), in the order of the page."""
    return re.findall(r'<a class="quiet-link"[^>]*><b>([^<]+)</b> <span class="tone">([^<]+)</span>', page)
