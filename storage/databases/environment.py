"""What the web process was given by DATABASE_URL and REDIS_URL, remembered in the data folder for whoever works beside
it.

A command at the terminal seldom has the variables of a service. Without this it would look after other databases than
the pages do, in the same folder, and guard them on this machine only. A file for each; whose it is, is for `opening`
to say.
"""

from __future__ import annotations

import logging
from pathlib import Path

from storage import jsonfiles
from storage.databases.profile import DatabaseProfile, Source
from storage.errors import InvalidRecord, StorageError, Unavailable, say
from storage.secret import Secret, SecretBox

logger = logging.getLogger(__name__)


class RememberedEnvironment:
    def __init__(self, path: Path, *, box: SecretBox) -> None:
        self._path, self._box = path, box

    def remember(self, profile: DatabaseProfile, *, variable: str) -> None:
        """Keep the default database, its password encrypted."""
        jsonfiles.write(self._path, profile.to_json(self._box) | {"variable": variable})

    def forget(self) -> None:
        """The web process has no such variable (any more)."""
        self._path.unlink(missing_ok=True)

    def profile(self) -> DatabaseProfile | None:
        """The default database of the folder's web process; None when it had none. Raises InvalidRecord for a file
        that cannot be read: to take the demos for its databases would be a guess, and a harmful one."""
        try:
            data = jsonfiles.read(self._path)
        except FileNotFoundError:
            return None
        try:
            try:
                profile = DatabaseProfile.from_json(data, self._box)
            except Unavailable as error:
                # With another key it is still this database: what is missing is its password.
                logger.error("the password of the default database: %s", error.cause)
                profile = DatabaseProfile.from_json({**data, "password": None, "session_store": None}, self._box)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRecord(
                say("%(path)s cannot be read: %(reason)s", path=str(self._path), reason=repr(error)),
                advice=say("Start the web process again: it writes this file anew."),
            ) from error
        return profile.with_(source=Source.ENVIRONMENT)


class RememberedRedis:
    """The address of the Redis that locks are held in."""

    def __init__(self, path: Path, *, box: SecretBox) -> None:
        self._path, self._box = path, box

    def remember(self, url: Secret | None) -> None:
        """Keep it encrypted; with None there is none any more."""
        if url is None:
            self._path.unlink(missing_ok=True)
        else:
            jsonfiles.write(self._path, {"format": 1, "url": self._box.close(url)})

    def url(self) -> Secret | None:
        """None where the web process had none, or where it cannot be read with our key, which is logged."""
        try:
            return self._box.open(str(jsonfiles.read(self._path)["url"]))
        except FileNotFoundError:
            return None
        except (StorageError, KeyError) as error:
            logger.error("the address of Redis in %s cannot be read: %s", self._path.name, error)
            return None
