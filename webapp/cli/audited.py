"""Writes into the audit log what a command did: the person at the terminal, and that it was the terminal."""

from __future__ import annotations

from typing import Any

from storage.opening import Storage
from webapp.cli import answers


def audited(storage: Storage, action: str, subject: str = "", *, result: str = "ok", **facts: Any) -> None:
    """Record `action` of `storage.audit.actions` as done by whoever runs the command."""
    storage.audit.record(action, actor=answers.who(), subject=subject, origin="terminal", result=result, **facts)
