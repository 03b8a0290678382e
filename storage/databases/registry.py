"""The databases this instance looks after: from the environment or pghaven's own server, and those that were added.

Where a database is and what its backups should be like is kept here; whether it can be reached is for `status` and
`testing` to find out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from storage.clock import Clock
from storage.databases.profile import DatabaseProfile, Source
from storage.databases.session_store import checked_address
from storage.databases.testing import ConnectionTest
from storage.errors import Conflict, InvalidRecord, NotFound, StorageError, Unavailable, named, say
from storage.identifiers import checked_name
from storage.jsonfiles import JsonObject, Records
from storage.locks.filelocks import FileLocks
from storage.postgres.connection import Connection, parse_url
from storage.secret import Secret, SecretBox

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demos:
    """The demo databases of the embedded server: their names are known without starting it."""

    names: Sequence[str] = ()
    connection: Callable[[str], Connection | None] = lambda name: None
    """None where no program could run the server."""

    def profiles(self) -> Iterator[DatabaseProfile]:
        for name in self.names:
            if connection := self.connection(name):
                yield DatabaseProfile(name=name, connection=connection, source=Source.EMBEDDED)


class Registry:
    def __init__(
        self,
        folder: Path,
        *,
        box: SecretBox,
        clock: Clock,
        locks: FileLocks,
        test: Callable[[Connection], ConnectionTest],
        environment: Callable[[], DatabaseProfile | None] = lambda: None,
        demos: Demos = Demos(),
        in_use: Callable[[str], StorageError | None] = lambda name: None,
        backed_up_as: Callable[[str], str] = lambda name: "",
        on_removed: Callable[[str], None] = lambda name: None,
    ) -> None:
        """`environment` is asked each time: the web process may start while a command at the terminal still works.
        `in_use` says why a database can neither be removed nor moved now, `backed_up_as` which database (the server's
        name of it) the newest good backup under a name is of; '' where there is none."""
        self._clock, self._locks, self._test = clock, locks, test
        self._environment, self._demos, self._box, self._in_use = environment, demos, box, in_use
        self._backed_up_as, self._on_removed = backed_up_as, on_removed
        self._closed: dict[str, Unavailable] = {}
        self._records: Records[DatabaseProfile] = Records(
            folder,
            decode=self._decode,
            encode=lambda profile: profile.to_json(box),
            identify=lambda profile: profile.name,
            on_damaged=_say_damaged,
        )

    def all(self) -> list[DatabaseProfile]:
        """What is given comes first, then what was added, by name."""
        given = self._given()
        taken = {profile.name for profile in given}
        return [*given, *(profile for profile in self._records.all() if profile.name not in taken)]

    def get(self, name: str) -> DatabaseProfile:
        for profile in self._given():
            if profile.name == name:
                return profile
        try:
            return self._records.get(name)
        except NotFound:
            raise NotFound(say("There is no database “%(name)s” here.", name=name[:80])) from None

    def default(self) -> DatabaseProfile | None:
        """The one meant when nobody says which: the first; None when there is none yet."""
        return next(iter(self.all()), None)

    def add(
        self,
        name: str,
        connection: Connection,
        *,
        log_tables: Sequence[str] = (),
        digests: bool = True,
        session_store_url: Secret | None = None,
        by: str,
    ) -> DatabaseProfile:
        """Look after one more database. Raises Conflict when the name is taken, by a database or by the backups of
        another one, and Invalid for one that cannot be."""
        checked_name(name)
        with self._changing():
            if any(profile.name == name for profile in self.all()):
                raise Conflict(
                    say("There is a database “%(name)s” here already.", name=name), advice=say("Choose another name.")
                )
            # Else its old backups would be offered for putting in the place of a database that they were never of.
            if (other := self._backed_up_as(name)) and other != connection.dbname:
                raise Conflict(
                    say("The backups here under the name “%(name)s” are of another database, %(other)s.",
                        name=name, other=other),
                    advice=say("Choose another name."),
                )  # fmt: skip
            profile = DatabaseProfile(
                name=name,
                connection=connection,
                log_tables=tuple(log_tables),
                digests=digests,
                session_store_url=session_store_url,
                added_at=self._clock(),
                added_by=by,
            )
            self._records.save(profile)
        return profile

    def change(
        self,
        name: str,
        connection: Connection | None = None,
        *,
        log_tables: Sequence[str] | None = None,
        digests: bool | None = None,
        session_store_url: Secret | None = None,
    ) -> DatabaseProfile:
        """Change what is named; an empty address takes the session store away. A connection replaces the present one
        whole, password included. Raises Conflict when it leads elsewhere while a job or an unsettled restore needs the
        present one."""
        with self._changing():
            profile = self._editable(name)
            if connection is None and name in self._closed:
                raise self._closed[name]  # saving would lose the password that the right key still opens
            if connection is not None and _place(connection) != _place(profile.connection):
                self._refuse_in_use(name)
            profile = profile.with_(
                connection=profile.connection if connection is None else connection,
                log_tables=profile.log_tables if log_tables is None else tuple(log_tables),
                digests=profile.digests if digests is None else digests,
                session_store_url=profile.session_store_url if session_store_url is None else session_store_url or None,
            )
            self._records.save(profile)
        return profile

    def remove(self, name: str) -> None:
        """Look after it no longer. Its backups stay. Raises Conflict while a job or an unsettled restore needs it."""
        with self._changing():
            self._editable(name)
            self._refuse_in_use(name)
            self._on_removed(name)
            self._records.delete(name)

    def test(self, connection: Connection) -> ConnectionTest:
        """Try a connection, stored or not; answers within a few seconds. Changes nothing."""
        return self._test(connection)

    def _given(self) -> list[DatabaseProfile]:
        environment = self._environment()
        return [environment] if environment else list(self._demos.profiles())

    def _decode(self, data: JsonObject) -> DatabaseProfile:
        try:
            profile = DatabaseProfile.from_json(data, self._box)
        except Unavailable as error:
            # With another key the databases are still listed: what is missing is a password, and the server says so.
            profile = DatabaseProfile.from_json({**data, "password": None, "session_store": None}, self._box)
            logger.error("the password of %s: %s", profile.name, error.cause)
            self._closed[profile.name] = error
        else:
            self._closed.pop(profile.name, None)
        return profile

    def _editable(self, name: str) -> DatabaseProfile:
        profile = self.get(name)
        if profile.editable:
            return profile
        if profile.source is Source.EMBEDDED:
            raise Conflict(
                say("%(name)s is a demo database of pghaven's own server.", name=name),
                advice=say("The demo databases go when DATABASE_URL names a database of yours."),
            )
        raise Conflict(
            say("%(name)s comes from the environment.", name=name),
            advice=say("Change the variable it comes from, and start pghaven again."),
        )

    def _refuse_in_use(self, name: str) -> None:
        if (refusal := self._in_use(name)) is not None:
            raise refusal

    def _changing(self) -> AbstractContextManager[None]:
        return self._locks.hold("databases", holder="a change of the databases", wait=True)


def _place(connection: Connection) -> tuple[str, int, str]:
    """Which database it is; role and password are only how it is reached."""
    return connection.host, connection.port, connection.dbname


def from_environment(url: Secret, variable: str, session_store_url: Secret | None = None) -> DatabaseProfile:
    """The profile of the database that DATABASE_URL names. Raises Invalid naming the variable, and not its value."""
    with named(variable):
        connection = parse_url(url.reveal)
    if session_store_url:
        with named("SESSION_STORE_URL"):
            checked_address(session_store_url.reveal)
    return DatabaseProfile(
        name=name_for(connection.dbname),
        connection=connection,
        source=Source.ENVIRONMENT,
        session_store_url=session_store_url,
    )


def name_for(dbname: str) -> str:
    """A name that may be used here, as near to the database's own as can be."""
    letters = re.sub(r"[^a-z0-9_.-]+", "-", dbname.lower())
    letters = re.sub(r"\.{2,}", ".", letters).strip("-_.")[:63]
    return letters.strip("-_.") or "database"


def _say_damaged(path: Path, error: InvalidRecord) -> None:
    logger.error("the record of a database could not be read and was put aside in quarantine: %s", error)
