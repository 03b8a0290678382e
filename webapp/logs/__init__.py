"""What applications log: pages and downloads."""

from webapp.logs import cleanup, numbers, usage
from webapp.logs.blueprint import bp

__all__ = ["bp", "cleanup", "numbers", "usage"]
