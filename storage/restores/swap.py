"""Changing the names: the target is closed, its sessions end, and both renames are one transaction.

What a crash leaves at any point is mended by `settle`, from the journal that is written first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from storage.crashpoints import crashpoint
from storage.errors import Conflict, Unavailable, say
from storage.postgres.connection import Connection, connect
from storage.postgres.snapshot import Session
from storage.restores import carry, names
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import Mode

PATIENCE = 5.0
"""Seconds for the sessions to end; their transactions are rolled back meanwhile."""
LOCK_PATIENCE = 10.0
"""Seconds in which the names have to come free, with the target open to everybody."""
_LOCK_MS = 50
"""How long one statement waits for a lock: whoever connects meanwhile waits behind it."""
_BETWEEN = 0.2
_LOOK_EVERY = 0.002
# A session leaves pg_stat_activity a moment before the list that RENAME looks at, and RENAME looks but every 100 ms.
_AFTERWARDS = 0.004

Save = Callable[[RestoreRecord], None]


def replace(
    session: Session,
    record: RestoreRecord,
    *,
    now: datetime,
    save: Save,
    checkpoint: Callable[[], None] = lambda: None,
) -> RestoreRecord:
    """Give the database beside the target's name; returns the record with how long nobody could connect.

    `session` is in another database. `checkpoint` is asked as long as the target is open, and may raise. Whatever is
    raised, `settle` has to be called.
    """
    old, new = record.target_oid, record.beside_oid
    assert old is not None and new is not None
    databases = databases_of(session)
    if databases.get(old) != record.target:
        raise Conflict(
            say("%(name)s was renamed or dropped meanwhile.", name=record.target),
            advice=say("Make a new plan."),
        )
    undoes = record.mode is Mode.UNDO
    if not undoes:  # what was kept has its own
        carry.apply(session, carry.read(session, old), record.beside)
    allowed = session.execute("SELECT datallowconn FROM pg_catalog.pg_database WHERE oid = %s", (old,))
    record = record.with_(
        kept_as=(names.undone if undoes else names.kept)(record.target, now, taken=frozenset(databases.values())),
        target_allowed=bool((allowed.fetchone() or (True,))[0]),
    )
    session.execute("SELECT set_config('lock_timeout', %s, false)", (str(_LOCK_MS),))
    until = time.monotonic() + LOCK_PATIENCE
    while True:
        _await_lock(session, record.target, until=until, checkpoint=checkpoint)
        if record.state is not RestoreState.SWAPPING:
            record = record.with_(state=RestoreState.SWAPPING)
            save(record)
            crashpoint("swap:journal")
        end_sessions(session, [new])
        closed_at = time.monotonic()
        try:
            _exchange(session, record)
            break
        except psycopg.errors.LockNotAvailable:
            # Somebody came between the two looks: the readers go first again.
            allow(session, record.target, record.target_allowed)
    downtime = (time.monotonic() - closed_at) * 1000
    crashpoint("swap:committed")
    if not record.target_allowed:
        allow(session, record.target, False)
    return record.with_(beside="", downtime_ms=round(downtime, 1))


def _exchange(session: Session, record: RestoreRecord) -> None:
    assert record.target_oid is not None and record.beside_oid is not None
    allow(session, record.target, False)
    crashpoint("swap:closed")
    end_sessions(session, [record.target_oid, record.beside_oid])
    crashpoint("swap:emptied")
    with session.transaction():
        rename(session, record.target, record.kept_as)
        rename(session, record.beside, record.target)
        allow(session, record.kept_as, record.target_allowed)
        crashpoint("swap:renamed")


def _await_lock(session: Session, name: str, *, until: float, checkpoint: Callable[[], None]) -> None:
    """Wait until RENAME would get its lock, with everybody still connected. Raises Conflict after `until`."""
    own = sql.Identifier(name)
    while True:
        checkpoint()
        try:
            # A rename to its own name is refused after the lock and the rights were got, and before the sessions are
            # counted, for which RENAME would wait five seconds (RenameDatabase in dbcommands.c).
            session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(own, own))
        except psycopg.errors.DuplicateDatabase:
            return
        except psycopg.errors.LockNotAvailable as error:
            if time.monotonic() > until:
                raise Conflict(
                    say("Somebody holds a lock on %(name)s, which keeps it from being renamed.", name=name),
                    advice=say("End the transactions that change the database itself (ALTER, COMMENT ON or GRANT ON "
                               "DATABASE; pg_locks lists them), then start again."),
                    words=str(error),
                ) from error  # fmt: skip
        time.sleep(_BETWEEN)


def give_name(session: Session, record: RestoreRecord, *, save: Save) -> RestoreRecord:
    """Give a new database its name, which nobody may have taken meanwhile."""
    new = record.beside_oid
    assert new is not None
    record = record.with_(state=RestoreState.SWAPPING)
    save(record)
    crashpoint("swap:journal")
    end_sessions(session, [new])
    crashpoint("swap:emptied")
    if record.target in databases_of(session).values():
        raise Conflict(
            say("Somebody made a database %(name)s meanwhile.", name=record.target),
            advice=say("Choose another name."),
        )
    rename(session, record.beside, record.target)
    crashpoint("swap:committed")
    return record.with_(beside="")


def settle(session: Session, record: RestoreRecord, *, server: Connection) -> RestoreRecord:
    """Look at what is there, and finish the swap or roll it back. Call it when the restore's process works no more.

    Returns the record: COMPLETED when the swap had happened; otherwise the target has its name and takes connections
    as it did before, if it is still there, and the database beside it is gone.
    """
    # What a dead process asked for last may still be under way, and a CREATE DATABASE that commits later would stay.
    _end_workers(session, record)
    databases = databases_of(session)
    swapping = record.state is RestoreState.SWAPPING
    if swapping and record.beside_oid is not None and databases.get(record.beside_oid) == record.target:
        for oid in (record.beside_oid, record.target_oid):
            if oid is not None and (name := databases.get(oid)) is not None:
                allow(session, name, record.target_allowed)
        return record.with_(state=RestoreState.COMPLETED, beside="")
    if swapping and record.target_oid is not None and (name := databases.get(record.target_oid)) is not None:
        if name == record.kept_as and record.target not in databases.values():
            rename(session, name, record.target)
            name = record.target
        if name == record.target:
            allow(session, name, record.target_allowed)
    if record.mode is Mode.UNDO:  # beside the target is what was kept, and stays
        return record.with_(beside="", kept_as="")
    left = next((oid for oid, name in databases.items() if name == record.beside), None)
    if record.beside and left is not None and record.beside_oid in (None, left):
        _drop(session, left, server.to(record.beside))
    return record.with_(beside="", kept_as="")


def _end_workers(session: Session, record: RestoreRecord) -> None:
    """End the sessions of the restore's job and wait until they are gone."""
    _end(lambda: session.execute(_END_WORKERS, (f"pghaven {record.job_id}",)).fetchall())


def _drop(session: Session, oid: int, beside: Connection) -> None:
    """Drop the half-made database with every session in it. A subscription in it would keep it from being dropped;
    its slot on the publisher is another database's, and stays."""
    subscriptions = session.execute(
        "SELECT subname::text FROM pg_catalog.pg_subscription WHERE subdbid = %s", (oid,)
    ).fetchall()
    if subscriptions:
        with connect(beside, application="pghaven settle") as inside:
            for (name,) in subscriptions:
                known = sql.Identifier(name)
                inside.execute(sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(known))
                inside.execute(sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(known))
                inside.execute(sql.SQL("DROP SUBSCRIPTION {}").format(known))
    name = sql.Identifier(beside.dbname)
    # Its owner, which an uploaded archive acts as, may have made it a template, and those are not dropped.
    session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(name))
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def end_sessions(session: Session, oids: Sequence[int]) -> None:
    """End every session of these databases and wait until they are gone. Raises Unavailable after PATIENCE."""
    if _end(lambda: _sessions(session, oids)):
        time.sleep(_AFTERWARDS)


def _end(end: Callable[[], list[Any]]) -> bool:
    """Call `end`, which ends sessions and lists them, until it finds none; whether there were any."""
    ends = time.monotonic() + PATIENCE
    present = found = end()
    while present:
        if time.monotonic() > ends:
            raise Unavailable(
                say("Sessions did not end within %(seconds)s seconds: %(names)s.",
                    seconds=round(PATIENCE), names=", ".join(sorted({name for _, name, _ in present}))),
                advice=say("End them on the server, then start again."),
            )  # fmt: skip
        time.sleep(_LOOK_EVERY)
        present = end()
    return bool(found)


def allow(session: Session, name: str, allowed: bool) -> None:
    session.execute(
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(allowed))
    )


def rename(session: Session, name: str, to: str) -> None:
    session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to)))


def databases_of(session: Session) -> dict[int, str]:
    """Every database of the server, by its oid."""
    return dict(session.execute("SELECT oid::bigint, datname::text FROM pg_catalog.pg_database").fetchall())


def _sessions(session: Session, oids: Sequence[int]) -> list[Any]:
    return session.execute(_END, (list(oids),)).fetchall()


# Autovacuum's workers belong to no role: only a superuser may end them, and RENAME ends them by itself.
_END = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename::text, 'autovacuum'),
       pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_stat_activity a
WHERE a.datid = ANY (%s::oid[]) AND a.pid <> pg_catalog.pg_backend_pid()
  AND (a.usesysid IS NOT NULL
       OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user))
"""

# Another role may call itself the same.
_END_WORKERS = """
SELECT a.pid, a.application_name, pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_stat_activity a
WHERE a.application_name = %s AND a.usename = current_user AND a.pid <> pg_catalog.pg_backend_pid()
"""
