"""`/openapi.json`: every route below /api/, with what it takes and all that it answers."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request

from webapp.answers import answer
from webapp.openapi import tree
from webapp.permissions import public

bp = Blueprint("document", __name__)


@bp.get("/openapi.json")
@public
def document() -> Response:
    """The document itself; open, because it says nothing of this instance."""
    if "openapi" not in current_app.extensions:
        current_app.extensions["openapi"] = tree.spec
    return answer({**current_app.extensions["openapi"], "servers": [{"url": request.root_path or "/"}]})
