"""Time limits that a server sets for ordinary sessions, and that must not end ours in the middle of long work."""

from __future__ import annotations

from typing import Any

import psycopg

from storage.postgres.programs import FIRST_WITH_TRANSACTION_TIMEOUT

_LIMITS = ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")
_SINCE_17 = ("transaction_timeout",)
OPTIONS = " ".join(f"-c {name}=0" for name in _LIMITS)
"""In PGOPTIONS' form, for a session that is being opened: a restored database may have limits of its own, too short for
the first statement that lifts them."""


def lift(session: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Let this session work, and wait, as long as it needs. How long it waits for locks is left as it is."""
    limits = _LIMITS + (_SINCE_17 if session.info.server_version >= FIRST_WITH_TRANSACTION_TIMEOUT * 10000 else ())
    for name in limits:
        session.execute("SELECT set_config(%s, '0', false)", (name,))
