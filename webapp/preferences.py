"""Language and colours: a choice of the browser, kept in cookies, so that the sign-in page has it too."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from webapp.addresses import local_path, path_of
from webapp.language import LANGUAGES, THEMES
from webapp.permissions import public

bp = Blueprint("preferences", __name__)

_YEAR = 365 * 24 * 3600


@bp.post("/preferences")
@public
def choose() -> Response:
    back = request.form.get("next") or path_of(request.headers.get("Referer"))
    response = redirect(local_path(back, otherwise=url_for("overview.show")), code=303)
    for name, allowed in (("language", LANGUAGES), ("theme", THEMES)):
        if (value := request.form.get(name)) in allowed:
            response.set_cookie(
                name, value or "", max_age=_YEAR, httponly=True, samesite="Lax", secure=request.is_secure
            )
    return response
