"""What the filters of a usage log can be set to, as far as whoever asks may know of it."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from storage.applications.usage import WHOSE, Lookup
from storage.logs.query import UsageQuery
from storage.postgres.snapshot import Session

MOST = 1000
"""Of users, keys and providers."""
NEWEST = 5000
"""Of so many requests the models, endpoints and states are offered: a filter can be set to others, too."""
SUGGESTED = 200


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that a filter can be set to, as the application names it; `of` is the user that it belongs to."""

    id: str
    title: str
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    users: tuple[Choice, ...] = ()
    keys: tuple[Choice, ...] = ()
    providers: tuple[Choice, ...] = ()
    models: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()


NO_CHOICES = Choices()


def look(session: Session, query: UsageQuery, *, own: str = "") -> Choices:
    """Everything that can be chosen; with `own`, what this user's rows are about, and no word of anybody else's.

    `query` is for the rows that may be seen: `own`'s alone, where that is given.
    """
    return Choices(
        users=_rows(session, query, WHOSE, own=own),
        keys=_rows(session, query, "key", own=own),
        providers=_rows(session, query, "provider", own=own),
        models=_seen(session, query, "model"),
        endpoints=_seen(session, query, "endpoint"),
        statuses=tuple(int(status) for status in _seen(session, query, "status")),
    )


def _rows(session: Session, query: UsageQuery, name: str, *, own: str) -> tuple[Choice, ...]:
    lookup = query.log.lookup(name)
    if lookup is None:
        return ()
    if own and name != WHOSE and not lookup.whose:
        return _among_own(session, query, lookup)
    users = query.log.lookup(WHOSE)
    title, of = sql.SQL("coalesce(l.{}::text, '')").format(sql.Identifier(lookup.title)), sql.Composed([sql.SQL("''")])
    source = sql.SQL("{} AS l").format(query.located.table(lookup.table))
    if lookup.whose and users:
        of = sql.SQL("coalesce(u.{}::text, '')").format(sql.Identifier(users.title))
        source += sql.SQL(" LEFT JOIN {} AS u ON u.id = l.{}").format(
            query.located.table(users.table), sql.Identifier(lookup.whose)
        )
    statement = sql.SQL("SELECT l.id::text, {}, {} FROM {}").format(title, of, source)
    if own:
        whose = sql.Identifier("l", "id" if name == WHOSE else lookup.whose)
        statement += sql.SQL(" WHERE {} = {}").format(whose, sql.Literal(own))
    statement += sql.SQL(" ORDER BY lower({}), lower({}), l.id LIMIT {}").format(of, title, sql.Literal(MOST))
    return tuple(Choice(*row) for row in session.execute(statement))


def _among_own(session: Session, query: UsageQuery, lookup: Lookup) -> tuple[Choice, ...]:
    """The rows that one user's requests refer to."""
    id, title = sql.Identifier(lookup.name, "id"), sql.Identifier(lookup.name, lookup.title)
    values = [sql.SQL("coalesce({}::text, '')").format(title), sql.SQL("{}::text").format(id)]
    rows = session.execute(query.recent(values, newest=NEWEST, limit=MOST))
    return tuple(Choice(id, title) for title, id in rows if id is not None)


def _seen(session: Session, query: UsageQuery, name: str) -> tuple[str, ...]:
    """The values of a column among the newest rows; none of a column that the log does not have."""
    value = query.value(name)
    if value is None:
        return ()
    there = sql.SQL("{}::text").format(value)
    rows = session.execute(query.recent([there], newest=NEWEST, limit=SUGGESTED))
    return tuple(row[0] for row in rows if row[0])
