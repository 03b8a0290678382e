"""Writes into the audit log what a request did: who asked, and from which address, is known here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import request

from webapp.current import account_or_none, current_name, storage


def audited(action: str, subject: str = "", *, result: str = "ok", actor: str | None = None, **facts: Any) -> None:
    """Record `action` of `storage.audit.actions` as done by whoever asks; `actor` where nobody is signed in yet."""
    account = account_or_none()
    name = actor if actor is not None else account.name if account else ""
    storage().audit.record(
        action, actor=name, subject=subject, origin=request.remote_addr or "", result=result, **facts
    )


def audited_if_broken_off(action: str, subject: str, **facts: Any) -> Callable[[object, str], None]:
    """For the end of a transfer, which comes after its request and in whatever thread: to be told how it ended, and to
    record what was not whole, as done by whoever asks now."""
    record, actor, origin = storage().audit.record, current_name(), request.remote_addr or ""

    def ended(_export: object, result: str) -> None:
        if result != "ok":
            record(action, actor=actor, subject=subject, origin=origin, result=result, **facts)

    return ended
