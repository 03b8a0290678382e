"""The database that a restore is made in: beside the target, from template0, with the properties it will need."""

from __future__ import annotations

from psycopg import sql

from storage.postgres.snapshot import Session
from storage.restores.plan import RestorePlan

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def create(session: Session, plan: RestorePlan, name: str) -> int:
    """Make the empty database; returns its oid."""
    session.execute(create_statement(plan, name))
    row = session.execute("SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = %s", (name,)).fetchone()
    assert row is not None
    return int(row[0])


def create_statement(plan: RestorePlan, name: str) -> sql.Composed:
    """CREATE DATABASE with what cannot be changed afterwards; the rest is carried over before the swap."""
    options: list[sql.Composable] = [sql.SQL("TEMPLATE template0")]

    def option(word: str, value: sql.Composable) -> None:
        options.append(sql.SQL(word + " ") + value)

    option("OWNER", sql.Identifier(plan.owner))
    option("ENCODING", sql.Literal(plan.encoding))
    if plan.collate:
        option("LC_COLLATE", sql.Literal(plan.collate))
        option("LC_CTYPE", sql.Literal(plan.ctype))
        if plan.server_major >= 15:
            option("LOCALE_PROVIDER", sql.SQL(_PROVIDERS[plan.locale_provider]))
        if plan.locale_provider == "i":
            option("ICU_LOCALE", sql.Literal(plan.locale))
            if plan.rules:
                option("ICU_RULES", sql.Literal(plan.rules))
        if plan.locale_provider == "b":
            option("BUILTIN_LOCALE", sql.Literal(plan.locale))
    if plan.tablespace:
        option("TABLESPACE", sql.Identifier(plan.tablespace))
    return sql.SQL("CREATE DATABASE {} ").format(sql.Identifier(name)) + sql.SQL(" ").join(options)
