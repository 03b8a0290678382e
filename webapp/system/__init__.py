"""The System page: programs, folders, the embedded server, the scheduler, and how this instance is set."""

from webapp.system.views import bp

__all__ = ["bp"]
