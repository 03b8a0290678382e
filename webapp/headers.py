"""Headers of every answer, errors included: what the page may load, who may frame it, who may keep a copy."""

from __future__ import annotations

from flask import Flask, Response, request

from webapp.current import storage, wants_fragment
from webapp.formats import local

# Pico's signs for selects and check boxes are data: images inside its style sheet.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def install(app: Flask) -> None:
    app.after_request(_add)


def _add(response: Response) -> Response:
    headers = response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint != "static":
        headers.setdefault("Cache-Control", "no-store")
        if wants_fragment():
            # What the page says of itself ("Updated") is true of its parts, too, and of a part that has not changed.
            headers["X-Updated"] = local(storage().clock()).strftime("%H:%M:%S")
        response.vary.update(("HX-Request", "Cookie", "Accept-Language"))
    return response
