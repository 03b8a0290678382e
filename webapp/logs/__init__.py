"""What applications log: pages and downloads."""

from webapp.logs import cleanup, exports, generator, numbers, pictures, probes, sessions, tables, usage
from webapp.logs.blueprint import bp

__all__ = ["bp", "cleanup", "exports", "generator", "numbers", "pictures", "probes", "sessions", "tables", "usage"]
