"""The throw-away database of a proof, and the role that owns it: made for one job, gone with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
from psycopg import sql

from storage.errors import StorageError, say
from storage.postgres.connection import Connection, describe
from storage.postgres.snapshot import Session
from storage.postgres.watchdog import Watchdog, patiently
from storage.restores import beside, facts, restricted
from storage.restores.plan import RestorePlan

logger = logging.getLogger(__name__)

_DROP_SECONDS = 60.0
"""How long the server is waited for when the database is dropped; a checkpoint belongs to that."""


def database_name(job_id: str) -> str:
    """The database of one proof; from its job's id, so that it is found again after a crash."""
    return f"pghaven_proof_{job_id.lower()}"


@contextmanager
def throw_away(
    server: Connection,
    plan: RestorePlan,
    job_id: str,
    *,
    superuser: bool,
    application: str,
    watch: Callable[[], None],
    on_dropped: Callable[[], None],
) -> Iterator[Connection]:
    """An empty database with the properties of the plan, reached as a role that is not a superuser.

    Where `server` is reached as a superuser, that role is made here, and owns nothing but the database; elsewhere it is
    the one that `server` is reached as. Both are gone afterwards, whatever happened, and `on_dropped` is told. When the
    server cannot be reached then, that is only written to the log, and `drop` is to be called again.
    """
    name = database_name(job_id)
    try:
        yield _make(server, plan, job_id, superuser=superuser, application=application, watch=watch)
    finally:
        try:
            drop(server, job_id)
        except StorageError as error:
            logger.warning("the throw-away database %s could not be dropped yet: %s", name, error)
        else:
            on_dropped()


def _make(
    server: Connection, plan: RestorePlan, job_id: str, *, superuser: bool, application: str, watch: Callable[[], None]
) -> Connection:
    name, role = database_name(job_id), restricted.role_name(job_id)

    def make(session: Session) -> Connection:
        beside.create(session, plan, name)
        if not superuser:
            return server.to(name)
        connection = restricted.make(session, role, server=server, database=name, application=application)
        # Rows that a policy hides from their own table's owner must be counted, too.
        session.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(sql.Identifier(role)))
        return connection

    try:
        with facts.maintenance(server, avoid=name, application=application) as session:
            return patiently(session, partial(make, session), watch=watch)
    except psycopg.Error as error:
        raise describe(error, doing=say("The throw-away database could not be made.")) from error


def drop(server: Connection, job_id: str) -> None:
    """Drop the database and the role of a job's proof, where they are there. Raises StorageError when the server
    cannot be asked, or will not."""
    name = database_name(job_id)
    watchdog = Watchdog(_DROP_SECONDS)
    try:
        with facts.maintenance(server, avoid=name, application="pghaven settle") as session:
            patiently(session, lambda: _drop(session, name, job_id), watch=lambda: watchdog.look("dropping"))
    except psycopg.Error as error:
        raise describe(error, doing=say("The throw-away database could not be dropped.")) from error


def _drop(session: Session, name: str, job_id: str) -> None:
    database = sql.Identifier(name)
    if session.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", (name,)).fetchone():
        # Its owner, which was the archive's code, may have made it one.
        session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(database))
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
    restricted.remove(session, restricted.role_name(job_id))
