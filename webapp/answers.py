"""Ways to answer: JSON for programs, a redirect after a change, a refusal as JSON."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, make_response, redirect
from werkzeug.wrappers import Response as AnyResponse

from storage.errors import StorageError
from webapp.current import wants_fragment
from webapp.language import translated


def answer(data: Any, status: int = 200) -> Response:
    """A JSON document."""
    response = jsonify(data)
    response.status_code = status
    return response


def see(url: str) -> AnyResponse:
    """Send the reader on after a change: 303, and for htmx the header that loads the whole page."""
    if wants_fragment():
        response = make_response("", 204)
        response.headers["HX-Redirect"] = url
        return response
    return redirect(url, code=303)


def refusal_json(error: StorageError) -> dict[str, Any]:
    """A refusal as programs get it: its sentences in the language they asked for."""
    return {
        "error": {
            "kind": type(error).__name__,
            "effect": translated(error.effect),
            "cause": translated(error.cause),
            "advice": translated(error.advice) if error.advice else None,
            "words": error.words,
        }
    }
