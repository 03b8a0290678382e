"""Signed-in browsers, one record each, kept here and not in the cookie: what is deleted here is over at once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from storage.clock import Clock, from_required_text, to_text
from storage.errors import InvalidRecord, NotFound, say
from storage.jsonfiles import Records

LONGEST = timedelta(days=30)
_WRITE_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    key: str
    """SHA-256 of the id in the cookie: whoever reads the files cannot sign in with what they find."""
    account: str
    created_at: datetime
    last_seen_at: datetime
    address: str
    browser: str = ""
    stay: bool = False
    """Kept for 30 days whether or not it is used."""

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "key": self.key,
            "account": self.account,
            "created_at": to_text(self.created_at),
            "last_seen_at": to_text(self.last_seen_at),
            "address": self.address,
            "browser": self.browser,
            "stay": self.stay,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Session:
        match data["format"]:
            case 1:
                return cls(
                    key=data["key"],
                    account=data["account"],
                    created_at=from_required_text(data["created_at"]),
                    last_seen_at=from_required_text(data["last_seen_at"]),
                    address=data["address"],
                    browser=data["browser"],
                    stay=data["stay"],
                )
            case newer:
                raise InvalidRecord(say("The session's format %(format)s is newer than this program.", format=newer))


def is_over(session: Session, *, now: datetime, idle: timedelta) -> bool:
    return now - session.created_at >= LONGEST or (not session.stay and now - session.last_seen_at >= idle)


class Sessions:
    def __init__(self, folder: Path, *, clock: Clock, idle: timedelta) -> None:
        self._clock, self._idle = clock, idle
        self._records: Records[Session] = Records(
            folder, decode=Session.from_json, encode=Session.to_json, identify=lambda session: session.key
        )

    def begin(self, account: str, *, address: str, browser: str = "", stay: bool = False) -> str:
        """Open a session; returns the id for the cookie, which is kept nowhere."""
        session_id = secrets.token_urlsafe(32)
        now = self._clock()
        self._records.save(
            Session(
                key=_key(session_id),
                account=account,
                created_at=now,
                last_seen_at=now,
                address=address,
                browser=browser[:200],
                stay=stay,
            )
        )
        return session_id

    def find(self, session_id: str, *, by_person: bool = True) -> Session | None:
        """The open session of a cookie. `by_person=False` (a page that polls) does not keep it open."""
        try:
            session = self._records.get(_key(session_id))
        except (NotFound, InvalidRecord):
            return None
        now = self._clock()
        if is_over(session, now=now, idle=self._idle):
            self._records.delete(session.key)
            return None
        if by_person and now - session.last_seen_at >= min(_WRITE_EVERY, self._idle / 10):
            session = replace(session, last_seen_at=now)
            self._records.save(session, durable=False)
            if not self._records.path(session.key).exists():
                return None
        return session

    def of(self, account: str) -> list[Session]:
        """The open sessions of an account, the one used last first."""
        now = self._clock()
        open_ones = [
            session
            for session in self._records.all()
            if session.account == account and not is_over(session, now=now, idle=self._idle)
        ]
        return sorted(open_ones, key=lambda session: session.last_seen_at, reverse=True)

    def end(self, session_id: str) -> None:
        self._records.delete(_key(session_id))

    def end_all(self, account: str, *, but: str | None = None) -> int:
        """End the sessions of an account, except the one with the id `but`; returns how many."""
        kept = _key(but) if but else ""
        ended = [s for s in self._records.all() if s.account == account and s.key != kept]
        for session in ended:
            self._records.delete(session.key)
        return len(ended)

    def sweep(self) -> None:
        """Delete the records of sessions that are over."""
        now = self._clock()
        for session in self._records.all():
            if is_over(session, now=now, idle=self._idle):
                self._records.delete(session.key)


def _key(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
