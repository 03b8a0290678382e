"""The audit log as a page: filtered, as CSV, and whether it is as it was written."""

from webapp.audit.views import bp

__all__ = ["bp"]
