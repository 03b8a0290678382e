"""The REDIS_URL of the web process, remembered in the data folder for commands beside it.

A command at the terminal seldom has the variables of a service. Without this it would guard a database on this machine
only, while another instance works on it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from storage import jsonfiles
from storage.errors import StorageError
from storage.secret import Secret, SecretBox

logger = logging.getLogger(__name__)


class RememberedRedis:
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
