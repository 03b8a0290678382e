"""What this instance runs on. Reads only."""

from __future__ import annotations

from flask import Blueprint, render_template

from webapp.permissions import requires

bp = Blueprint("system", __name__)


@bp.get("/system")
@requires("see the system")
def show() -> str:
    return render_template("system/show.html")
