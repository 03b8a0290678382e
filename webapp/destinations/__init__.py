"""Where copies of archives are kept, and the copies of one backup."""

from webapp.destinations.views import bp

__all__ = ["bp"]
