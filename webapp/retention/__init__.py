"""What is kept and what goes: the policy of a database, what tonight's run will do, the trash, pins."""

from webapp.retention import backups, policy, trash
from webapp.retention.blueprint import bp

__all__ = ["backups", "bp", "policy", "trash"]
