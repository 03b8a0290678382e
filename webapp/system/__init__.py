"""The System page: programs, folders, the embedded server, the scheduler, each database, and the settings."""

from webapp.system import databases, views
from webapp.system.blueprint import bp

__all__ = ["bp", "databases", "views"]
