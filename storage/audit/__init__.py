"""Who did what, when, from where, and with what result: append-only, and chained so that an edit shows."""

from storage.audit.log import Audit

__all__ = ["Audit"]
