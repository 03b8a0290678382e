"""The destinations of this instance."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from storage.clock import Clock
from storage.destinations.destination import Destination
from storage.errors import Conflict, Invalid, InvalidRecord, NotFound, say
from storage.identifiers import checked_name
from storage.jsonfiles import Records
from storage.locks.filelocks import FileLocks
from storage.secret import SecretBox

logger = logging.getLogger(__name__)

MOST_DAYS = 36_500
MOST_PERIODS = 1000


class Destinations:
    def __init__(self, folder: Path, *, box: SecretBox, clock: Clock, locks: FileLocks, data_folder: Path) -> None:
        """`data_folder` is where the archives themselves lie: no place for copies of them."""
        self._clock, self._locks, self._data_folder = clock, locks, data_folder
        self._records: Records[Destination] = Records(
            folder,
            decode=lambda data: Destination.from_json(data, box),
            encode=lambda destination: destination.to_json(box),
            identify=lambda destination: destination.name,
            on_damaged=_say_damaged,
        )

    def all(self) -> list[Destination]:
        """By name."""
        return self._records.all()

    def get(self, name: str) -> Destination:
        try:
            return self._records.get(name)
        except NotFound:
            raise NotFound(say("There is no destination “%(name)s” here.", name=name[:80])) from None

    def check(self, destination: Destination) -> None:
        """Raises Conflict when the name or the place is taken, Invalid for a name, a number or a place that cannot be.
        Nobody is asked there."""
        checked_name(destination.name)
        _checked(destination)
        if destination.is_within(self._data_folder):
            raise Invalid(
                say("%(folder)s is in the data folder of pghaven, where the archives themselves lie.",
                    folder=destination.prefix),
                advice=say("Name a folder outside of it, on another disk if there is one."),
            )  # fmt: skip
        folder = Path("/", destination.prefix)
        if destination.scheme == "file" and not folder.is_dir() and not folder.parent.is_dir():
            # Made here, it would lie on this machine's own disk and not on the one that is not mounted.
            raise Invalid(
                say("There is no folder %(folder)s on the machine of pghaven.", folder=str(folder.parent)),
                advice=say("Look whether its disk is mounted, or make the folder, then add the destination."),
            )
        for one in self.all():
            if one.name == destination.name:
                raise Conflict(
                    say("There is a destination “%(name)s” here already.", name=destination.name),
                    advice=say("Choose another name."),
                )
            # Each deletes by its own rules, and would delete what the other counts on.
            if one.place == destination.place:
                raise Conflict(
                    say("%(name)s is this very place already.", name=one.name),
                    advice=say("Choose another folder there."),
                )

    def add(self, destination: Destination, *, by: str) -> Destination:
        """Keep a new one. Raises what `check` raises."""
        with self._changing():
            self.check(destination)
            added = destination.with_(added_at=self._clock(), added_by=by)
            self._records.save(added)
        return added

    def change(self, name: str, **changes: Any) -> Destination:
        """Change anything but the name and the place. Raises Invalid for a number that cannot be."""
        with self._changing():
            changed = self.get(name).with_(**changes)
            _checked(changed)
            self._records.save(changed)
        return changed

    def remove(self, name: str) -> None:
        """Use it no more; the copies that lie there stay."""
        with self._changing():
            self.get(name)
            self._records.delete(name)

    def _changing(self) -> Any:
        return self._locks.hold("destinations", holder="a change of a destination", wait=True)


def _checked(destination: Destination) -> None:
    if not 0 <= destination.keep_days <= MOST_DAYS:
        raise Invalid(say("Copies can be kept from 0 (for ever) to %(most)s days.", most=MOST_DAYS))
    if not all(0 <= count <= MOST_PERIODS for count in (destination.weekly, destination.monthly, destination.yearly)):
        raise Invalid(say("Copies of 0 to %(most)s weeks, months or years can be kept.", most=MOST_PERIODS))


def _say_damaged(path: Path, error: InvalidRecord) -> None:
    logger.error("the record of a destination could not be read and was put aside: %s", error)
