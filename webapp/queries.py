"""Numbers in the query of a programs' address: within their bounds, or refused by name."""

from __future__ import annotations

from flask import request

from storage.errors import Invalid, say


def whole_number(name: str, *, usual: int | None, least: int = 0, most: int) -> int:
    """The parameter `name`, or `usual` where it was left out and there is a usual one. Raises Invalid for what is no
    whole number from `least` to `most`."""
    text = request.args.get(name, "").strip()
    if not text and usual is not None:
        return usual
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or not least <= int(text) <= most:
        raise Invalid(
            say("%(name)s must be a whole number from %(least)s to %(most)s.", name=name, least=least, most=most)
        )
    return int(text)
