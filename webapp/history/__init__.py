"""What happened: the board of databases by days, and every backup, grouped by day, newest first."""

from webapp.history.routes import bp

__all__ = ["bp"]
