"""Accounts, as the web and the terminal use them: signing in, adding, resetting, tokens, the first set-up."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from storage.accounts import backoff, passwords
from storage.accounts.account import Account
from storage.accounts.permissions import Role
from storage.accounts.sessions import Session, Sessions
from storage.accounts.setup import Setup
from storage.accounts.tokens import Token, Tokens
from storage.clock import Clock
from storage.errors import Conflict, Denied, Invalid, NotFound, say
from storage.identifiers import checked_name
from storage.jsonfiles import Records
from storage.locks.filelocks import FileLocks
from storage.secret import Secret

_POSSIBLE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)


class WrongPassword(Denied):
    """Name and password do not fit together; whether the name exists is not said."""

    def __init__(self, tries_left: int) -> None:
        super().__init__(
            say("Name and password do not fit together."),
            advice=say("After more wrong tries there will be a pause.") if tries_left <= 2 else None,
        )


class TooManyTries(Denied):
    def __init__(self, wait: timedelta) -> None:
        self.seconds = max(1, -(-wait // timedelta(seconds=1)))
        super().__init__(
            say("There were too many wrong tries."), advice=say("Try again in %(seconds)s s.", seconds=self.seconds)
        )


class Accounts:
    """`folder` is the data folder's metadata. `start` is called once, before anybody can sign in."""

    def __init__(self, folder: Path, *, locks: FileLocks, clock: Clock, idle_seconds: int = 12 * 3600) -> None:
        self._clock, self._locks = clock, locks
        self._records: Records[Account] = Records(
            folder / "accounts", decode=Account.from_json, encode=Account.to_json, identify=lambda account: account.name
        )
        self.sessions = Sessions(folder / "sessions", clock=clock, idle=timedelta(seconds=idle_seconds))
        self.tokens = Tokens(folder / "tokens", clock=clock)
        self._setup = Setup(folder / "setup.json")
        self._failures = backoff.FailureMemory()

    def start(self, *, admin_password: Secret | None = None) -> None:
        """Sweep ended sessions; with ADMIN_PASSWORD and no account yet, make the account `admin`."""
        self.sessions.sweep()
        if admin_password and not self._records.all():
            self.add("admin", Role.ADMIN, admin_password)
            self._setup.close()

    # Reading

    def all(self) -> list[Account]:
        return self._records.all()

    def get(self, name: str) -> Account:
        try:
            return self._records.get(name)
        except NotFound:
            raise NotFound(say("There is no account “%(name)s”.", name=name[:80])) from None

    # Signing in and out

    def sign_in(self, name: str, password: Secret, address: str, *, browser: str = "", stay: bool = False) -> str:
        """Open a session and return its id. Raises WrongPassword or TooManyTries."""
        account = self.check_password(name, password, address)
        self.sessions.sweep()
        return self.sessions.begin(account.name, address=address, browser=browser, stay=stay)

    def check_password(self, name: str, password: Secret, address: str) -> Account:
        """The account, when the password is right. Every way to try a password counts in the same place."""
        name = name.strip().lower()
        tried = self._failures.begin(name, address, self._clock())
        if tried.wait:
            raise TooManyTries(tried.wait)
        account = self._find(name)
        if not passwords.matches(account.password_hash if account else None, password) or account is None:
            raise WrongPassword(backoff.OF_ACCOUNT.free_tries - tried.of_account.count)
        self._failures.succeeded(name, address, tried)
        if passwords.is_outdated(account.password_hash):
            account = self._hash_anew(account, password)
        return account

    def _hash_anew(self, account: Account, password: Secret) -> Account:
        """With today's parameters. What somebody else changed since the password was looked at stays as it is."""
        password_hash = passwords.hashed(password)
        with self._locks.hold("accounts", holder=f"hash of {account.name}", wait=True):
            present = self._find(account.name)
            if present is None or present.password_hash != account.password_hash:
                return account
            present = present.with_(password_hash=password_hash)
            self._records.save(present)
        return present

    def session(self, session_id: str, *, by_person: bool = True) -> tuple[Session, Account] | None:
        """The open session of a cookie with its account as it is now; None when either is gone."""
        session = self.sessions.find(session_id, by_person=by_person)
        account = self._find(session.account) if session else None
        return (session, account) if session and account else None

    def sign_out(self, session_id: str) -> None:
        self.sessions.end(session_id)

    # Changing

    def add(self, name: str, role: Role, password: Secret, *, by: str = "") -> Account:
        """Add an account. Raises Conflict when the name is taken, Invalid for a name or password that cannot be."""
        checked_name(name)
        passwords.check_strength(password, name=name)
        with self._locks.hold("accounts", holder=f"adding {name}", wait=True):
            if self._find(name):
                raise Conflict(say("There is an account “%(name)s” already.", name=name))
            now = self._clock()
            account = Account(
                name=name,
                role=role,
                password_hash=passwords.hashed(password),
                created_at=now,
                created_by=by,
                password_changed_at=now,
            )
            self._records.save(account)
        return account

    def reset_password(self, name: str, password: Secret) -> Account:
        """Set a new password and end every session of the account."""
        account = self.get(name)
        passwords.check_strength(password, name=name)
        with self._locks.hold("accounts", holder=f"new password of {name}", wait=True):
            account = self.get(name).with_(password_hash=passwords.hashed(password), password_changed_at=self._clock())
            self._records.save(account)
        self.sessions.end_all(name)
        return account

    def change_password(self, name: str, *, present: Secret, new: Secret, address: str) -> Account:
        """The same, by the account itself: the present password is asked for."""
        self.check_password(name, present, address)
        if present.reveal == new.reveal:
            raise Invalid(say("The new password is the one you have."))
        return self.reset_password(name, new)

    def change_role(self, name: str, role: Role) -> Account:
        """Takes effect at the account's next request. Raises Conflict when no admin would be left."""
        with self._locks.hold("accounts", holder=f"role of {name}", wait=True):
            account = self.get(name)
            if role is not Role.ADMIN:
                self._keep_an_admin(account)
            account = account.with_(role=role)
            self._records.save(account)
        return account

    def link(self, name: str, database: str, user: str) -> Account:
        """Say which user of a database's application the person is, by the application's id; "" for none."""
        with self._locks.hold("accounts", holder=f"link of {name}", wait=True):
            account = self.get(name)
            others = {other: linked for other, linked in account.linked.items() if other != database}
            account = account.with_(linked=others | ({database: user} if user else {}))
            self._records.save(account)
        return account

    def unlink_all(self, database: str) -> None:
        """Forget who is who in a database: another one may get its name."""
        for account in self.all():
            if database in account.linked:
                self.link(account.name, database, "")

    def remove(self, name: str) -> None:
        """Delete the account, its sessions and tokens. Raises Conflict when no admin would be left."""
        with self._locks.hold("accounts", holder=f"removing {name}", wait=True):
            self._keep_an_admin(self.get(name))
            self._records.delete(name)
        self.sessions.end_all(name)
        self.tokens.revoke_all(name)

    def _keep_an_admin(self, account: Account) -> None:
        admins = [other.name for other in self.all() if other.role is Role.ADMIN]
        if admins == [account.name]:
            raise Conflict(
                say("“%(name)s” is the only admin.", name=account.name), advice=say("Make another admin first.")
            )

    # Tokens

    def create_token(self, name: str) -> str:
        """A new bearer token of the account; its text is never shown again."""
        return self.tokens.create(self.get(name).name)

    def account_of_token(self, text: str) -> Account | None:
        token = self.tokens.find(text)
        return self._find(token.account) if token else None

    def tokens_of(self, name: str) -> list[Token]:
        return self.tokens.of(name)

    # The first admin

    def needs_setup(self) -> bool:
        return not self._setup.closed and not self._records.all()

    def setup_token(self) -> str | None:
        """The one-time token of this start, to be printed where pghaven runs; None when set-up is over."""
        return self._setup.new_token() if self.needs_setup() else None

    def check_setup_token(self, token: str) -> None:
        """Raise Denied unless it is the token of this start."""
        self._setup.check(token)

    def complete_setup(self, token: str, name: str, password: Secret) -> Account:
        """Make the first admin. Raises Denied for a wrong token, Conflict when somebody was faster."""
        with self._locks.hold("setup", holder="set-up", wait=True):
            if self._records.all():
                self._setup.close()
            self._setup.check(token)
            account = self.add(name, Role.ADMIN, password, by="set-up")
            self._setup.close()
        return account

    def _find(self, name: str) -> Account | None:
        if not _POSSIBLE_NAME.fullmatch(name):
            return None
        try:
            return self._records.get(name)
        except NotFound:
            return None
