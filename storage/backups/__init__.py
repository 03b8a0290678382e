"""Backups: taken at a snapshot with pg_dump, counted, verified, listed in a catalog."""
