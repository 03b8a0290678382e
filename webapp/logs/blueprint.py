"""The blueprint that the pages of logs share."""

from flask import Blueprint, current_app

bp = Blueprint("logs", __name__)


@bp.app_context_processor
def _context() -> dict[str, object]:
    """Which of the tabs have a page."""
    return {"known_pages": current_app.view_functions.keys()}
