"""Uploads: an archive that pghaven did not make, brought in the browser or over the API."""

from webapp.uploads.routes import bp

__all__ = ["bp"]
