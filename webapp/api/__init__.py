"""The APIs that clients of claude-code-hub and of Story 1.7 know, and the document that describes every API."""

from flask import Blueprint

from webapp.api import document, hub, importing, log_cleanup, probe_logs, story, usage_logs

bp = Blueprint("api", __name__)
bp.register_blueprint(hub.bp)
bp.register_blueprint(story.bp)
bp.register_blueprint(usage_logs.bp)
bp.register_blueprint(document.bp)

__all__ = ["bp", "importing", "log_cleanup", "probe_logs"]
