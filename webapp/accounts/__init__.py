"""Signing in and out, the first set-up, one's own account, and the accounts of this instance."""

from webapp.accounts import door, instance, linking, own
from webapp.accounts.blueprint import bp

__all__ = ["bp", "door", "instance", "linking", "own"]
