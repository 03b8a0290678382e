"""Writes into the audit log what a request did: who asked, and from which address, is known here."""

from __future__ import annotations

from typing import Any

from flask import request

from webapp.current import account_or_none, storage


def audited(action: str, subject: str = "", *, result: str = "ok", actor: str | None = None, **facts: Any) -> None:
    """Record `action` of `storage.audit.actions` as done by whoever asks; `actor` where nobody is signed in yet."""
    account = account_or_none()
    name = actor if actor is not None else account.name if account else ""
    storage().audit.record(
        action, actor=name, subject=subject, origin=request.remote_addr or "", result=result, **facts
    )
