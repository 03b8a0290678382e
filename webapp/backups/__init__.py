"""Backups in the browser and over the API: one backup with everything recorded, taking, verifying, downloading."""

from webapp.backups.routes import bp

__all__ = ["bp"]
