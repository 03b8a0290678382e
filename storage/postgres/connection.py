"""How a database is reached: the facts of a connection, and opening one with plain answers when it cannot be opened.

Connection fields are an allow-list. None of them ever becomes a program argument: libpq's programs get them through
the environment, where they are not expanded as connection strings, and the password through a 0600 pass file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg

from storage.errors import ConnectionLost, Invalid, Message, StorageError, Unreachable, say
from storage.secret import Secret

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

TROUBLES = (
    "name",
    "refused",
    "silent",
    "password",
    "tls",
    "database",
    "role",
    "forbidden",
    "full",
    "starting",
    "other",
)
"""The distinct answers of a connection test; `newer` is added by who chooses the programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a database is and who asks. `host` is a name, an address, or the folder of a socket (begins with /)."""

    host: str
    port: int = 5432
    user: str
    dbname: str
    password: Secret | None = None
    sslmode: str = "prefer"
    sslrootcert: str = ""

    def __post_init__(self) -> None:
        fields = (
            (self.host, say("The host is missing."), say("The host holds letters that it cannot have.")),
            (self.user, say("The user is missing."), say("The user holds letters that it cannot have.")),
            (self.dbname, say("The database is missing."), say("The database holds letters that it cannot have.")),
        )
        for value, missing, strange in fields:
            if not value:
                raise Invalid(missing)
            if len(value.encode()) > 255 or any(not letter.isprintable() for letter in value):
                raise Invalid(strange)
        if "," in self.host:
            raise Invalid(say("Several hosts in one connection are not supported; name one."))
        if not 1 <= self.port <= 65535:
            raise Invalid(say("The port %(port)s is not between 1 and 65535.", port=self.port))
        if self.sslmode not in SSL_MODES:
            raise Invalid(
                say("“%(value)s” is not an sslmode; use one of %(modes)s.",
                    value=self.sslmode[:40], modes=", ".join(SSL_MODES))
            )  # fmt: skip
        if self.password and any(letter in self.password.reveal for letter in "\n\r\0"):
            raise Invalid(say("The password holds a line break, which a pass file cannot hold."))

    def to(self, dbname: str) -> Connection:
        """The same server and role, another database."""
        return replace(self, dbname=dbname)

    @property
    def address(self) -> str:
        """host:port, as people read it."""
        return f"{self.host}:{self.port}"

    def parameters(self) -> dict[str, Any]:
        """Keyword arguments for psycopg. The password is in them: do not log."""
        values: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.dbname,
            "sslmode": self.sslmode,
            # A server or a network that has died without a word is noticed within a minute.
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 4,
            "tcp_user_timeout": 60_000,
        }
        if self.password:
            values["password"] = self.password.reveal
        if self.sslrootcert:
            values["sslrootcert"] = self.sslrootcert
        return values

    def environment(self, pass_file: Path, *, application: str, options: str = "") -> dict[str, str]:
        """What libpq's programs need in their environment, and nothing of our own environment but the search path.

        `options` are server settings in PGOPTIONS' form, ours alone.
        """
        values = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "TZ": "UTC",
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.dbname,
            "PGPASSFILE": str(pass_file),
            "PGSSLMODE": self.sslmode,
            "PGAPPNAME": application,
            "PGCONNECT_TIMEOUT": "10",
            "PGCLIENTENCODING": "UTF8",
        }
        if self.sslrootcert:
            values["PGSSLROOTCERT"] = self.sslrootcert
        if options:
            values["PGOPTIONS"] = options
        return values


def parse_url(text: str) -> Connection:
    """Read postgresql://user:password@host:port/database?sslmode=… . Raises Invalid naming what cannot be used.

    Form of the URL: PostgreSQL manual, 34.1.1.2 (connection URIs), without several hosts. Of the parameters only
    host, port, user, password, dbname, sslmode and sslrootcert are taken; connect_timeout and application_name are
    passed over.
    """
    try:
        parts = urlsplit(text.strip())
    except ValueError:  # its words may repeat the password
        parts = urlsplit("")
    if parts.scheme not in ("postgresql", "postgres"):
        raise Invalid(
            say("The address of a database begins with postgresql://"),
            advice=say("For example: postgresql://user:password@host:5432/database"),
        )
    try:
        port = parts.port
    except ValueError as error:
        raise Invalid(say("The port in the address is not a number from 1 to 65535.")) from error
    values = {
        "host": unquote(parts.hostname or ""),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.removeprefix("/")),
        "port": str(port or ""),
        "sslmode": "",
        "sslrootcert": "",
    }
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ("connect_timeout", "application_name"):
            continue
        if name not in values:
            raise Invalid(
                say("The address holds the parameter “%(name)s”, which pghaven does not take.", name=name[:40]),
                advice=say("Leave it out. Taken are: %(names)s.", names=", ".join(sorted(values))),
            )
        values[name] = value
    if values["port"] and not values["port"].isdigit():
        raise Invalid(say("The port in the address is not a number from 1 to 65535."))
    return Connection(
        host=values["host"] or "localhost",
        port=int(values["port"] or 5432),
        user=values["user"],
        dbname=values["dbname"] or values["user"],
        password=Secret(values["password"]) if values["password"] else None,
        sslmode=values["sslmode"] or "prefer",
        sslrootcert=values["sslrootcert"],
    )


def write_pass_file(folder: Path, connection: Connection) -> Path:
    """A pass file (0600) for one job, in its private folder. It holds one host, so that a client that is sent
    elsewhere has no password to give. Format: PostgreSQL manual, 34.16."""
    path = folder / "pgpass"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if connection.password:
            fields = (connection.host, str(connection.port), "*", connection.user, connection.password.reveal)
            escaped = (field if field == "*" else field.replace("\\", "\\\\").replace(":", "\\:") for field in fields)
            file.write(":".join(escaped) + "\n")
    return path


@contextmanager
def connect(
    connection: Connection, *, application: str, autocommit: bool = True, timeout: int = 10, options: str = ""
) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """An open connection, closed at the end of the block. Raises Unreachable with the kind of trouble.

    `timeout` (seconds) bounds the opening alone. The session speaks UTF8 and says errors in English, so that they
    can be told apart. `options` are server settings in PGOPTIONS' form, ours alone.
    """
    try:
        session = psycopg.connect(
            **connection.parameters(),
            application_name=application,
            client_encoding="UTF8",
            connect_timeout=timeout,
            autocommit=autocommit,
            options=options or None,
        )
    except psycopg.OperationalError as error:
        # Without the traceback, whose frames hold a connection that was given up: as long as it is half open, the
        # server waits for it, and DROP DATABASE for the server.
        raise explain(connection, str(error)) from error.with_traceback(None)
    except psycopg.Error as error:
        raise Unreachable("other", say("The connection could not be opened."), words=str(error)) from error
    with session:
        yield session


def explain(connection: Connection, words: str) -> Unreachable:
    """Tell from libpq's words what kept a connection from opening. libpq gives no SQLSTATE before a session exists,
    so its English texts (fe-connect.c, the server's auth.c and postinit.c) are what there is."""
    kind, cause, advice = _diagnose(connection, words.lower())
    return Unreachable(kind, cause, advice=advice, words=words.strip())


def _diagnose(connection: Connection, words: str) -> tuple[str, Message, Message]:
    host, address, user, dbname = connection.host, connection.address, connection.user, connection.dbname
    if any(
        text in words
        for text in ("could not translate host name", "name or service not known", "failed to resolve host",
                     "nodename nor servname", "temporary failure in name resolution")
    ):  # fmt: skip
        return (
            "name",
            say("The host name %(host)s is not known.", host=host),
            say("Check the spelling, or use the address in numbers."),
        )
    if "no password supplied" in words:
        return (
            "password",
            say("The server at %(address)s asks %(user)s for a password, and none was given.",
                address=address, user=user),
            say("Enter the password."),
        )  # fmt: skip
    if "password authentication failed" in words or "pgpass" in words:
        return (
            "password",
            say("The server at %(address)s refused the password of %(user)s.", address=address, user=user),
            say("Enter the password again. After a change on the server, it has to be changed here too."),
        )
    if "peer authentication failed" in words or "ident authentication failed" in words:
        return (
            "password",
            say("The server at %(address)s does not believe that we are %(user)s.", address=address, user=user),
            say("Connect over TCP with a password, or allow it in the server's pg_hba.conf."),
        )
    if "no pg_hba.conf entry" in words or "pg_hba.conf rejects" in words:
        return (
            "forbidden",
            say("The server at %(address)s does not let %(user)s in from this machine.", address=address, user=user),
            say("Add a line for it to the server's pg_hba.conf and reload the server."),
        )
    if connection.sslrootcert and "root certificate file" in words and "does not exist" in words:
        return (
            "tls",
            say("There is no file %(path)s on the machine of pghaven, which should hold the certificate of the "
                "server's authority.", path=connection.sslrootcert),
            say("Put the certificate there, or name the file where it is."),
        )  # fmt: skip
    if "does not support ssl" in words or "ssl error" in words or "certificate" in words or "root.crt" in words:
        return (
            "tls",
            say("No secure connection (TLS) to %(address)s could be made with sslmode %(mode)s.",
                address=address, mode=connection.sslmode),
            say("Choose the sslmode that the server offers, or give the certificate of its authority."),
        )  # fmt: skip
    if "does not exist" in words and "database" in words:
        return (
            "database",
            say("There is no database %(database)s on %(address)s.", database=dbname, address=address),
            say("Check the name; it is written exactly as PostgreSQL lists it."),
        )
    if "does not exist" in words and "role" in words:
        return (
            "role",
            say("There is no role %(user)s on %(address)s.", user=user, address=address),
            say("Check the user name, or create the role there."),
        )
    if (
        "not permitted to log in" in words
        or "permission denied for database" in words
        or "not currently accepting" in words
    ):
        return (
            "forbidden",
            say("The role %(user)s may not connect to %(database)s.", user=user, database=dbname),
            say("Allow it there: GRANT CONNECT ON DATABASE, and LOGIN for the role."),
        )
    if "too many clients" in words or "remaining connection slots" in words or "too many connections" in words:
        return (
            "full",
            say("The server at %(address)s has no free connection.", address=address),
            say("Raise max_connections there, or end idle sessions."),
        )
    if any(
        text in words for text in ("starting up", "shutting down", "recovery mode", "not yet accepting connections")
    ):
        return (
            "starting",
            say("The server at %(address)s is starting or stopping.", address=address),
            say("Try again in a minute."),
        )
    if "timeout" in words or "timed out" in words:
        return (
            "silent",
            say("The server at %(address)s does not answer.", address=address),
            say("Check the address, the firewall and whether the server is overloaded."),
        )
    if any(
        text in words
        for text in (
            "connection refused",
            "no such file",
            "unreachable",
            "no route",
            "closed the connection",
            "reset by peer",
        )
    ):
        return (
            "refused",
            say("Nothing answers at %(address)s.", address=address),
            say("Check that PostgreSQL runs there, listens on that address, and that no firewall is between."),
        )
    return (
        "other",
        say("The connection to %(address)s could not be opened.", address=address),
        say("The words of PostgreSQL say more."),
    )


SEE_THE_WORDS = say("Look at what PostgreSQL says below and whether the server runs, then start again.")


def describe(error: psycopg.Error, *, doing: Message, advice: Message = SEE_THE_WORDS) -> StorageError:
    """A refusal from an SQL error: what we were doing, and the server's words with its detail and hint."""
    if isinstance(error, psycopg.errors.DiskFull):
        advice = say("A disk of the PostgreSQL server is full. Make room there, then start again.")
    diagnosis = error.diag
    words = "\n".join(
        part
        for part in (diagnosis.message_primary or str(error), diagnosis.message_detail, diagnosis.message_hint)
        if part
    )
    return (ConnectionLost if is_lost(error) else StorageError)(doing, advice=advice, words=words)


def is_lost(error: psycopg.Error) -> bool:
    """Whether the error is the end of a connection: libpq's own, which has no SQLSTATE, or one that the server sent as
    it ended (classes 08 and 57P of PostgreSQL's appendix A)."""
    state = error.sqlstate or ""
    return isinstance(error, psycopg.OperationalError) and (not state or state.startswith(("08", "57P")))
