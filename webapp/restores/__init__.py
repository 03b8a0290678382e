"""Restores in the browser: the plan before anything runs, the confirmation, the result."""

from webapp.restores.views import bp

__all__ = ["bp"]
