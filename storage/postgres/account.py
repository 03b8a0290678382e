"""Which account of the operating system runs PostgreSQL's server: ours, or another when we are root."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from storage.errors import Unavailable, say

SERVER_ACCOUNTS = ("postgres", "nobody")
"""Whom root becomes for the server, which refuses to run as root; the first that the system has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    def give(self, path: Path) -> None:
        """Make the account the owner of `path`; only root ever has to."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def server_account() -> Account:
    """The account for a server that we start. Raises Unavailable where root finds nobody to become."""
    if os.geteuid() != 0:
        return Account(name=_name(os.geteuid()), uid=os.geteuid(), gid=os.getegid())
    for name in SERVER_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise Unavailable(
        say("PostgreSQL does not run as root, and this system has no account named %(names)s.",
            names=" or ".join(SERVER_ACCOUNTS)),
        advice=say("Start pghaven as an ordinary user, or create the account: useradd --system postgres"),
    )  # fmt: skip


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)  # containers run as numbers that have no name
