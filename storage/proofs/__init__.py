"""Proving backups: restored into a throw-away database, and compared with what was counted when they were taken."""
