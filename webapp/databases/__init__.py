"""Databases in the browser and over the API: the list, one database, adding, changing, removing, its status."""

from webapp.databases import api
from webapp.databases.views import bp

__all__ = ["api", "bp"]
