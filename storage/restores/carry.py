"""Carrying over what belongs to a database and is in no archive: settings, grants, comment, connection limit.

Owner, encoding, locale and tablespace are given when the new database is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from storage.postgres.snapshot import Session

_LISTS = frozenset(
    {
        "search_path",
        "temp_tablespaces",
        "session_preload_libraries",
        "local_preload_libraries",
        "shared_preload_libraries",
        "unix_socket_directories",
    }
)
"""Settings whose value is a list of names, each of which is quoted by itself (guc.h, GUC_LIST_QUOTE)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    role: str
    """'' for everybody."""
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    role: str
    """'' for PUBLIC."""
    privilege: str
    grantable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    settings: tuple[Setting, ...]
    grants: tuple[Grant, ...] | None
    """None when nobody ever changed them: PostgreSQL's default is meant then."""
    owner: str
    comment: str | None
    connection_limit: int


def read(session: Session, oid: int) -> Properties:
    row = session.execute(_PROPERTIES, (oid,)).fetchone()
    assert row is not None
    owner, comment, limit, has_grants = row
    grants = session.execute(_GRANTS, (oid,)).fetchall() if has_grants else None
    settings = session.execute(_SETTINGS, (oid,)).fetchall()
    return Properties(
        owner=owner,
        comment=comment,
        connection_limit=limit,
        grants=None
        if grants is None
        else tuple(Grant(role=role, privilege=privilege, grantable=grantable) for role, privilege, grantable in grants),
        settings=tuple(_setting(role, text) for role, text in settings),
    )


def apply(session: Session, properties: Properties, database: str) -> None:
    """Give all of it to a database, in one transaction."""
    with session.transaction():
        for statement in statements(properties, database):
            session.execute(statement)


def rehearse(session: Session, properties: Properties, database: str) -> None:
    """Do the same and take it back: whatever PostgreSQL would refuse is refused now."""
    with session.transaction(force_rollback=True):
        for statement in statements(properties, database):
            session.execute(statement)


def statements(properties: Properties, database: str) -> Iterator[sql.Composed]:
    name = sql.Identifier(database)
    for setting in properties.settings:
        yield _set(setting, name)
    if properties.connection_limit >= 0:
        yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(properties.connection_limit))
    if properties.comment is not None:
        yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(properties.comment))
    if properties.grants is not None:
        for role in ("", properties.owner):
            yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(name, _role(role))
        for grant in properties.grants:
            yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(grant.privilege),  # a word of aclexplode
                name,
                _role(grant.role),
                sql.SQL(" WITH GRANT OPTION" if grant.grantable else ""),
            )


def _set(setting: Setting, database: sql.Identifier) -> sql.Composed:
    values: list[sql.Composable] = [sql.Literal(setting.value)]
    if setting.name in _LISTS:
        values = [sql.Literal(part) for part in split_list(setting.value)] or [sql.Literal("")]
    what = sql.SQL(" SET {} TO {}").format(sql.Identifier(*setting.name.split(".")), sql.SQL(", ").join(values))
    if setting.role:
        return sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(setting.role), database) + what
    return sql.SQL("ALTER DATABASE {}").format(database) + what


def split_list(text: str) -> list[str]:
    """The names of a list as the catalogue stores it: "$user", public."""
    names, rest = [], text.strip()
    while rest:
        if rest.startswith('"'):
            name, at = "", 1
            while at < len(rest):
                if rest[at] == '"':
                    if rest[at + 1 : at + 2] != '"':
                        break
                    at += 1
                name += rest[at]
                at += 1
            rest = rest[at + 1 :].lstrip()
        else:
            name, _, after = rest.partition(",")
            name, rest = name.strip(), "," + after if after else ""
        names.append(name)
        rest = rest.removeprefix(",").lstrip()
    return names


def _setting(role: str, text: str) -> Setting:
    name, _, value = text.partition("=")
    return Setting(role=role, name=name, value=value)


def _role(name: str) -> sql.Composable:
    return sql.Identifier(name) if name else sql.SQL("PUBLIC")


_PROPERTIES = """
SELECT pg_catalog.pg_get_userbyid(datdba)::text, pg_catalog.shobj_description(oid, 'pg_database'), datconnlimit,
       datacl IS NOT NULL
FROM pg_catalog.pg_database WHERE oid = %s
"""

_GRANTS = """
SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END, a.privilege_type::text,
       bool_or(a.is_grantable)
FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE d.oid = %s GROUP BY 1, 2 ORDER BY 1, 2
"""

_SETTINGS = """
SELECT coalesce(r.rolname::text, ''), c.setting
FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY AS c(setting, place)
WHERE s.setdatabase = %s ORDER BY 1, c.place
"""
