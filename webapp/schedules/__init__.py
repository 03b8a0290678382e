"""Schedules in the browser: all of them, and the one of a database with its next and its last runs."""

from webapp.schedules.views import bp

__all__ = ["bp"]
