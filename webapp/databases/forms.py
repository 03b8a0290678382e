"""Reads the form of a database, strictly and once: an address or fields, never more than the allow-list.

What was typed is kept for showing the form again, except secrets: a password, or an address that may hold one, is
never sent back to a page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from storage.databases.profile import DatabaseProfile
from storage.databases.session_store import checked_address
from storage.errors import Invalid, Message, say
from storage.identifiers import checked_name
from storage.postgres.connection import SSL_MODES, Connection, parse_url
from storage.secret import Secret

TEXTS = ("name", "host", "port", "user", "dbname", "sslmode", "sslrootcert", "log_tables")
"""The fields that are shown again as they were typed."""
SECRETS = ("url", "password", "session_store")
FIELDS = frozenset({*TEXTS, *SECRETS, "digests", "no_session_store", "first_backup", "csrf_token"})
RESERVED = frozenset({"new"})
"""Names that would hide a page: /databases/new."""
MOST_LOG_TABLES = 500
LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseForm:
    """What was typed, what it means, and what is wrong with it, field by field ('' is the form as a whole)."""

    values: Mapping[str, str] = field(default_factory=dict)
    digests: bool = True
    name: str = ""
    connection: Connection | None = None
    log_tables: tuple[str, ...] = ()
    session_store_url: Secret | None = None
    """None leaves it as it is, an empty one takes it away."""
    errors: Mapping[str, Refusal] = field(default_factory=dict)
    password_lost: bool = False
    """A password came with the form, and has to be entered again when the form is shown again."""

    first_backup: bool = True
    """Whether a backup is to be taken as soon as the database is added."""

    @property
    def good(self) -> bool:
        return not self.errors and self.connection is not None

    @property
    def testable(self) -> bool:
        """Whether a connection can be tried: a refused name or log table is no reason not to."""
        return self.connection is not None

    def refused(self, name: str, refusal: Refusal) -> DatabaseForm:
        return replace(self, errors={**self.errors, name: refusal})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a field was refused, and what helps."""

    cause: Message
    advice: Message | None = None

    @classmethod
    def of(cls, error: Invalid) -> Refusal:
        return cls(error.cause, error.advice)


def empty() -> DatabaseForm:
    return DatabaseForm(values={"port": "", "sslmode": ""})


def of_profile(profile: DatabaseProfile) -> DatabaseForm:
    """The form of a database that is there, for changing it. Its password stays where it is."""
    return DatabaseForm(
        values={
            "name": profile.name,
            **_shown(profile.connection),
            "log_tables": "\n".join(profile.log_tables),
        },
        digests=profile.digests,
        name=profile.name,
        connection=profile.connection,
        log_tables=profile.log_tables,
    )


def read(
    typed: Mapping[str, str], *, present: DatabaseProfile | None = None, taken: Collection[str] = ()
) -> DatabaseForm:
    """Read a form. With `present` its name stays, and an empty password means the one that is stored; otherwise the
    name may not be one of `taken`.

    The stored password is used for the stored server and role alone: whoever may change the form could otherwise
    have it sent to a server of their own.
    """
    errors: dict[str, Refusal] = {}
    values = {name: typed.get(name, "").strip() for name in TEXTS}
    for unknown in sorted(set(typed) - FIELDS):
        errors[""] = Refusal(say("The form holds the field “%(name)s”, which is not known here.", name=unknown[:40]))
    for name, value in values.items():
        if len(value) > LONGEST:
            errors[name] = Refusal(say("This is longer than it can be."))
            values[name] = value[:LONGEST]
    if present:
        values["name"] = present.name
    else:
        _check_name(values["name"], taken, errors)
    password = typed.get("password", "")
    url = typed.get("url", "").strip()
    if url:
        values, password = _merge(url, values, password, errors)
    connection = _connection(values, password, present, errors) if "url" not in errors else None
    return DatabaseForm(
        values=values,
        digests=typed.get("digests") == "on",
        first_backup=typed.get("first_backup") == "on",
        name=values["name"],
        connection=connection,
        log_tables=_log_tables(values["log_tables"], errors),
        session_store_url=_session_store(typed, errors),
        errors=errors,
        password_lost=bool(password) or bool(url),
    )


def _shown(connection: Connection) -> dict[str, str]:
    return {
        "host": connection.host,
        "port": str(connection.port),
        "user": connection.user,
        "dbname": connection.dbname,
        "sslmode": connection.sslmode,
        "sslrootcert": connection.sslrootcert,
    }


def _check_name(name: str, taken: Collection[str], errors: dict[str, Refusal]) -> None:
    if not name:
        errors["name"] = Refusal(say("A name is missing."), say("It is how pghaven calls this database."))
        return
    try:
        checked_name(name)
    except Invalid as error:
        errors["name"] = Refusal.of(error)
    if name in RESERVED:
        errors["name"] = Refusal(say("The name “%(name)s” is used by a page of pghaven.", name=name))
    elif name in taken:
        errors["name"] = Refusal(
            say("There is a database named %(name)s already.", name=name), say("Choose another name.")
        )


def _merge(
    url: str, values: Mapping[str, str], password: str, errors: dict[str, Refusal]
) -> tuple[dict[str, str], str]:
    """The fields as the address fills them. A field that says something else is refused, not passed over."""
    try:
        found = _parse(url)
    except Invalid as error:
        errors["url"] = Refusal.of(error)
        return dict(values), password
    filled = {**values, **_shown(found)}
    for name, text in _shown(found).items():
        if values[name] and values[name] != text:
            errors[name] = Refusal(
                say("The address above says something else."), say("Empty one of the two; pghaven does not guess.")
            )
            filled[name] = values[name]
    if found.password and password and found.password.reveal != password:
        errors["password"] = Refusal(
            say("The address above holds another password."), say("Empty one of the two; pghaven does not guess.")
        )
    return filled, found.password.reveal if found.password else password


def _parse(url: str) -> Connection:
    """Read the address. Its refusals never repeat it: a stray ? or @ makes a part of the password look like a name."""
    if len(url) > LONGEST:
        raise Invalid(say("This is longer than it can be."))
    rest = url.partition("?")[2]
    if "#" in url or "@" in rest or url.count("@") > 1:
        raise Invalid(
            say("The address cannot be told apart: the password holds a letter with a meaning of its own."),
            advice=say("Write # ? / @ and : in a password as %(signs)s, or fill in the fields instead.",
                       signs=" ".join(quote(sign, safe="") for sign in "#?/@:")),
        )  # fmt: skip
    try:
        return parse_url(url)
    except ValueError:
        raise Invalid(
            say("The address of a database begins with postgresql://"),
            advice=say("For example: postgresql://user:password@host:5432/database"),
        ) from None


def _connection(
    given: Mapping[str, str], password: str, present: DatabaseProfile | None, errors: dict[str, Refusal]
) -> Connection | None:
    port = _port(given["port"], errors)
    for name, cause in (
        ("host", say("The host is missing.")),
        ("user", say("The user is missing.")),
        ("dbname", say("The database's name is missing.")),
    ):
        if not given[name]:
            errors.setdefault(name, Refusal(cause))
        elif "," in given[name] and name == "host":
            errors.setdefault(name, Refusal(say("Several hosts in one connection are not supported; name one.")))
        elif len(given[name].encode()) > 255 or not given[name].isprintable():
            errors.setdefault(name, Refusal(say("This holds letters that it cannot have.")))
    if given["sslmode"] not in ("", *SSL_MODES):
        errors.setdefault(
            "sslmode",
            Refusal(
                say("“%(value)s” is not an sslmode; use one of %(modes)s.",
                    value=given["sslmode"][:40], modes=", ".join(SSL_MODES))
            ),
        )  # fmt: skip
    if given["sslrootcert"] and not given["sslrootcert"].isprintable():
        errors.setdefault("sslrootcert", Refusal(say("This holds letters that it cannot have.")))
    if any(letter in password for letter in "\n\r\0"):
        errors["password"] = Refusal(say("The password holds a line break, which a pass file cannot hold."))
    if port is None or errors.keys() & {"host", "user", "dbname", "sslmode", "sslrootcert", "password"}:
        return None
    try:
        connection = Connection(
            host=given["host"],
            port=port,
            user=given["user"],
            dbname=given["dbname"],
            password=Secret(password) if password else None,
            sslmode=given["sslmode"] or "prefer",
            sslrootcert=given["sslrootcert"],
        )
    except Invalid as error:
        errors[""] = Refusal.of(error)
        return None
    return _with_stored_password(connection, present, errors)


def _with_stored_password(
    connection: Connection, present: DatabaseProfile | None, errors: dict[str, Refusal]
) -> Connection | None:
    if not present or connection.password or not present.connection.password:
        return connection
    stored = present.connection
    if (connection.host, connection.port, connection.user) != (stored.host, stored.port, stored.user):
        errors["password"] = Refusal(
            say("The server or the user is another one now."),
            say("Enter the password that belongs to it; the stored one is not sent to another server."),
        )
        return None
    return Connection(
        host=connection.host,
        port=connection.port,
        user=connection.user,
        dbname=connection.dbname,
        password=stored.password,
        sslmode=connection.sslmode,
        sslrootcert=connection.sslrootcert,
    )


def _port(text: str, errors: dict[str, Refusal]) -> int | None:
    if not text:
        return 5432
    if not text.isascii() or not text.isdigit() or len(text) > 5 or not 1 <= int(text) <= 65535:
        errors.setdefault("port", Refusal(say("The port is a whole number from 1 to 65535.")))
        return None
    return int(text)


def _session_store(typed: Mapping[str, str], errors: dict[str, Refusal]) -> Secret | None:
    address = typed.get("session_store", "").strip()
    if typed.get("no_session_store") == "on":
        if address:
            errors["session_store"] = Refusal(
                say("There is an address, and it is to be taken away."),
                say("Empty the field, or keep the session store; pghaven does not guess."),
            )
        return Secret("")
    try:
        return checked_address(address) if address else None
    except Invalid as error:
        errors["session_store"] = Refusal.of(error)
        return None


def _log_tables(text: str, errors: dict[str, Refusal]) -> tuple[str, ...]:
    """One table a line, as schema.table; the first dot parts them."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        table = line.strip()
        if not table:
            continue
        schema, dot, name = table.partition(".")
        if (
            not (dot and schema and name)
            or not table.isprintable()
            or max(len(schema.encode()), len(name.encode())) > 63
        ):
            errors["log_tables"] = Refusal(
                say("“%(table)s” is not a table's name with its schema.", table=table[:140]),
                say("Write one table a line, for example public.message_request."),
            )
            return ()
        found[table] = None
    if len(found) > MOST_LOG_TABLES:
        errors["log_tables"] = Refusal(say("No more than %(most)s tables can be named.", most=MOST_LOG_TABLES))
        return ()
    return tuple(found)
