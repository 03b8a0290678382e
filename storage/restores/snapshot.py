"""The snapshot that is taken of a database before a restore changes it: whether it can be, and what it needs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.backups import dump_errors, manifest, preflight
from storage.backups.catalog import Catalog
from storage.backups.record import BackupState
from storage.databases.probing import bounded_session
from storage.errors import StorageError, say
from storage.postgres.connection import Connection
from storage.postgres.programs import Installation
from storage.restores.plan import Check, Light
from storage.settings import Settings

LOOK_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFacts:
    """What stands against a snapshot, or how much it will need here."""

    trouble: StorageError | None = None
    needed: int = 0
    """Bytes that the archive may have, as far as can be told."""
    free: int = 0


def look(
    connection: Connection,
    *,
    database: str,
    catalog: Catalog,
    settings: Settings,
    installations: Sequence[Installation],
) -> SnapshotFacts:
    """Look at the database of `connection` as a take would. What refuses it is in the answer, and not raised."""
    try:
        with (
            dump_errors.named(catalog.archives, role=connection.user),
            bounded_session(connection, application="pghaven restore", seconds=LOOK_SECONDS) as session,
        ):
            manifest.prepare(session)
            session.execute("SELECT set_config('lock_timeout', %s, false)", (f"{LOOK_SECONDS // 2}s",))
            source = preflight.read_source(session)
            tables = manifest.read_tables(session)
            preflight.check_rights(tables, preflight.read_closed(session), role=connection.user)
        preflight.choose_program(installations, source.server_major)
        last = next(
            (backup.bytes for backup in catalog.find(database=database, states={BackupState.COMPLETE})
             if not backup.no_logs and backup.source.database == source.database), None
        )  # fmt: skip
        needed = preflight.space_needed(database_size=source.size, last_archive=last, reserve=0)
        free = _free(catalog.archives)
        if free < needed + settings.space_reserve:
            raise preflight.disk_full(catalog.archives, free=free, needed=needed + settings.space_reserve)
    except StorageError as trouble:
        return SnapshotFacts(trouble=trouble)
    return SnapshotFacts(needed=needed, free=free)


def check(facts: SnapshotFacts, *, target: str) -> Check:
    """The line of the plan. Without a snapshot nothing is replaced, so that trouble stands against the restore."""
    if facts.trouble is None:
        return Check(
            "snapshot",
            Light.GOOD,
            say("A snapshot of %(name)s is taken before anything in it changes: at most about %(needed_bytes)s here, "
                "where %(free_bytes)s are free.", name=target, needed_bytes=facts.needed, free_bytes=facts.free),
        )  # fmt: skip
    return Check(
        "snapshot",
        Light.BAD,
        say("No snapshot of %(name)s can be taken before it is changed: %(cause)s",
            name=target, cause=facts.trouble.cause),
        say("Mend that, or restore into a new database, for which none is needed. %(advice)s",
            advice=facts.trouble.advice or say("Nothing else stands against it.")),
    )  # fmt: skip


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
