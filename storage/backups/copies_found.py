"""Rebuilding the catalog from what lies at a destination: copies, and beside each the record of its backup."""

from __future__ import annotations

import json
import logging
from typing import Any

from storage.backups import copies
from storage.backups.catalog import Catalog
from storage.backups.copies import CopyState
from storage.backups.record import BackupRecord, BackupState
from storage.destinations import encryption
from storage.destinations.destination import Destination
from storage.destinations.store import Store
from storage.errors import StorageError
from storage.identifiers import checked_name, is_id

logger = logging.getLogger(__name__)


def rebuild(catalog: Catalog, destination: Destination) -> list[BackupRecord]:
    """Bring back the records that are unknown here, from beside the copies of a destination; returns them.

    Their archives are not here: they are *missing* until they are fetched.
    """
    store = Store(destination)
    here = catalog.all()
    known, taken = {record.backup_id for record in here}, {record.archive for record in here}
    sizes = {entry.key: entry.bytes for entry in store.list()}
    found = []
    for key in sorted(sizes):
        if not key.endswith(copies.RECORD) or key.removesuffix(copies.RECORD) not in sizes:
            continue
        try:
            record = _foreign(json.loads(store.read(key)))
        except (StorageError, KeyError, TypeError, ValueError, AttributeError) as error:
            logger.warning("%s at %s is not the record of a backup: %s", key, destination.name, error)
            continue
        copy = record.copy_at(destination.name)
        if record.backup_id in known or copy is None or copy.bytes != sizes.get(copy.key):
            continue
        if record.archive in taken:
            logger.warning("%s at %s names the archive of another backup: %s", key, destination.name, record.archive)
            continue
        missing = record.with_copy(copy.with_(state=CopyState.COMPLETE)).with_(state=BackupState.MISSING)
        catalog.save(missing)
        known.add(missing.backup_id)
        taken.add(missing.archive)
        found.append(missing)
    return found


def _foreign(data: Any) -> BackupRecord:
    """A record as somebody else may have written it: it names no file but one in the folder of its database's archives.

    What its archive and its copies are called decides what a fetch replaces, and what is deleted in time.
    """
    record = BackupRecord.from_json(data)
    name = record.archive.rpartition("/")[2]
    if not is_id(record.backup_id) or record.archive != f"archives/{checked_name(record.database)}/{name}":
        raise ValueError(f"{record.archive!r} is no place for an archive of {record.database!r}")
    if not name.endswith(".dump") or name.startswith(".") or not name.isprintable():
        raise ValueError(f"{name!r} is not the name of an archive")
    keys = {"", f"{record.database}/{name}", f"{record.database}/{name}{encryption.SUFFIX}"}
    if strange := {copy.key for copy in record.copies} - keys:
        raise ValueError(f"{strange} are no copies of {name!r}")
    return record.with_(trashed=None)
