"""Signing in and out, the first set-up, one's own account, and the accounts of this instance."""

from webapp.accounts.views import bp

__all__ = ["bp"]
