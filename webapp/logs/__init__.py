"""What applications log: pages and downloads."""

from webapp.logs import usage
from webapp.logs.blueprint import bp

__all__ = ["bp", "usage"]
