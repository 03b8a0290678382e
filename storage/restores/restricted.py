"""A role for one load, without special rights: an archive is code, and what it runs is to run with little.

Nothing else is a boundary. pg_restore carries out whatever an entry of the table of contents says, --role is undone by
one RESET ROLE, and what a program was started for stays done when the transaction is rolled back. So whoever loads an
archive that is not ours logs in as this role, which owns the database that is being made and nothing beside it.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace

import psycopg
from psycopg import sql

from storage.postgres.connection import Connection, connect
from storage.postgres.snapshot import Session
from storage.secret import Secret

logger = logging.getLogger(__name__)

# What the database's owner may have set for everybody who comes in must not be obeyed by a superuser. Settings that
# come with the connection are stronger than those of the database.
_OBEYING_NOTHING = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "search_path": "",
        "default_transaction_read_only": "off",
        "statement_timeout": "0",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
    }.items()
)


def role_name(work_id: str) -> str:
    """The role of one restore or proof; from its id, so that it is found again after a crash."""
    return f"pghaven_load_{work_id.lower().replace('-', '_')}"


def make(session: Session, name: str, *, server: Connection, database: str, application: str) -> Connection:
    """Make the role, give it the new and empty `database`, and return the connection with which it logs in there.

    `session` is a superuser's, in another database of `server`. Write the name down before: `remove` needs it.
    """
    password = secrets.token_urlsafe(32)
    # The server gets only what it needs to check the password; neither its log nor its catalogue can give it away.
    verifier = session.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    role = sql.Identifier(name)
    session.execute(
        sql.SQL(
            "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
        ).format(role, sql.Literal(verifier))
    )
    session.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), role))
    if session.info.server_version < 150000:
        # From 15 on it belongs to the database's owner by itself.
        with connect(server.to(database), application=application) as inside:
            inside.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(role))
    return replace(server.to(database), user=name, password=Secret(password))


def hand_over(session: Session, name: str, *, server: Connection, database: str, owner: str, application: str) -> bool:
    """Give everything that the role has in `database`, and the database itself, to `owner`, and remove the role.

    False when it is kept as the owner, without a login: `owner` is a superuser and functions came with the archive.
    The server runs some of them by itself, as the owner of their table: an index's, when autovacuum looks at it.
    """
    _lock_out(session, name)
    # Before anybody with more rights comes in: whatever the database's owner could set for it.
    own = sql.Identifier(database)
    session.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(own))
    session.execute(
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true CONNECTION LIMIT -1 IS_TEMPLATE false").format(own)
    )
    session.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC").format(own))
    with connect(server.to(database), application=application, options=_OBEYING_NOTHING) as inside:
        row = inside.execute(_RUNS_AS_SUPERUSER, (owner,)).fetchone()
        if row and row[0]:
            return False
        role = sql.Identifier(name)
        with inside.transaction():
            inside.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(role, sql.Identifier(owner)))
            inside.execute(sql.SQL("DROP OWNED BY {}").format(role))
    remove(session, name)
    return True


def remove(session: Session, name: str) -> None:
    """Remove the role, if it is there; the database that it owned is dropped or handed over by then.

    A role that something on the server still depends on stays, and cannot log in any more.
    """
    known = session.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", (name,)).fetchone()
    if known is None:
        return
    _lock_out(session, name)
    try:
        session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    except psycopg.errors.DependentObjectsStillExist as error:
        logger.warning("the role %s could not be removed, and cannot log in: %s", name, error)


def _lock_out(session: Session, name: str) -> None:
    session.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(name)))
    session.execute(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = %s", (name,)
    )


# What initdb made has an oid below 16384.
_RUNS_AS_SUPERUSER = """
SELECT r.rolsuper AND EXISTS (
    SELECT FROM pg_catalog.pg_proc p
    WHERE p.oid >= 16384
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                        AND d.deptype = 'e'))
FROM pg_catalog.pg_roles r WHERE r.rolname = %s
"""
