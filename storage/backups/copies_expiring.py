"""Deleting the copies that their destinations keep no longer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from zoneinfo import ZoneInfo

from storage.backups import copies, retention
from storage.backups.catalog import Catalog
from storage.backups.copies import Copy, CopyState
from storage.backups.policies import Policy
from storage.backups.record import BackupRecord
from storage.clock import Clock
from storage.destinations.destination import Destination
from storage.destinations.registry import Destinations
from storage.destinations.store import Store
from storage.errors import StorageError

logger = logging.getLogger(__name__)


class CopyRetention:
    def __init__(
        self,
        *,
        catalog: Catalog,
        destinations: Destinations,
        clock: Clock,
        zone: ZoneInfo,
        in_use: Callable[[str], Collection[str]],
    ) -> None:
        """`zone` is where days begin; `in_use` names the backups of a database that jobs were asked for with."""
        self._catalog, self._destinations, self._clock = catalog, destinations, clock
        self._zone, self._in_use = zone, in_use

    def expire(self) -> list[tuple[str, str]]:
        """Delete the copies that are older than their destinations keep them; returns (backup id, destination)."""
        deleted = []
        for destination in self._destinations.all():
            try:
                deleted += [(backup_id, destination.name) for backup_id in self._expire_at(destination)]
            except StorageError as error:
                logger.warning("old copies at %s could not be deleted: %s", destination.name, error)
        return deleted

    def _expire_at(self, destination: Destination) -> list[str]:
        if not destination.keep_days:
            return []
        records = {record.backup_id: record for record in self._catalog.all()}
        old = [
            records[decision.backup_id]
            for database in sorted({record.database for record in records.values()})
            for decision in self._plan(destination, database).expired
        ]
        store = Store(destination) if old else None
        for record in old:
            assert store is not None
            copy = record.copy_at(destination.name)
            assert copy is not None
            # The record first: what is left of a deletion that was cut off is a copy that nobody counts on.
            self._note_deleted(record, copy)
            store.delete(copy.key + copies.RECORD)
            store.delete(copy.key)
        return [record.backup_id for record in old]

    def _plan(self, destination: Destination, database: str) -> retention.Plan:
        """What stays there of a database: by the rules of the destination, and never less than retention keeps here
        whatever the rules are."""
        records = self._catalog.find(database=database)
        policy = Policy(
            database=database,
            days=destination.keep_days,
            weekly=destination.weekly,
            monthly=destination.monthly,
            yearly=destination.yearly,
            minimum=1,
            snapshot_days=destination.keep_days,
        )
        return retention.decide(
            retention.facts_at(records, destination.name, in_use=self._in_use(database)),
            policy,
            now=self._clock(),
            zone=self._zone,
            paused=retention.failing(records),
        )

    def _note_deleted(self, record: BackupRecord, copy: Copy) -> None:
        deleted = copy.with_(state=CopyState.DELETED, at=self._clock())
        self._catalog.change(record.backup_id, lambda current: current.with_copy(deleted))
